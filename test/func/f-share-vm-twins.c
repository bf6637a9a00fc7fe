/* SPDX-License-Identifier: MIT */
/*
 * Siblings that share memory which their parent has not: whoever has made them has ended, and they are the subject's
 * children by now. Each has something of its own.
 */
#include "subject.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

enum {
	MAKER,   /* has ended */
	FIRST,   /* shares all */
	SECOND,  /* likewise, and leads a group */
	BARE,    /* shares memory alone, leads a session, is stopped */
	WENT_ON, /* was stopped and continued, which the subject has not waited for */
	BELOW,   /* child of SECOND, with the memory */
	APART,   /* and without */
	OTHER,   /* an ordinary child of the subject */
	N_KIN
};

#define BASE 40

static long lead_group(long unused)
{
	(void)unused;
	return setpgid(0, 0);
}

static long lead_session(long unused)
{
	(void)unused;
	return setsid();
}

static long ignore(long signal)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	return sigaction((int)signal, &action, NULL);
}

static long ignores(long signal)
{
	struct sigaction action;

	return sigaction((int)signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static long parent(long unused)
{
	(void)unused;
	return getppid();
}

static const char *make_all(void)
{
	unsigned long all = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND;
	pid_t maker = kin_clone(MAKER, 0);

	need(maker > 0 && kin_clone(OTHER, 0) > 0);
	need(kin_do(MAKER, KIN_CLONE, FIRST, all) > 0);
	need(kin_do(MAKER, KIN_CLONE, BARE, CLONE_VM) > 0);
	need(kin_do(MAKER, KIN_CLONE, SECOND, all) > 0);
	need(kin_do(MAKER, KIN_CLONE, WENT_ON, CLONE_VM | CLONE_FS) > 0);
	need(kin_do(SECOND, KIN_CLONE, BELOW, CLONE_VM | CLONE_FILES) > 0);
	need(kin_do(SECOND, KIN_CLONE, APART, 0) > 0);
	need(kin_do(MAKER, KIN_EXIT, 0, 0) == 0 && waitpid(maker, NULL, 0) == maker);
	return NULL;
}

static long ask(unsigned int number, int what)
{
	siginfo_t si;

	memset(&si, 0, sizeof(si));
	if (waitid(P_PID, (id_t)kin_pid(number), &si, what | WNOHANG) < 0)
		return -1;
	return si.si_pid ? si.si_code : 0;
}

static const char *stop(unsigned int number)
{
	need(kill(kin_pid(number), SIGSTOP) == 0);
	while (subject_state(kin_pid(number)) != 'T')
		usleep(1000);
	return NULL;
}

static const char *prepare(void)
{
	need(kin_init() == 0);
	pass_on(make_all());
	need(kin_run(SECOND, lead_group, 0) == 0 &&
	     kin_run(BARE, lead_session, 0) == kin_pid(BARE));
	need(kin_run(FIRST, kin_set_value, 42) == 0 && kin_run(SECOND, ignore, SIGUSR1) == 0);
	need(kin_do(SECOND, KIN_OPEN, BASE, 0) == BASE);
	strcpy(kin_text(WENT_ON), "/");
	need(kin_do(WENT_ON, KIN_CD, 0, 0) == 0);
	pass_on(stop(BARE));
	pass_on(stop(WENT_ON));
	need(kill(kin_pid(WENT_ON), SIGCONT) == 0 && kin_run(WENT_ON, kin_get_value, 0) == 42);
	return NULL;
}

static const char *verify(void)
{
	need(subject_state(kin_pid(BARE)) == 'T' && ask(BARE, WSTOPPED) == CLD_STOPPED);
	need(kill(kin_pid(BARE), SIGCONT) == 0);
	need(ask(WENT_ON, WCONTINUED) == CLD_CONTINUED && ask(WENT_ON, WCONTINUED) == 0);
	need(kin_run(SECOND, kin_set_value, 43) == 0);
	for (unsigned int i = FIRST; i < N_KIN; i++) {
		bool is_below = i == BELOW || i == APART;

		need(kin_run(i, kin_get_value, 0) == (i == OTHER || i == APART ? 0 : 43));
		need(kin_run(i, ignores, SIGUSR1) == (i == FIRST || i == SECOND));
		need(kin_run(i, parent, 0) == (is_below ? kin_pid(SECOND) : getpid()));
		need(kin_do(i, KIN_HAS, BASE, 0) ==
		     (i == FIRST || i == SECOND || i == BELOW ? 3 : 0));
	}
	need(kin_get_value(0) == 0 && getpgid(kin_pid(SECOND)) == kin_pid(SECOND));
	need(getsid(kin_pid(BARE)) == kin_pid(BARE) && getpgid(kin_pid(FIRST)) == getpgid(0));
	need(kin_do(FIRST, KIN_CLOSE, BASE, 0) == 0 && kin_do(BELOW, KIN_HAS, BASE, 0) == 0);
	strcpy(kin_text(FIRST), "");
	need(kin_do(FIRST, KIN_PWD, 0, 0) == 0 && !strcmp(kin_text(FIRST), "/"));
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "siblings with memory that their parent has not",
	.prepare = prepare,
	.verify = verify,
};
