/* SPDX-License-Identifier: MIT */
/*
 * Tasks that share an I/O context: what is set of one all have. Processes and threads, one context below another,
 * and some that have only got a copy.
 */
#include "subject.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kin.h"

enum {
	SHARES,        /* the context of the subject */
	BELOW,         /* its child, and shares it too */
	THREAD,        /* of the subject, likewise */
	COPY,          /* was born with the same priority, in a context of its own */
	OTHER,         /* has another */
	OF_OTHER,      /* and a child that shares it */
	OTHER_THREAD,  /* of the subject, has one of its own */
	SECOND_THREAD, /* made by that, shares it */
	NONE,          /* its child has no priority */
	N_KIN
};

#define PRIO(n) IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, n)

static pid_t tids[N_KIN];

static long get(pid_t tid)
{
	return syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);
}

static long set(pid_t tid, int prio)
{
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, prio);
}

static long make_thread(long number)
{
	return kin_raw_thread((unsigned int)number, number == OTHER_THREAD ? 0 : CLONE_IO);
}

static const char *prepare(void)
{
	need(kin_init() == 0);
	if (set(0, PRIO(5)) < 0 && errno == ENOSYS)
		return lacks("this kernel has no I/O priorities");
	tids[SHARES] = kin_clone(SHARES, CLONE_IO);
	tids[BELOW] = (pid_t)kin_do(SHARES, KIN_CLONE, BELOW, CLONE_IO);
	tids[THREAD] = (pid_t)make_thread(THREAD);
	tids[COPY] = kin_clone(COPY, 0);
	tids[OTHER] = kin_clone(OTHER, 0);
	need(set(tids[OTHER], PRIO(3)) == 0);
	tids[OF_OTHER] = (pid_t)kin_do(OTHER, KIN_CLONE, OF_OTHER, CLONE_IO);
	tids[OTHER_THREAD] = (pid_t)make_thread(OTHER_THREAD);
	need(set(tids[OTHER_THREAD], PRIO(2)) == 0);
	tids[SECOND_THREAD] =
		(pid_t)kin_do(OTHER_THREAD, KIN_CALL, (long)make_thread, SECOND_THREAD);
	tids[NONE] = (pid_t)kin_do(SHARES, KIN_CLONE, NONE, 0);
	need(set(tids[NONE], 0) == 0);
	for (unsigned int i = 0; i < N_KIN; i++)
		need(tids[i] > 0);
	return NULL;
}

/* Of all, one digit each. */
static long all(void)
{
	long sum = get(0) & 7;

	for (unsigned int i = 0; i < N_KIN; i++)
		sum = 10 * sum + (get(tids[i]) & 7);
	return sum;
}

static const char *verify(void)
{
	need(get(tids[NONE]) == 0);
	if (all() != 5555533220)
		return wrong("the priorities are %ld", all());
	need(set(tids[BELOW], PRIO(6)) == 0);
	if (all() != 6666533220)
		return wrong("with another for the first context they are %ld", all());
	need(set(tids[OF_OTHER], PRIO(4)) == 0 && set(tids[SECOND_THREAD], PRIO(1)) == 0);
	if (all() != 6666544110)
		return wrong("with another for all contexts they are %ld", all());
	need(set(tids[NONE], PRIO(7)) == 0 && set(tids[COPY], PRIO(0)) == 0);
	if (all() != 6666044117)
		return wrong("with another for those that share none they are %ld", all());
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "I/O contexts that tasks share (CLONE_IO), and some that they do not",
	.prepare = prepare,
	.verify = verify,
};
