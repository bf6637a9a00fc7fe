/* SPDX-License-Identifier: MIT */
/* Eight threads that count, each with its own TLS, name, signal mask and alternate stack. */
#include "subject.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 8

static struct worker {
	pthread_t thread;
	pid_t tid;
	unsigned int number;
	volatile unsigned long counter;
	char stack[65536];
	const char *verdict;
} workers[N];
static volatile int stop, running;
static __thread unsigned long own_counter;
static __thread struct worker *self;

static void want_of(unsigned int number, char name[16], sigset_t *mask)
{
	snprintf(name, 16, "worker-%u", number);
	sigemptyset(mask);
	sigaddset(mask, SIGUSR1);
	sigaddset(mask, SIGRTMIN + (int)number);
}

static const char *set_up(struct worker *w)
{
	stack_t ss = { .ss_sp = w->stack, .ss_size = sizeof(w->stack) };
	char name[16];
	sigset_t mask;

	want_of(w->number, name, &mask);
	need(pthread_setname_np(pthread_self(), name) == 0);
	need(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
	need(sigaltstack(&ss, NULL) == 0);
	w->tid = gettid();
	self = w;
	return NULL;
}

static const char *check(struct worker *w)
{
	char name[16], found[16];
	sigset_t mask, now;
	stack_t ss;

	want_of(w->number, name, &mask);
	need(self == w && own_counter == w->counter && gettid() == w->tid);
	need(pthread_getname_np(pthread_self(), found, sizeof(found)) == 0);
	need(strcmp(name, found) == 0);
	need(pthread_sigmask(SIG_BLOCK, NULL, &now) == 0);
	for (int s = 1; s < NSIG; s++)
		need(sigismember(&mask, s) == sigismember(&now, s));
	need(sigaltstack(NULL, &ss) == 0);
	need(ss.ss_sp == w->stack && ss.ss_size == sizeof(w->stack) && ss.ss_flags == 0);
	return NULL;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	w->verdict = set_up(w);
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		w->counter = ++own_counter;
		usleep(1000);
	}
	if (!w->verdict)
		w->verdict = check(w);
	return NULL;
}

static const char *prepare(void)
{
	for (unsigned int i = 0; i < N; i++) {
		workers[i].number = i;
		need(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	}
	while (running < N)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	unsigned long before[N];

	for (unsigned int i = 0; i < N; i++)
		before[i] = workers[i].counter;
	for (unsigned int i = 0; i < N; i++)
		while (workers[i].counter == before[i])
			usleep(100);
	stop = 1;
	for (unsigned int i = 0; i < N; i++) {
		need(pthread_join(workers[i].thread, NULL) == 0);
		pass_on(workers[i].verdict);
	}
	return NULL;
}

const struct subject subject = {
	.about = "eight threads: TLS, name, signal mask, alternate stack, and all go on",
	.prepare = prepare,
	.verify = verify,
};
