/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Who is in a session whose leader is gone, or a zombie. All are children of the subject but BELOW. */
enum {
	DAEMON,     /* as any daemon: its parent has begun the session and exited */
	BELOW,      /* a child of that */
	OTHER,      /* of the same session, with a group of its own */
	GONE_GROUP, /* of the same session, in a group whose leader is gone too */
	ENDED,      /* of the same session, a zombie */
	OF_ZOMBIE,  /* of another session, whose leader is a zombie */
	WITH_CHILD, /* of a third one, whose leader is gone; it has begun a session of its own */
	BEFORE,     /* its child from before that, in the third one still */
	N
};
static struct one {
	pid_t pid, group, session, parent;
} * all;
static pid_t zombie;
static atomic_int told;

static void on_child(int signal)
{
	(void)signal;
	told++;
}

static void note(int which)
{
	all[which].group = getpgrp();
	all[which].session = getsid(0);
	atomic_thread_fence(memory_order_release);
	*(volatile pid_t *)&all[which].pid = getpid();
}

static void stay(int which)
{
	note(which);
	for (;;)
		pause();
}

static bool is_there(int which)
{
	for (int turn = 0; turn < 10000; turn++) {
		if (*(volatile pid_t *)&all[which].pid)
			return true;
		usleep(1000);
	}
	return false;
}

static pid_t make(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

static void run_pause(void)
{
	for (;;)
		pause();
}

static void run_below(void)
{
	stay(BELOW);
}
static void run_daemon(void)
{
	if (make(run_below) > 0)
		stay(DAEMON);
}
static void run_other(void)
{
	if (setpgid(0, 0) == 0)
		stay(OTHER);
}
static void run_gone_group(void)
{
	pid_t leader = make(run_pause);

	if (leader > 0 && setpgid(leader, leader) == 0 && setpgid(0, leader) == 0 &&
	    kill(leader, SIGKILL) == 0 && waitpid(leader, NULL, 0) == leader)
		stay(GONE_GROUP);
}
static void run_ended(void)
{
	note(ENDED);
	_exit(33);
}
static void run_of_zombie(void)
{
	stay(OF_ZOMBIE);
}
static void run_before(void)
{
	stay(BEFORE);
}
static void run_with_child(void)
{
	if (make(run_before) > 0 && setsid() > 0)
		stay(WITH_CHILD);
}

static void lead_first(void)
{
	if (setsid() > 0 && make(run_daemon) > 0 && make(run_other) > 0 && make(run_gone_group) > 0)
		make(run_ended);
}
static void lead_zombie(void)
{
	if (setsid() > 0 && make(run_of_zombie) > 0)
		_exit(44);
}
static void lead_third(void)
{
	if (setsid() > 0)
		make(run_with_child);
}

static bool has_ended(pid_t pid)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) == 0;
}

static const char *prepare(void)
{
	struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };
	pid_t first, third;

	all = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(all != MAP_FAILED);
	need(sigaction(SIGCHLD, &action, NULL) == 0);
	/* Whoever loses its parent comes here. */
	need(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
	first = make(lead_first);
	need(first > 0 && waitpid(first, NULL, 0) == first);
	zombie = make(lead_zombie);
	need(zombie > 0 && has_ended(zombie));
	third = make(lead_third);
	need(third > 0 && waitpid(third, NULL, 0) == third);
	for (int i = 0; i < N; i++)
		need(is_there(i));
	need(has_ended(all[ENDED].pid));
	for (int i = 0; i < N; i++)
		all[i].parent = getpid();
	all[BELOW].parent = all[DAEMON].pid;
	all[BEFORE].parent = all[WITH_CHILD].pid;
	need(all[DAEMON].session == first && all[OF_ZOMBIE].session == zombie);
	need(all[BEFORE].session == third && all[WITH_CHILD].session == all[WITH_CHILD].pid);
	told = 0;
	return NULL;
}

static const char *verify(void)
{
	siginfo_t si = { 0 };

	need(told == 0);
	for (int i = 0; i < N; i++) {
		need(getpgid(all[i].pid) == all[i].group);
		need(getsid(all[i].pid) == all[i].session);
	}
	need(waitid(P_PID, (id_t)zombie, &si, WEXITED) == 0 && si.si_status == 44);
	need(waitid(P_PID, (id_t)all[ENDED].pid, &si, WEXITED) == 0 && si.si_status == 33);
	/* A signal to the group of the session's leader reaches who is in it. */
	need(kill(-all[DAEMON].group, SIGKILL) == 0);
	for (int i = 0; i < N; i++)
		if (i != ENDED && all[i].group != all[DAEMON].group)
			need(kill(all[i].pid, SIGKILL) == 0);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	return NULL;
}

const struct subject subject = {
	.about = "sessions whose leader is gone, or a zombie: members, groups, zombies in them",
	.prepare = prepare,
	.verify = verify,
};
