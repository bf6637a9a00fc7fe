/* SPDX-License-Identifier: MIT */
/* RLIMIT_AS is used up: nothing can be mapped, neither by the program nor by who asks it. */
#include "full.h"
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#define N 3

static pthread_t threads[N];
static volatile int stop, running;
static volatile unsigned long counters[N];
static unsigned long copied;

static void *work(void *arg)
{
	volatile unsigned long *counter = arg;

	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		++*counter;
		usleep(1000);
	}
	return NULL;
}

static const char *prepare(void)
{
	struct rlimit limit;

	for (int i = 0; i < N; i++)
		need(pthread_create(&threads[i], NULL, work, (void *)&counters[i]) == 0);
	while (running < N)
		usleep(100);
	copied = copied_code_kb();
	limit.rlim_cur = limit.rlim_max = status_kb("\nVmSize:\t") << 10;
	need(setrlimit(RLIMIT_AS, &limit) == 0);
	need(!can_map() && errno == ENOMEM);
	return NULL;
}

static const char *verify(void)
{
	need(!can_map() && errno == ENOMEM);
	need(copied_code_kb() == copied);
	for (int i = 0; i < N; i++)
		for (unsigned long before = counters[i]; counters[i] == before;)
			usleep(100);
	stop = 1;
	for (int i = 0; i < N; i++)
		need(pthread_join(threads[i], NULL) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "RLIMIT_AS is used up, in a process of four threads",
	.prepare = prepare,
	.verify = verify,
};
