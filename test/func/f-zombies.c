/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* How a child ends, and what its parent is sent then. */
static const struct way {
	int status, signal, exit_signal;
	bool nobody, of_thread;
} ways[] = {
	{ 0, 0, SIGCHLD, false, false },       { 255, 0, SIGCHLD, true, false },
	{ 7, 0, SIGCHLD, false, true },        { 0, SIGKILL, SIGCHLD, false, false },
	{ 0, SIGTERM, SIGCHLD, false, false }, { 0, SIGSEGV, SIGCHLD, true, false },
	{ 0, SIGUSR2, SIGCHLD, false, true },  { 3, 0, 0, false, false },
	{ 4, 0, SIGUSR1, false, false },
};
#define N (sizeof(ways) / sizeof(ways[0]))

static pid_t children[N], leader, member;
static atomic_int told;

static void on_child(int signal)
{
	(void)signal;
	told++;
}

static void end(const struct way *w)
{
	const struct rlimit none = { 0, 0 };

	prctl(PR_SET_NAME, "ended");
	setrlimit(RLIMIT_CORE, &none);
	/* The one of libc would wait for a thread that the parent is just making. */
	if (w->nobody && getuid() == 0 && syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY))
		_exit(99);
	if (w->signal) {
		signal(w->signal, SIG_DFL);
		kill(getpid(), w->signal);
	}
	_exit(w->status);
}

static pid_t make(const struct way *w)
{
	pid_t pid = (pid_t)syscall(SYS_clone, w->exit_signal, 0, 0, 0, 0);

	if (pid == 0)
		end(w);
	return pid;
}

static void *make_in_thread(void *unused)
{
	for (size_t i = 0; i < N; i++)
		if (ways[i].of_thread)
			children[i] = make(&ways[i]);
	for (;;)
		pause();
	return unused;
}

static bool has_ended(pid_t pid)
{
	siginfo_t si = { 0 };
	int rc;

	/* The handler of SIGCHLD is one without SA_RESTART. */
	do
		rc = waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT | __WALL);
	while (rc < 0 && errno == EINTR);
	return rc == 0 && si.si_pid == pid;
}

static const char *prepare(void)
{
	struct sigaction action = { .sa_handler = on_child };
	pthread_t thread;

	need(sigaction(SIGCHLD, &action, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	need(pthread_create(&thread, NULL, make_in_thread, NULL) == 0);
	for (size_t i = 0; i < N; i++) {
		if (!ways[i].of_thread)
			children[i] = make(&ways[i]);
		while (!*(volatile pid_t *)&children[i])
			sched_yield();
		need(children[i] > 0 && has_ended(children[i]));
	}
	/* One that leads a group with somebody in it. */
	leader = fork();
	need(leader >= 0);
	if (!leader) {
		pause();
		_exit(98);
	}
	member = fork();
	need(member >= 0);
	if (!member) {
		pause();
		_exit(97);
	}
	need(setpgid(leader, leader) == 0 && setpgid(member, leader) == 0);
	need(kill(leader, SIGKILL) == 0 && has_ended(leader));
	while (told < 3)
		sched_yield();
	told = 0;
	return NULL;
}

static const char *verify(void)
{
	siginfo_t si;

	need(told == 0);
	need(getpgid(leader) == leader && getpgid(member) == leader);
	for (size_t i = 0; i < N; i++) {
		const struct way *w = &ways[i];
		uid_t uid = w->nobody && getuid() == 0 ? NOBODY : getuid();

		/* One that does not send SIGCHLD is a "clone" child. */
		memset(&si, 0, sizeof(si));
		if (w->exit_signal != SIGCHLD)
			need(waitid(P_PID, (id_t)children[i], &si, WEXITED) < 0);
		need(waitid(P_PID, (id_t)children[i], &si,
			    WEXITED | (w->exit_signal == SIGCHLD ? 0 : __WCLONE)) == 0);
		need(si.si_pid == children[i] && si.si_uid == uid);
		need(si.si_code == (w->signal ? CLD_KILLED : CLD_EXITED));
		need(si.si_status == (w->signal ? w->signal : w->status));
	}
	need(kill(-leader, SIGKILL) == 0);
	need(waitpid(leader, NULL, 0) == leader && waitpid(member, NULL, 0) == member);
	return NULL;
}

const struct subject subject = {
	.about = "zombies: status, signal, user, group, no second signal for them",
	.prepare = prepare,
	.verify = verify,
};
