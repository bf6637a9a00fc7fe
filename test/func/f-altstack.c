/* SPDX-License-Identifier: MIT */
/*
 * Alternate stacks: one that is registered and idle, one that a thread runs on in a handler at the
 * time of the dump, one of these that the kernel disarmed on the way into the handler.
 */
#include "subject.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static struct runner {
	pthread_t thread;
	unsigned int flags;
	char stack[65536];
	const char *verdict;
} runners[2];
static char idle_stack[32768];
static volatile int stop, running;
static __thread struct runner *self;

static const char *check_inside(const struct runner *r)
{
	char here;
	stack_t ss;

	need((uintptr_t)&here - (uintptr_t)r->stack < sizeof(r->stack));
	need(sigaltstack(NULL, &ss) == 0);
	if (r->flags) {
		need(ss.ss_flags == SS_DISABLE);
	} else {
		need(ss.ss_flags == SS_ONSTACK);
		need(ss.ss_sp == r->stack && ss.ss_size == sizeof(r->stack));
	}
	return NULL;
}

static void in_handler(int sig)
{
	volatile uint64_t pattern[64];

	(void)sig;
	for (unsigned int i = 0; i < 64; i++)
		pattern[i] = i * 0x0101010101010101ul;
	self->verdict = check_inside(self);
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		usleep(1000);
	for (unsigned int i = 0; i < 64; i++)
		if (pattern[i] != i * 0x0101010101010101ul)
			self->verdict = "the frame on the alternate stack changed";
	if (!self->verdict)
		self->verdict = check_inside(self);
}

static const char *check_after(const struct runner *r)
{
	stack_t ss;

	need(sigaltstack(NULL, &ss) == 0);
	need(ss.ss_sp == r->stack && ss.ss_size == sizeof(r->stack));
	need((unsigned int)ss.ss_flags == r->flags);
	return NULL;
}

static void *work(void *arg)
{
	struct runner *r = arg;
	stack_t ss = { .ss_sp = r->stack, .ss_size = sizeof(r->stack), .ss_flags = (int)r->flags };

	self = r;
	if (sigaltstack(&ss, NULL) < 0)
		_exit(4);
	pthread_kill(pthread_self(), SIGUSR1);
	if (!r->verdict)
		r->verdict = check_after(r);
	return NULL;
}

static const char *prepare(void)
{
	stack_t ss = { .ss_sp = idle_stack, .ss_size = sizeof(idle_stack) };
	struct sigaction sa = { .sa_handler = in_handler, .sa_flags = SA_ONSTACK };

	need(sigaction(SIGUSR1, &sa, NULL) == 0);
	need(sigaltstack(&ss, NULL) == 0);
	runners[1].flags = SS_AUTODISARM;
	for (int i = 0; i < 2; i++)
		need(pthread_create(&runners[i].thread, NULL, work, &runners[i]) == 0);
	while (running < 2)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	stack_t ss;

	stop = 1;
	for (int i = 0; i < 2; i++) {
		need(pthread_join(runners[i].thread, NULL) == 0);
		pass_on(runners[i].verdict);
	}
	need(sigaltstack(NULL, &ss) == 0);
	need(ss.ss_sp == idle_stack && ss.ss_size == sizeof(idle_stack) && ss.ss_flags == 0);
	return NULL;
}

const struct subject subject = {
	.about = "alternate stacks: idle, in use, disarmed",
	.prepare = prepare,
	.verify = verify,
};
