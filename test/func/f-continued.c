/* SPDX-License-Identifier: MIT */
/*
 * Processes that were stopped and continued, and whose parents have not waited for that: children of the subject,
 * of a thread of it, of such a child; among others of whom that is not so.
 */
#include "subject.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

enum {
	ONCE,
	BELOW,  /* its child */
	TWICE,  /* with SIGCONT blocked, and pending */
	TOLD,   /* the subject has waited for it */
	AGAIN,  /* and is stopped once more */
	MEMBER, /* has the subject's memory */
	ENDED,  /* was continued before it ended */
	THREAD, /* of the subject */
	OF_THREAD,
	N_KIN
};

static atomic_int told, went_on;
static int told_before;

static void on_signal(int signal)
{
	if (signal == SIGCHLD)
		told++;
	else
		went_on++;
}

static long times_on(long unused)
{
	(void)unused;
	return went_on;
}

static long block(long signal)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, (int)signal);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

static long pends(long signal)
{
	sigset_t set;

	return sigpending(&set) < 0 ? -1 : sigismember(&set, (int)signal);
}

/* What the caller is told of its child: the code, 0: nothing. */
static long ask(long pid, int what)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	if (waitid(P_PID, (id_t)pid, &si, what | WNOHANG) < 0)
		return -1;
	return si.si_pid ? si.si_code : 0;
}

static long ask_continued(long pid)
{
	return ask(pid, WCONTINUED);
}

/* A child of the subject's, which is told of each. */
static const char *send_to(unsigned int number, int signal, char until)
{
	int before = told;

	need(kill(kin_pid(number), signal) == 0);
	while (told == before || (subject_state(kin_pid(number)) == 'T') != (until == 'T'))
		usleep(1000);
	return NULL;
}

static const char *stop_and_continue(unsigned int number)
{
	pass_on(send_to(number, SIGSTOP, 'T'));
	pass_on(send_to(number, SIGCONT, 0));
	return NULL;
}

static const char *make_all(void)
{
	need(kin_clone(ONCE, 0) > 0 && kin_clone(TWICE, 0) > 0 && kin_clone(TOLD, 0) > 0);
	need(kin_clone(AGAIN, 0) > 0 && kin_clone(MEMBER, CLONE_VM) > 0 && kin_clone(ENDED, 0) > 0);
	need(kin_thread(THREAD) == 0 && kin_do(THREAD, KIN_CLONE, OF_THREAD, 0) > 0);
	need(kin_run(ONCE, block, SIGCHLD) == 0 && kin_do(ONCE, KIN_CLONE, BELOW, 0) > 0);
	return NULL;
}

static pid_t ended;

static const char *prepare(void)
{
	need(kin_init() == 0);
	need(signal(SIGCHLD, on_signal) != SIG_ERR && signal(SIGCONT, on_signal) != SIG_ERR);
	pass_on(make_all());
	pass_on(stop_and_continue(ONCE));
	need(kin_run(TWICE, block, SIGCONT) == 0);
	pass_on(stop_and_continue(TWICE));
	pass_on(stop_and_continue(TWICE));
	pass_on(stop_and_continue(TOLD));
	need(ask(kin_pid(TOLD), WCONTINUED) == CLD_CONTINUED);
	pass_on(stop_and_continue(AGAIN));
	pass_on(send_to(AGAIN, SIGSTOP, 'T'));
	pass_on(stop_and_continue(MEMBER));
	pass_on(stop_and_continue(OF_THREAD));
	pass_on(stop_and_continue(ENDED));
	ended = kin_pid(ENDED);
	told_before = told;
	need(kin_do(ENDED, KIN_EXIT, 0, 0) == 0);
	while (told == told_before)
		usleep(1000);
	need(kill(kin_pid(BELOW), SIGSTOP) == 0);
	while (subject_state(kin_pid(BELOW)) != 'T')
		usleep(1000);
	need(kill(kin_pid(BELOW), SIGCONT) == 0 && kin_run(BELOW, times_on, 0) == 1);
	need(kin_run(ONCE, times_on, 0) == 1 && kin_run(TWICE, pends, SIGCONT) == 1);
	need(kin_run(ONCE, pends, SIGCHLD) == 1);
	told_before = told;
	return NULL;
}

static const char *verify(void)
{
	static const unsigned int own[] = { ONCE, TWICE, OF_THREAD, MEMBER };

	if (told != told_before)
		return wrong("%d signals more for children", told - told_before);
	need(subject_state(kin_pid(AGAIN)) == 'T');
	need(ask(kin_pid(AGAIN), WCONTINUED) == 0 && ask(kin_pid(AGAIN), WSTOPPED) == CLD_STOPPED);
	need(ask(kin_pid(TOLD), WCONTINUED) == 0);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		int first = (int)ask(kin_pid(own[i]), WCONTINUED);
		int second = (int)ask(kin_pid(own[i]), WCONTINUED);

		if (first != CLD_CONTINUED || second)
			return wrong("of kin %u is told %d, then %d", own[i], first, second);
	}
	need(kin_run(ONCE, ask_continued, kin_pid(BELOW)) == CLD_CONTINUED);
	need(kin_run(ONCE, ask_continued, kin_pid(BELOW)) == 0 &&
	     kin_run(ONCE, pends, SIGCHLD) == 1);
	need(ask(ended, WCONTINUED | WEXITED) == CLD_EXITED);
	need(kin_run(ONCE, times_on, 0) == 1 && kin_run(BELOW, times_on, 0) == 1);
	need(kin_run(TWICE, times_on, 0) == 0 && kin_run(TWICE, pends, SIGCONT) == 1);
	need(kin_run(ONCE, pends, SIGCONT) == 0 && pends(SIGCHLD) == 0);
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "children that were stopped and continued, which nobody has waited for",
	.prepare = prepare,
	.verify = verify,
};
