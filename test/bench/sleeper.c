/* SPDX-License-Identifier: MIT */
/* What the benchmark saves and restores: a process that sleeps, with as many threads as are named. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv)
{
	long threads = argc > 1 ? atol(argv[1]) : 1;
	pthread_attr_t attr;
	pthread_t thread;

	if (threads == 0) /* an empty program */
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 1; i < threads; i++)
		if (pthread_create(&thread, &attr, sleep_on, NULL) != 0)
			return 1;
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	sleep_on(NULL);
}
