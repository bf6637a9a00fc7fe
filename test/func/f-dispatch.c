/* SPDX-License-Identifier: MIT */
/*
 * System calls that are dispatched to the thread itself, as SIGSYS: one thread is found while its selector
 * lets calls pass, one while only a piece of its own code may make any, one (since 6.17) the other way
 * round, with that piece dispatched and nothing else.
 */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define EXCLUSIVE 1
#define INCLUSIVE 2

enum {
	ALLOWED,
	BLOCKED,
	INVERSE,
	N
};
static pthread_t threads[N];
static volatile char selectors[N]; /* 0: all calls pass, 1: only exempt ones */
static volatile int stop, running, caught[N], unable;
static __thread int self;

/* exempt(number, a, b) */
long exempt(long nr, const void *a, const void *b);
extern const char exempt_end[];
__asm__(".text\n"
	"exempt:\n\t"
	"mov %rdi, %rax\n\t"
	"mov %rsi, %rdi\n\t"
	"mov %rdx, %rsi\n\t"
	"syscall\n\t"
	"ret\n"
	"exempt_end:\n");

static void nap(void)
{
	struct timespec t = { .tv_nsec = 2000000 };

	if (self == BLOCKED)
		exempt(SYS_nanosleep, &t, NULL);
	else
		syscall(SYS_nanosleep, &t, NULL);
}

static void on_sigsys(int signal)
{
	(void)signal;
	caught[self]++;
	selectors[self] = 0;
}

static const char *check(void)
{
	caught[self] = 0;
	selectors[self] = 1;
	if (self == INVERSE)
		exempt(SYS_getppid, NULL, NULL);
	else
		syscall(SYS_getppid);
	if (caught[self] != 1)
		return wrong("thread %d: a call was dispatched %d times", self, caught[self]);
	selectors[self] = 1;
	if (self == INVERSE ? syscall(SYS_getpid) < 0
			    : self == BLOCKED && exempt(SYS_getpid, NULL, NULL) < 0)
		return wrong("thread %d: an exempt call failed", self);
	selectors[self] = 0;
	if (caught[self] != 1)
		return wrong("thread %d: an exempt call was dispatched", self);
	return NULL;
}

static void *work(void *which)
{
	uintptr_t start = self = (int)(intptr_t)which, length = 0;
	const char *text;

	start = self == ALLOWED ? 0 : (uintptr_t)exempt;
	length = self == ALLOWED ? 0 : (uintptr_t)exempt_end - (uintptr_t)exempt;
	if (prctl(DISPATCH, self == INVERSE ? INCLUSIVE : EXCLUSIVE, start, length,
		  &selectors[self]) < 0)
		unable |= 1 << self;
	selectors[self] = self != ALLOWED && !(unable & 1 << self);
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		nap();
	text = unable & 1 << self ? NULL : check();
	selectors[self] = 0;
	return (void *)(uintptr_t)text;
}

#define GET_DISPATCH 0x4211 /* PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, 6.4 */

/* Whether a tracer is told of it. */
static bool can_be_seen(void)
{
	uint64_t config[4];
	pid_t pid = fork();
	bool can;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	can = ptrace((enum __ptrace_request)GET_DISPATCH, pid, sizeof(config), config) == 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return can;
}

static const char *prepare(void)
{
	struct sigaction action = { .sa_handler = on_sigsys };

	if (!can_be_seen())
		return skip("this kernel tells no tracer that calls are dispatched (before 6.4)");
	need(sigaction(SIGSYS, &action, NULL) == 0);
	for (intptr_t i = 0; i < N; i++)
		need(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	while (running < N)
		usleep(100);
	/* Linux before 5.11, and before 6.17 */
	if (unable & ~(1 << INVERSE))
		return skip("this kernel dispatches no system calls");
	return NULL;
}

static const char *verify(void)
{
	void *text;

	stop = 1;
	for (int i = 0; i < N; i++) {
		need(pthread_join(threads[i], &text) == 0);
		pass_on(text);
	}
	return NULL;
}

const struct subject subject = {
	.about = "system calls that are dispatched to the thread itself",
	.prepare = prepare,
	.verify = verify,
};
