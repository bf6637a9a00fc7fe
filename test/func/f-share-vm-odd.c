/* SPDX-License-Identifier: MIT */
/*
 * Processes that share memory, each with something of its own: session, process group, user, filter, children that
 * have ended, descriptors that it shares with one who has other memory, a first thread that has exited.
 */
#include "subject.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif

enum {
	ALL,       /* everything with the subject */
	OF_ALL,    /* and its child with that one */
	SESSION,   /* leads one */
	EARLY,     /* its child from before */
	LATE,      /* and after that, by fork */
	GROUP,     /* leads one */
	OF_GROUP,  /* is in it, a child of ALL */
	NOBODY,    /* another user, who may not make one call */
	FILTERED,  /* nor may this one */
	HEADLESS,  /* its first thread has exited */
	HEADLESS2, /* its other thread */
	ENDED,     /* a child of GROUP, which has not waited for it */
	FILES,     /* of ALL, by fork, has the descriptors of all of them */
	LOCKED,    /* has asked for locks of what is mapped later, which all have */
	NARROW,    /* may map nothing more */
	N_KIN
};

#define BASE 40
#define USER 65534

static long begin_session(long unused)
{
	(void)unused;
	return setsid();
}

static long session_of(long pid)
{
	return getsid((pid_t)pid);
}

static long enter_group(long group)
{
	return setpgid(0, (pid_t)group);
}

static long group_of(long pid)
{
	return getpgid((pid_t)pid);
}

/* Of this process alone: libc would ask the threads that it knows. */
static long change_user(long user)
{
	return syscall(SYS_setresuid, user, user, user);
}

static long get_user(long unused)
{
	(void)unused;
	return syscall(SYS_getuid);
}

static long dumpable(long to)
{
	return to < 0 ? prctl(PR_GET_DUMPABLE) : prctl(PR_SET_DUMPABLE, to);
}

static long forbid(long nr)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = code };

	/* Root needs no promise. */
	if (geteuid() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Gives what it says. */
static long make_call(long nr)
{
	return syscall(nr, 0, 0, 0, 0) < 0 ? errno : 0;
}

static long raw_thread(long number)
{
	return kin_raw_thread((unsigned int)number, 0);
}

static long exit_thread(long unused)
{
	(void)unused;
	return syscall(SYS_exit, 3);
}

static long limit_space(long bytes)
{
	struct rlimit limit = { (rlim_t)bytes, RLIM_INFINITY };

	return setrlimit(RLIMIT_AS, &limit);
}

static long may_map(long unused)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)unused;
	return at != MAP_FAILED && munmap(at, 4096) == 0;
}

/* Whether it has a child that has ended so. */
static long has_ended(long pid)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0 && si.si_code == CLD_EXITED &&
	       si.si_status == 0;
}

static long lock_future(long how)
{
	return mlockall((int)how);
}

/* Of the memory; before Linux 6.3 there is none. */
static long forbid_code(long bits)
{
	return prctl(PR_SET_MDWE, bits, 0, 0, 0) < 0 ? errno : 0;
}

static long forbids_code(long unused)
{
	(void)unused;
	return prctl(PR_GET_MDWE, 0, 0, 0, 0);
}

static long huge_pages(long off)
{
	return off < 0 ? prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0)
		       : prctl(PR_SET_THP_DISABLE, off, 0, 0, 0);
}

