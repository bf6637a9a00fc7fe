/* SPDX-License-Identifier: MIT */
/*
 * cr as parent. A shell knows cr, not the tree: so cr does what the tree does. When the root stops, cr
 * takes the terminal and stops as well; when the shell lets it go on, in the foreground or not, it lets
 * the tree go on. What is typed reaches the tree by the terminal, being in the foreground; other signals
 * for cr are passed on. All signals are blocked in cr but while it stops.
 */
#include "restore/internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compat.h"

static bool is_stop(int sig)
{
	return sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* To the root's group and, if that is another, to the one with the terminal. */
static void signal_groups(const struct restore *r, int sig)
{
	const struct terminal *t = &r->terminal;

	kill(-(pid_t)t->root, sig);
	if (t->group != t->root)
		kill(-(pid_t)t->group, sig);
}

/*
 * As the terminal would have stopped all of cr's group, for a shell waits for the whole of it. In a group
 * that nobody could let go on the kernel does not: no SIGCONT has come then, and false is given.
 */
static bool stop_like(int sig)
{
	const struct timespec none = { 0 };
	sigset_t set, cont;
	int own = is_stop(sig) ? sig : SIGTSTP;

	signal(own, SIG_DFL);
	kill(is_stop(sig) ? 0 : getpid(), own);
	sigemptyset(&set);
	sigaddset(&set, own);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&cont);
	sigaddset(&cont, SIGCONT);
	return sigtimedwait(&cont, NULL, &none) == SIGCONT;
}

static void root_stopped(struct restore *r, int sig)
{
	bool wants_terminal = sig == SIGTTIN || sig == SIGTTOU;

	/* The shell has made a running job the one in the foreground, of which cr was not told. */
	if (wants_terminal && !r->terminal.is_held && terminal_is_ours(r)) {
		terminal_give(r);
		signal_groups(r, SIGCONT);
		return;
	}
	terminal_take(r);
	if (!stop_like(sig) && !terminal_is_ours(r))
		return;
	terminal_give(r);
	signal_groups(r, SIGCONT);
}

static void pass_on(struct restore *r, const siginfo_t *si)
{
	pid_t root = (pid_t)r->processes[0].rec->id;

	if (r->terminal.role != TERMINAL_JOB) {
		kill(root, si->si_signo);
		return;
	}
	terminal_give(r);
	/* What was typed is for the whole job, and a job stops and goes on as a whole. */
	if (si->si_code == SI_KERNEL || is_stop(si->si_signo) || si->si_signo == SIGCONT)
		signal_groups(r, si->si_signo);
	else
		kill(root, si->si_signo);
}

int job_wait(struct restore *r, int *status, struct error *e)
{
	pid_t root = (pid_t)r->processes[0].rec->id;
	int how = WNOHANG | (r->terminal.role == TERMINAL_JOB ? WUNTRACED : 0);
	sigset_t all;

	sigfillset(&all);
	for (;;) {
		siginfo_t si;
		pid_t pid = waitpid(root, status, how);

		if (pid < 0)
			return fail(e, errno, "waitpid %d", root);
		if (pid == root && WIFSTOPPED(*status)) {
			root_stopped(r, WSTOPSIG(*status));
			continue;
		}
		if (pid == root)
			break;
		if (sigwaitinfo(&all, &si) > 0 && si.si_signo != SIGCHLD)
			pass_on(r, &si);
	}
	terminal_take(r);
	return 0;
}
