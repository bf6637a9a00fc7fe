/* SPDX-License-Identifier: MIT */
#include "base/ends.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>

static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
#define N_ENDS (sizeof(ends) / sizeof(ends[0]))

/* What is blocked is pending even if it is ignored. */
static bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void fill_set(sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < N_ENDS; i++)
		if (!is_ignored(ends[i]))
			sigaddset(set, ends[i]);
}

void ends_block(void)
{
	sigset_t set;

	fill_set(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int ends_open(struct error *e)
{
	sigset_t set;
	int fd;

	fill_set(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? fail(e, errno, "signalfd") : fd;
}

int ends_check(struct error *e, const char *what)
{
	sigset_t pending;
	int rc;

	sigpending(&pending);
	for (size_t i = 0; i < N_ENDS; i++) {
		if (!sigismember(&pending, ends[i]) || is_ignored(ends[i]))
			continue;
		rc = fail(e, 0, "SIG%s: %s", sigabbrev_np(ends[i]), what);
		e->exit_status = EXIT_BY_SIGNAL(ends[i]);
		return rc;
	}
	return 0;
}
