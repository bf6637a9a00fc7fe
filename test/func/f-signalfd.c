/* SPDX-License-Identifier: MIT */
/* A signalfd, by itself and in an epoll set, which has to be woken by signals of its owner. */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int plain, watched, set;
static volatile int running, go;
static const char *volatile said;
static pthread_t thread;

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, a);
	sigaddset(&s, b);
	return s;
}

static const char *take(int fd, int sig, int value)
{
	struct signalfd_siginfo si;

	need(read(fd, &si, sizeof(si)) == sizeof(si));
	if ((int)si.ssi_signo != sig || si.ssi_int != value)
		return wrong("signal %u with %d", si.ssi_signo, si.ssi_int);
	need(read(fd, &si, sizeof(si)) == -1 && errno == EAGAIN);
	return NULL;
}

/* A signal of the thread alone, told by the same set and the same descriptor. */
static const char *verify_thread(void)
{
	const union sigval value = { .sival_int = 23 };
	struct epoll_event event;

	need(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
	need(epoll_wait(set, &event, 1, 60000) == 1 && event.data.u64 == 77);
	return take(watched, SIGRTMIN + 2, 23);
}

static void *work(void *unused)
{
	running = 1;
	while (!go)
		usleep(1000);
	said = verify_thread();
	return unused;
}

static const char *prepare(void)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	sigset_t one = set_of(SIGUSR1, SIGHUP), two = set_of(SIGUSR2, SIGRTMIN + 2);

	need(sigprocmask(SIG_BLOCK, &one, NULL) == 0 && sigprocmask(SIG_BLOCK, &two, NULL) == 0);
	plain = signalfd(-1, &one, SFD_NONBLOCK);
	watched = signalfd(-1, &two, SFD_NONBLOCK | SFD_CLOEXEC);
	set = epoll_create1(EPOLL_CLOEXEC);
	need(plain >= 0 && watched >= 0 && set >= 0);
	need(epoll_ctl(set, EPOLL_CTL_ADD, watched, &event) == 0);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	const union sigval value = { .sival_int = 42 };
	struct epoll_event event;
	struct signalfd_siginfo si;

	need(read(plain, &si, sizeof(si)) == -1 && errno == EAGAIN);
	need(kill(getpid(), SIGUSR1) == 0);
	pass_on(take(plain, SIGUSR1, 0));
	need(epoll_wait(set, &event, 1, 0) == 0);
	need(sigqueue(getpid(), SIGUSR2, value) == 0);
	need(epoll_wait(set, &event, 1, 60000) == 1 && event.data.u64 == 77);
	pass_on(take(watched, SIGUSR2, 42));
	need(epoll_wait(set, &event, 1, 0) == 0);
	go = 1;
	need(pthread_join(thread, NULL) == 0);
	return said;
}

const struct subject subject = {
	.about = "signalfd: mask, flags, in an epoll set, signals of a thread",
	.prepare = prepare,
	.verify = verify,
};
