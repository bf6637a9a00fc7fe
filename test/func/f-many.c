/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define VMAS 2000
#define FDS 200
#define THREADS 50

static char *base;
static int fds[FDS];
static pthread_t threads[THREADS];
static volatile int stop, running;

static void *work(void *arg)
{
	volatile intptr_t own = (intptr_t)arg * 3;

	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		usleep(20000);
	return (void *)own;
}

static const char *prepare(void)
{
	base = mmap(NULL, VMAS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(base != MAP_FAILED);
	for (size_t i = 0; i < VMAS; i++) {
		*(size_t *)(void *)(base + i * PAGE) = i * 11;
		if (i % 2)
			need(mprotect(base + i * PAGE, PAGE, PROT_READ) == 0);
	}
	for (unsigned int i = 0; i < FDS; i++)
		need((fds[i] = eventfd(i, EFD_NONBLOCK)) >= 0);
	for (intptr_t i = 0; i < THREADS; i++)
		need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	while (running < THREADS)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	uint64_t value;
	void *result;

	for (size_t i = 0; i < VMAS; i++)
		need(*(size_t *)(void *)(base + i * PAGE) == i * 11);
	for (uint64_t i = 1; i < FDS; i++)
		need(read(fds[i], &value, 8) == 8 && value == i);
	stop = 1;
	for (intptr_t i = 0; i < THREADS; i++)
		need(pthread_join(threads[i], &result) == 0 && result == (void *)(i * 3));
	return NULL;
}

const struct subject subject = {
	.about = "2000 mappings, 200 descriptors, 50 threads",
	.prepare = prepare,
	.verify = verify,
};
