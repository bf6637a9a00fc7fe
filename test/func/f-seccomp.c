/* SPDX-License-Identifier: MIT */
/*
 * Filters of system calls with no_new_privs: one that all threads have by inheritance, further ones of
 * two threads, one that lets hardly anything pass, not even the restart of the sleep it is found in.
 */
#include "subject.h"

#include <pthread.h>
#include <time.h>

#include "filter.h"

enum {
	PLAIN,
	LOGGED,
	CHAIN,
	NARROW,
	N
};
static const int counts[N] = { 1, 2, 3, 2 };
static pthread_t threads[N];
static volatile int tids[N], stop, running;
static int reply[2];
static volatile long turns;

static long error_of(long nr)
{
	return syscall(nr) < 0 ? errno : 0;
}

static const char *check(int which)
{
	need(error_of(SYS_getppid) == 71);
	need(error_of(SYS_getuid) == (which == LOGGED ? 72 : 0));
	need(error_of(SYS_getgid) == (which == CHAIN ? 73 : 0));
	need(error_of(SYS_geteuid) == (which == CHAIN ? 74 : 0));
	return NULL;
}

static void nap(void)
{
	struct timespec t = { .tv_nsec = 3000000 };

	syscall(SYS_nanosleep, &t, NULL);
}

/* Whatever else it called would end the process. */
static void live_narrowly(void)
{
	static const int calls[] = { SYS_write, SYS_exit, SYS_futex, SYS_rt_sigreturn,
				     SYS_nanosleep };
	char c = 'x';

	running += filter_allow(calls, sizeof(calls) / sizeof(calls[0]),
				SECCOMP_RET_KILL_PROCESS) == 0;
	while (!stop) {
		nap();
		turns++;
	}
	syscall(SYS_write, reply[1], &c, 1);
	syscall(SYS_exit, 0);
}

static void *work(void *arg)
{
	int which = (int)(long)arg;
	bool good = true;

	tids[which] = gettid();
	if (which == NARROW)
		live_narrowly();
	if (which == LOGGED)
		good = filter_deny(SYS_getuid, 72, SECCOMP_FILTER_FLAG_LOG) == 0;
	if (which == CHAIN)
		good = filter_deny(SYS_getgid, 73, 0) == 0 && filter_deny(SYS_geteuid, 74, 0) == 0;
	running += good;
	while (!stop)
		nap();
	return (void *)check(which);
}

static const char *prepare(void)
{
	need(pipe(reply) == 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(filter_deny(SYS_getppid, 71, 0) == 0);
	for (long i = 0; i < N; i++) {
		need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
		while (running <= i)
			usleep(100);
	}
	return NULL;
}

static const char *verify(void)
{
	long before = turns;
	void *text;
	char c;

	while (turns < before + 3)
		usleep(1000);
	for (int i = 0; i < N; i++) {
		need(filter_status(tids[i], "Seccomp:") == 2);
		need(filter_status(tids[i], "Seccomp_filters:") == counts[i]);
	}
	need(filter_status(gettid(), "Seccomp_filters:") == 1);
	pass_on(check(PLAIN));
	stop = 1;
	need(read(reply[0], &c, 1) == 1 && c == 'x');
	for (int i = 0; i < N; i++) {
		need(pthread_join(threads[i], &text) == 0);
		if (i != NARROW)
			pass_on(text);
	}
	return NULL;
}

const struct subject subject = {
	.about = "seccomp filters, several in a row, each thread its own",
	.prepare = prepare,
	.verify = verify,
};
