/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t mutex;
static pthread_t thread;
static volatile int stop, running;
static void *head_before;

static void *robust_head(void)
{
	void *head = NULL;
	size_t length;

	syscall(SYS_get_robust_list, 0, &head, &length);
	return head;
}

static void *work(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&mutex);
	running = 1;
	while (!stop)
		usleep(1000);
	return NULL; /* dies with the mutex in its hands */
}

static const char *prepare(void)
{
	pthread_mutexattr_t attr;

	need(pthread_mutexattr_init(&attr) == 0);
	need(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST) == 0);
	need(pthread_mutex_init(&mutex, &attr) == 0);
	head_before = robust_head();
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	need(head_before && robust_head() == head_before);
	need(pthread_mutex_trylock(&mutex) == EBUSY);
	stop = 1;
	need(pthread_mutex_lock(&mutex) == EOWNERDEAD);
	need(pthread_mutex_consistent(&mutex) == 0);
	need(pthread_mutex_unlock(&mutex) == 0);
	need(pthread_join(thread, NULL) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "robust list: the death of a mutex' owner is told",
	.prepare = prepare,
	.verify = verify,
};
