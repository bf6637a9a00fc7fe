/* SPDX-License-Identifier: MIT */
/* The kernel clears a thread's tid word and wakes who waits there: pthread_join rests on it. */
#include "subject.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <unistd.h>

#define N 3

static pthread_t threads[N];
static volatile int stop, running;
static int *address_before;

static int *tid_address(void)
{
	int *address = NULL;

	prctl(PR_GET_TID_ADDRESS, &address);
	return address;
}

static void *work(void *arg)
{
	int *before = tid_address();

	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		usleep(1000);
	return tid_address() == before ? arg : NULL;
}

static const char *prepare(void)
{
	address_before = tid_address();
	for (intptr_t i = 0; i < N; i++)
		need(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
	while (running < N)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	void *value;

	need(tid_address() == address_before);
	stop = 1;
	for (intptr_t i = 0; i < N; i++)
		need(pthread_join(threads[i], &value) == 0 && value == (void *)(i + 1));
	return NULL;
}

const struct subject subject = {
	.about = "clear-child-tid: threads can be joined",
	.prepare = prepare,
	.verify = verify,
};
