/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t plain_calls, info_code, info_value, mask_in_handler, on_stack;
static char stack[65536];

static void plain(int sig)
{
	(void)sig;
	plain_calls++;
}

static void with_info(int sig, siginfo_t *info, void *context)
{
	sigset_t now;
	char here;

	(void)sig, (void)context;
	info_code = info->si_code;
	info_value = info->si_value.sival_int;
	sigprocmask(SIG_BLOCK, NULL, &now);
	mask_in_handler = sigismember(&now, SIGHUP) && sigismember(&now, SIGUSR2) &&
			  !sigismember(&now, SIGTERM);
	on_stack = (uintptr_t)&here - (uintptr_t)stack < sizeof(stack);
}

static struct sigaction actions[3];
/* The last one: _NSIG - 1, which libc does not tell at compile time. */
static const int signals[3] = { SIGUSR1, SIGUSR2, _NSIG - 1 };

static const char *prepare(void)
{
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	sigset_t blocked;

	actions[0].sa_handler = plain;
	actions[0].sa_flags = SA_RESTART | SA_NODEFER;
	actions[1].sa_sigaction = with_info;
	actions[1].sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&actions[1].sa_mask);
	sigaddset(&actions[1].sa_mask, SIGHUP);
	actions[2].sa_handler = plain;
	actions[2].sa_flags = SA_RESETHAND;
	for (int i = 0; i < 3; i++)
		need(sigaction(signals[i], &actions[i], NULL) == 0);
	need(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	need(sigaltstack(&ss, NULL) == 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGRTMIN + 5);
	need(sigprocmask(SIG_SETMASK, &blocked, NULL) == 0);
	return NULL;
}

static const char *check_actions(void)
{
	struct sigaction now;

	for (int i = 0; i < 3; i++) {
		need(sigaction(signals[i], NULL, &now) == 0);
		need(now.sa_handler == actions[i].sa_handler);
		need((now.sa_flags & 0x7fffffff & ~0x04000000) ==
		     (actions[i].sa_flags & 0x7fffffff));
		for (int s = 1; s < NSIG; s++)
			need(sigismember(&now.sa_mask, s) == sigismember(&actions[i].sa_mask, s));
	}
	need(sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_IGN);
	need(sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	return NULL;
}

static const char *verify(void)
{
	union sigval value = { .sival_int = 4711 };
	struct sigaction now;
	sigset_t mask;

	pass_on(check_actions());
	need(sigprocmask(SIG_BLOCK, NULL, &mask) == 0);
	for (int s = 1; s < NSIG; s++)
		need(sigismember(&mask, s) == (s == SIGINT || s == SIGRTMIN + 5) ||
		     sigismember(&mask, s) < 0);
	need(raise(SIGUSR1) == 0 && plain_calls == 1);
	need(sigqueue(getpid(), SIGUSR2, value) == 0);
	need(info_code == SI_QUEUE && info_value == 4711 && mask_in_handler && on_stack);
	need(raise(_NSIG - 1) == 0 && plain_calls == 2);
	need(sigaction(_NSIG - 1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
	need(raise(SIGPIPE) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "signal handlers with flags and masks, ignored signals, blocked signals",
	.prepare = prepare,
	.verify = verify,
};
