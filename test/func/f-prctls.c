/* SPDX-License-Identifier: MIT */
/* Attributes that only the task itself can tell; a second thread has other values. */
#include "subject.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

enum {
	DEATH_SIGNAL,
	SUBREAPER,
	TSC,
	MCE_KILL,
	SLACK,
	THP_DISABLE,
	NO_NEW_PRIVS,
	MDWE,
	STORE_BYPASS,
	BRANCH,
	DUMPABLE,
	MERGE,
	L1D_FLUSH,
	CPUID,
	N
};
static const char *const names[N] = {
	"pdeath_sig",      "subreaper",   "tsc",
	"mce_kill",        "timer slack", "thp_disable",
	"no_new_privs",    "mdwe",        "speculative store bypass",
	"indirect branch", "dumpable",    "memory merge",
	"L1D flush",       "cpuid",
};

static int main_before[N], thread_before[N];
static pthread_t thread;
static volatile int stop, running;

static void learn(int values[N])
{
	for (int i = 0; i < N; i++)
		values[i] = 0;
	prctl(PR_GET_PDEATHSIG, &values[DEATH_SIGNAL]);
	prctl(PR_GET_CHILD_SUBREAPER, &values[SUBREAPER]);
	prctl(PR_GET_TSC, &values[TSC]);
	values[MCE_KILL] = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	values[SLACK] = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	values[THP_DISABLE] = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	values[NO_NEW_PRIVS] = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	values[MDWE] = prctl(PR_GET_MDWE, 0, 0, 0, 0);
	values[STORE_BYPASS] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	values[BRANCH] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, 0, 0, 0);
	values[DUMPABLE] = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	values[MERGE] = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	values[L1D_FLUSH] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0);
	values[CPUID] = (int)syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0);
}

static const char *check(const int before[N])
{
	int now[N];

	learn(now);
	for (int i = 0; i < N; i++)
		if (now[i] != before[i])
			return wrong("%s is %d, was %d", names[i], now[i], before[i]);
	return NULL;
}

static void *work(void *unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGWINCH);
	prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_LATE, 0, 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0);
	/* Not every processor has these. */
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_FORCE_DISABLE, 0, 0);
	prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0);
	syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
	prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	learn(thread_before);
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)check(thread_before);
}

static const char *prepare(void)
{
	need(prctl(PR_SET_PDEATHSIG, SIGURG) == 0);
	need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	need(prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0) == 0);
	need(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	need(prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) == 0 || errno == EINVAL);
	need(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	need(prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0 || errno == EINVAL);
	need(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
	learn(main_before);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	void *text;

	pass_on(check(main_before));
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	return text;
}

const struct subject subject = {
	.about = "attributes set by prctl, of the process and of each thread",
	.prepare = prepare,
	.verify = verify,
};
