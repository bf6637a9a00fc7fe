/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who is in which group and session, by the order of birth; 0: none. */
enum {
	SIBLING_LED,  /* in the group of a younger sibling */
	SIBLING,      /* its leader */
	ORPHANED,     /* in a group whose leader is gone */
	ORPHANED_TOO, /* a child of that one, in it */
	PARENT,       /* in the group of its child */
	CHILD,        /* and that */
	SESSION,      /* has begun a session when it had a child */
	BEFORE,       /* which is in the session and group from before */
	AFTER,        /* born behind that */
	AFTER_BEFORE, /* a child of BEFORE, in a group whose leader is gone */
	N
};
static struct one {
	pid_t pid, group, session, parent;
} all[N];
struct answer { /* in one piece in the pipe */
	int which;
	struct one one;
};
static int ready[2];

static bool tell(int which)
{
	struct answer a = { which, { getpid(), getpgrp(), getsid(0), getppid() } };

	return write(ready[1], &a, sizeof(a)) == (ssize_t)sizeof(a);
}

static void stay(int which)
{
	if (!tell(which))
		_exit(1);
	for (;;)
		pause();
}

static pid_t make(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(2);
	}
	return pid;
}

static void run_pause(void)
{
	for (;;)
		pause();
}

/* Into a group whose leader is gone by then. */
static bool join_gone(void)
{
	pid_t leader = make(run_pause);

	return leader > 0 && setpgid(leader, leader) == 0 && setpgid(0, leader) == 0 &&
	       kill(leader, SIGKILL) == 0 && waitpid(leader, NULL, 0) == leader;
}

static void run_orphaned_too(void)
{
	stay(ORPHANED_TOO);
}
static void run_orphaned(void)
{
	if (join_gone() && make(run_orphaned_too) > 0)
		stay(ORPHANED);
}
static void run_parent(void)
{
	pid_t child = make(run_pause);

	if (child < 0 || setpgid(child, child) || setpgid(0, child))
		return;
	all[CHILD].pid = child;
	stay(PARENT);
}
static void run_after_before(void)
{
	if (join_gone())
		stay(AFTER_BEFORE);
}
static void run_before(void)
{
	if (make(run_after_before) > 0)
		stay(BEFORE);
}
static void run_after(void)
{
	stay(AFTER);
}
static void run_session(void)
{
	if (make(run_before) > 0 && setsid() > 0 && make(run_after) > 0)
		stay(SESSION);
}
static void run_sibling_led(void)
{
	stay(SIBLING_LED);
}

static const char *read_all(int n)
{
	for (int i = 0; i < n; i++) {
		struct answer a;

		need(read(ready[0], &a, sizeof(a)) == (ssize_t)sizeof(a));
		need(a.which >= 0 && a.which < N);
		all[a.which] = a.one;
	}
	return NULL;
}

static const char *prepare(void)
{
	/* All orphans come here, to be waited for in the end. */
	need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	need(pipe(ready) == 0);
	need(make(run_sibling_led) > 0 && make(run_orphaned) > 0 && make(run_parent) > 0 &&
	     make(run_session) > 0);
	pass_on(read_all(N - 2));
	all[CHILD] =
		(struct one){ all[PARENT].group, all[PARENT].group, getsid(0), all[PARENT].pid };
	need(getpgid(all[CHILD].pid) == all[CHILD].group);
	all[SIBLING].pid = make(run_pause);
	need(all[SIBLING].pid > 0 && setpgid(all[SIBLING].pid, all[SIBLING].pid) == 0 &&
	     setpgid(all[SIBLING_LED].pid, all[SIBLING].pid) == 0);
	all[SIBLING].group = all[SIBLING_LED].group = all[SIBLING].pid;
	all[SIBLING].session = getsid(0);
	need(all[BEFORE].session == getsid(0) && all[AFTER].session == all[SESSION].pid);
	need(all[AFTER_BEFORE].group != all[BEFORE].group);
	return NULL;
}

static const char *verify(void)
{
	for (int i = 0; i < N; i++) {
		need(getpgid(all[i].pid) == all[i].group);
		need(getsid(all[i].pid) == all[i].session);
	}
	/* A signal to a group whose leader is gone reaches who is in it, and nobody else. */
	need(kill(-all[ORPHANED].group, 0) == 0);
	for (int i = 0; i < N; i++)
		need(kill(all[i].pid, SIGKILL) == 0);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	return NULL;
}

const struct subject subject = {
	.about =
		"process groups and sessions: leaders elsewhere or gone, children from before a setsid",
	.prepare = prepare,
	.verify = verify,
};
