/* SPDX-License-Identifier: MIT */
/*
 * Threads asleep in calls with a time limit. Each call ends as if it had never been interrupted: with the
 * answer that says that the time is over, and not before it is. It may end later, by once its time.
 */
#include "subject.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 2

static const struct timespec limit = { SECONDS, 0 };
static int pipe_ends[2], set;
static uint32_t word;
static volatile int running, over;

/* errno, 0, or -1 where something else came. */
static int by_nanosleep(void)
{
	return syscall(SYS_nanosleep, &limit, NULL) ? errno : 0;
}
static int by_clock_nanosleep(void)
{
	struct timespec rest;

	return clock_nanosleep(CLOCK_MONOTONIC, 0, &limit, &rest);
}
static int by_clock_absolute(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += SECONDS;
	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}
static int ended(long rc)
{
	return rc < 0 ? errno : rc == 0 ? 0 : -1;
}
static int by_poll(void)
{
	struct pollfd p = { .fd = pipe_ends[0], .events = POLLIN };

	return ended(poll(&p, 1, SECONDS * 1000));
}
static int by_ppoll(void)
{
	struct pollfd p = { .fd = pipe_ends[0], .events = POLLIN };

	return ended(ppoll(&p, 1, &limit, NULL));
}
static int by_select(void)
{
	struct timeval t = { SECONDS, 0 };
	fd_set fds;

	FD_ZERO(&fds);
	FD_SET(pipe_ends[0], &fds);
	return ended(select(pipe_ends[0] + 1, &fds, NULL, NULL, &t));
}
static int by_pselect(void)
{
	fd_set fds;

	FD_ZERO(&fds);
	FD_SET(pipe_ends[0], &fds);
	return ended(pselect(pipe_ends[0] + 1, &fds, NULL, NULL, &limit, NULL));
}
static int by_epoll_wait(void)
{
	struct epoll_event ev;

	return ended(epoll_wait(set, &ev, 1, SECONDS * 1000));
}
static int by_futex(void)
{
	long rc = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0);

	return rc < 0 && errno == ETIMEDOUT ? 0 : ended(rc);
}
static int by_sigtimedwait(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN + 3);
	return sigtimedwait(&signals, NULL, &limit) < 0 && errno == EAGAIN ? 0 : ended(-1);
}

static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{ "nanosleep", by_nanosleep },
	{ "clock_nanosleep", by_clock_nanosleep },
	{ "clock_nanosleep, absolute", by_clock_absolute },
	{ "poll", by_poll },
	{ "ppoll", by_ppoll },
	{ "select", by_select },
	{ "pselect", by_pselect },
	{ "epoll_wait", by_epoll_wait },
	{ "futex", by_futex },
	{ "sigtimedwait", by_sigtimedwait },
};
#define N (sizeof(calls) / sizeof(calls[0]))

static struct {
	pthread_t thread;
	int answer;
	double took;
} results[N];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	double begun;

	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	begun = now();
	results[i].answer = calls[i].call();
	results[i].took = now() - begun;
	while (!over) /* however long the judge takes, it finds the same threads */
		usleep(2000);
	return NULL;
}

static const char *prepare(void)
{
	struct epoll_event ev = { .events = EPOLLIN };

	need(pipe(pipe_ends) == 0);
	set = epoll_create1(0);
	need(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, pipe_ends[0], &ev) == 0);
	for (size_t i = 0; i < N; i++)
		need(pthread_create(&results[i].thread, NULL, work, (void *)(uintptr_t)i) == 0);
	while (running < (int)N)
		usleep(100);
	usleep(20000); /* to be asleep there, most likely */
	return NULL;
}

static const char *verify(void)
{
	over = 1;
	for (size_t i = 0; i < N; i++) {
		need(pthread_join(results[i].thread, NULL) == 0);
		if (results[i].answer)
			return wrong("%s gave %d", calls[i].name, results[i].answer);
		/* The clocks of a sleep in milliseconds may be coarser. */
		if (results[i].took < SECONDS - 0.005)
			return wrong("%s came back after %.3f s", calls[i].name, results[i].took);
	}
	return NULL;
}

const struct subject subject = {
	.about = "calls with a time limit end with the time, and not before",
	.prepare = prepare,
	.verify = verify,
};
