/* SPDX-License-Identifier: MIT */
/* Threads asleep in system calls that the kernel takes up again after an interruption. */
#include "subject.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

static int to_read[2], to_write[2], to_poll[2], set;
static uint32_t word;
static volatile int running;

/* 0: the call ended as if it had never been interrupted. */
static intptr_t in_read(void)
{
	char byte = 0;

	return read(to_read[0], &byte, 1) == 1 && byte == 'r' ? 0 : errno;
}

static intptr_t in_write(void)
{
	return write(to_write[1], "w", 1) == 1 ? 0 : errno;
}

static intptr_t in_futex(void)
{
	return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0) == 0 ? 0 : errno;
}

static intptr_t in_ppoll(void)
{
	struct pollfd p = { .fd = to_poll[0], .events = POLLIN };

	/* Like epoll_wait and nanosleep it may be told EINTR, as after SIGSTOP and SIGCONT. */
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return errno;
	return p.revents & POLLIN ? 0 : -1;
}

static intptr_t in_epoll_wait(void)
{
	struct epoll_event ev;

	while (epoll_wait(set, &ev, 1, -1) < 0)
		if (errno != EINTR)
			return errno;
	return ev.data.u32 == 5 ? 0 : -1;
}

static intptr_t (*const calls[])(void) = { in_read, in_write, in_futex, in_ppoll, in_epoll_wait };
static const char *const names[] = { "read", "write", "futex", "poll", "epoll_wait" };
#define N (sizeof(calls) / sizeof(calls[0]))

static pthread_t threads[N];

static void *work(void *arg)
{
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	return (void *)calls[(intptr_t)arg]();
}

static const char *prepare(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 5 };
	static char block[65536];

	need(pipe(to_read) == 0 && pipe(to_write) == 0 && pipe(to_poll) == 0);
	need(write(to_write[1], block, sizeof(block)) == (ssize_t)sizeof(block));
	set = epoll_create1(0);
	need(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, to_poll[0], &ev) == 0);
	for (size_t i = 0; i < N; i++)
		need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	while (running < (int)N)
		usleep(100);
	usleep(20000); /* to be asleep there, most likely */
	return NULL;
}

static const char *verify(void)
{
	static char block[65536];
	void *result;

	need(write(to_read[1], "r", 1) == 1);
	need(read(to_write[0], block, sizeof(block)) > 0);
	/* A waiter that was restored has to be asleep again before it can be woken. */
	word = 1;
	while (pthread_tryjoin_np(threads[2], &result) == EBUSY) {
		syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0);
		usleep(1000);
	}
	if (result && (intptr_t)result != EAGAIN)
		return wrong("futex: %ld", (long)(intptr_t)result);
	need(write(to_poll[1], "p", 1) == 1);
	for (size_t i = 0; i < N; i++) {
		if (i == 2)
			continue;
		need(pthread_join(threads[i], &result) == 0);
		if (result)
			return wrong("%s: %ld", names[i], (long)(intptr_t)result);
	}
	return NULL;
}

const struct subject subject = {
	.about = "threads asleep in read, write, futex, poll, epoll_wait",
	.prepare = prepare,
	.verify = verify,
};
