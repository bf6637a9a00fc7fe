/* SPDX-License-Identifier: MIT */
/*
 * What the benchmark saves and restores: something that sleeps.
 *
 *   sleeper [N]                  a process of N threads; 0: a program that does nothing
 *   sleeper tree N               N processes: a root, 9 children, and theirs
 *   sleeper inherited N FILES    N processes, which have FILES descriptions from their parent
 *   sleeper files FILES          one with as many different files, in the working folder
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHILDREN 9

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int start_threads(long n)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 1; i < n; i++)
		if (pthread_create(&thread, &attr, sleep_on, NULL) != 0)
			return -1;
	return 0;
}

static int open_files(long n)
{
	struct rlimit limit;
	char name[32];

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return -1;
	for (long i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file-%ld", i);
		if (open(name, O_RDWR | O_CREAT, 0600) < 0)
			return -1;
	}
	return 0;
}

/* Each tells by a byte that it is there; `below` of them are made by each child. */
static int start_processes(long children, long below)
{
	int ready[2];
	char byte;

	if (pipe(ready))
		return -1;
	for (long i = 0; i < children; i++) {
		if (fork())
			continue;
		for (long k = 0; k < below && fork(); k++)
			continue;
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		close(ready[0]);
		close(ready[1]);
		sleep_on(NULL);
	}
	close(ready[1]);
	for (long i = 0; i < children * (below + 1); i++)
		if (read(ready[0], &byte, 1) != 1)
			return -1;
	close(ready[0]);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "1";
	long n = argc > 2 ? atol(argv[2]) : atol(what);
	int rc;

	if (!strcmp(what, "0"))
		return 0;
	if (!strcmp(what, "tree"))
		rc = start_processes(CHILDREN, (n - 1) / CHILDREN - 1);
	else if (!strcmp(what, "files"))
		rc = open_files(n);
	else if (!strcmp(what, "inherited"))
		rc = open_files(argc > 3 ? atol(argv[3]) : 0) || start_processes(n - 1, 0);
	else
		rc = start_threads(n);
	if (rc || write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	sleep_on(NULL);
}