static const char *clone_all(void)
{
	unsigned long all = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND;

	need(kin_clone(ALL, all) > 0 && kin_do(ALL, KIN_CLONE, OF_ALL, all) > 0);
	need(kin_do(ALL, KIN_CLONE, FILES, CLONE_FILES) > 0);
	need(kin_clone(SESSION, CLONE_VM) > 0);
	need(kin_do(SESSION, KIN_CLONE, EARLY, CLONE_VM | CLONE_SIGHAND) > 0);
	need(kin_run(SESSION, begin_session, 0) == kin_pid(SESSION));
	need(kin_do(SESSION, KIN_CLONE, LATE, 0) > 0);
	need(kin_clone(GROUP, CLONE_VM | CLONE_FILES) > 0);
	need(kin_run(GROUP, enter_group, 0) == 0);
	need(kin_do(GROUP, KIN_CLONE, ENDED, 0) > 0);
	need(kin_do(ALL, KIN_CLONE, OF_GROUP, CLONE_VM) > 0);
	need(kin_run(OF_GROUP, enter_group, kin_pid(GROUP)) == 0);
	need(kin_clone(NOBODY, CLONE_VM | CLONE_SIGHAND) > 0);
	need(kin_clone(FILTERED, CLONE_VM | CLONE_FILES) > 0);
	need(kin_clone(HEADLESS, CLONE_VM | CLONE_SIGHAND) > 0);
	need(kin_run(HEADLESS, raw_thread, HEADLESS2) > 0);
	need(kin_clone(LOCKED, CLONE_VM) > 0 && kin_clone(NARROW, CLONE_VM) > 0);
	return NULL;
}

static pid_t ended;
static long forbids;

static const char *prepare(void)
{
	need(kin_init() == 0);
	pass_on(clone_all());
	ended = kin_pid(ENDED);
	need(kin_do(ENDED, KIN_EXIT, 0, 0) == 0 && kin_run(GROUP, has_ended, ended) == 1);
	kin_order(HEADLESS, KIN_CALL, (long)exit_thread, 0);
	while (subject_state(kin_pid(HEADLESS)) != 'Z')
		sched_yield();
	need(kin_run(NARROW, limit_space, 4096) == 0);
	need(kin_run(FILTERED, forbid, SYS_sched_yield) == 0);
	/* It could not have that filter once more. */
	need(kin_run(NOBODY, forbid, SYS_sched_yield) == 0);
	need(geteuid() || kin_run(NOBODY, change_user, USER) == 0);
	need(kin_run(LOCKED, lock_future, MCL_FUTURE) == 0 || errno == EPERM || errno == ENOMEM);
	need(kin_run(NOBODY, dumpable, 1) == 0 && kin_run(OF_GROUP, huge_pages, 1) == 0);
	forbids = kin_run(GROUP, forbid_code, 1);
	need(forbids == 0 || forbids == EINVAL);
	need(kin_do(OF_ALL, KIN_OPEN, BASE, 0) == BASE);
	kin_set_value(42);
	return NULL;
}

static const char *verify(void)
{
	for (unsigned int i = 0; i < N_KIN; i++) {
		bool has = i != LATE && i != FILES;

		if (i == HEADLESS || i == ENDED)
			continue;
		need(kin_run(i, kin_get_value, 0) == (has ? 42 : 0));
		need(kin_run(i, make_call, SYS_sched_yield) ==
		     (i == FILTERED || i == NOBODY ? EXDEV : 0));
		need(kin_run(i, may_map, 0) == (i != NARROW));
		need(kin_run(i, huge_pages, -1) == has);
		need(forbids || kin_run(i, forbids_code, 0) == has);
		need(kin_run(i, get_user, 0) == (i == NOBODY && !geteuid() ? USER : getuid()));
		need(kin_do(i, KIN_HAS, BASE, 0) ==
		     (i == ALL || i == OF_ALL || i == FILES || i == GROUP || i == FILTERED ? 3
											   : 0));
	}
	need(kin_run(SESSION, session_of, 0) == kin_pid(SESSION));
	need(kin_run(LATE, session_of, 0) == kin_pid(SESSION));
	need(kin_run(EARLY, session_of, 0) == getsid(0));
	need(kin_run(OF_GROUP, group_of, 0) == kin_pid(GROUP));
	need(kin_run(GROUP, has_ended, ended) == 1);
	need(dumpable(-1) == 1 && kin_run(HEADLESS2, dumpable, 0) == 0 && dumpable(-1) == 0);
	need(kin_run(OF_ALL, dumpable, 1) == 0);
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "processes that share memory and little else",
	.prepare = prepare,
	.verify = verify,
};
