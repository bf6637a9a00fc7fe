/* SPDX-License-Identifier: MIT */
/* Cases of tasks, see subject.h. */
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"
static volatile int loud = 1;

static void deleted_cwd(void)
{
	MUST(mkdir(in_dir("folder"), 0700));
	MUST(chdir(in_dir("folder")));
	rmdir(in_dir("folder"));
}
static void *sleeper(void *unused)
{
	pause();
	return unused;
}
static void posix_timer(void)
{
	pthread_t thread;
	timer_t t;

	MUST(pthread_create(&thread, NULL, sleeper, NULL));
	MUST(timer_create(CLOCK_THREAD_CPUTIME_ID, NULL, &t));
}
static void *timer_target(void *to)
{
	struct sigevent e = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };

	e._sigev_un._tid = gettid();
	MUST(timer_create(CLOCK_MONOTONIC, &e, to));
	return NULL;
}
static void timer_orphan(void)
{
	pthread_t thread;
	timer_t t;

	MUST(pthread_create(&thread, NULL, timer_target, &t));
	MUST(pthread_join(thread, NULL));
}
static void filter_one(unsigned int nr, unsigned int verdict)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, verdict),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, f };

	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}
static void notify(void)
{
	filter_one(1000, SECCOMP_RET_USER_NOTIF);
}
/* A child under a filter that asks; its listener, as descriptor `as`. */
static pid_t supervise(int as)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1000, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, f };
	int ends[2], fd, pidfd;
	pid_t p;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	p = (pid_t)MUST(fork());
	if (!p) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
				  SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
		if (write(ends[1], &fd, sizeof(fd)) != sizeof(fd))
			_exit(1);
		/* Until the parent has it, which waits until all are closed. */
		if (read(ends[1], &fd, 1) != 1)
			_exit(1);
		for (fd = 3; fd < 40; fd++)
			close(fd);
		for (;;)
			pause();
	}
	MUST(read(ends[0], &fd, sizeof(fd)) == sizeof(fd) ? 0 : -1);
	MUST(fd);
	pidfd = (int)MUST(syscall(SYS_pidfd_open, p, 0));
	fd = (int)MUST(syscall(SYS_pidfd_getfd, pidfd, fd, 0));
	MUST(dup2(fd, as));
	close(ends[1]);
	MUST(write(ends[0], "x", 1));
	MUST(read(ends[0], &fd, 1));
	close(fd);
	close(pidfd);
	close(ends[0]);
	return p;
}
static void listen_two(void)
{
	supervise(30);
	supervise(31);
}
static void listen_nobody(void)
{
	pid_t p = supervise(30);

	MUST(kill(p, SIGKILL));
	MUST(waitpid(p, NULL, 0));
}
static void listen_filtered(void)
{
	supervise(30);
	filter_one(1000, SECCOMP_RET_ERRNO | 5);
}
/* Refused when it stands still, and before anything is known of its filter. */
static void restless(void)
{
	breakpoints();
	filter_one(SYS_restart_syscall, SECCOMP_RET_KILL_PROCESS);
}
static void no_sigreturn(void)
{
	filter_one(SYS_rt_sigreturn, SECCOMP_RET_KILL_THREAD);
}
static void trace(pid_t me)
{
	prctl(PR_SET_NAME, "the-tracer");
	if (ptrace(PTRACE_SEIZE, me, 0, 0) < 0)
		_exit(1);
}
static void traced(void)
{
	char line[64];

	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	outside(trace);
	for (int i = 0; i < 500; i++) {
		FILE *f = fopen("/proc/self/status", "re");
		int tracer = 0;

		while (f && !tracer && fgets(line, sizeof(line), f))
			sscanf(line, "TracerPid: %d", &tracer);
		if (f)
			fclose(f);
		if (tracer)
			return;
		nap();
	}
	errno = EPERM;
	must(-1, "be traced");
}
/* One session, whose leader is gone, in children of two processes. */
static void leaderless_session(void)
{
	volatile int *there =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t p;

	must(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl");
	if (fork()) {
		while (!*there)
			nap();
		return;
	}
	p = fork();
	if (!p) {
		p = setsid();
		if (!syscall(SYS_clone, CLONE_PARENT, 0, 0, 0, 0))
			stay_bound();
		if (fork())
			_exit(0);
		while (getppid() == p)
			nap();
		*there = 1;
		stay_bound();
	}
	waitpid(p, NULL, 0);
	stay_bound();
}
static void child_socket(void)
{
	int up[2];
	char c;

	MUST(pipe(up));
	if (!fork()) {
		unix_pair();
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "the-child");
		write(up[1], "x", 1);
		close(up[0]);
		close(up[1]);
		for (;;)
			nap();
	}
	read(up[0], &c, 1);
	close(up[0]);
	close(up[1]);
}
static int for_ever(void *arg)
{
	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	doze();
}
static void sharing(int (*run)(void *))
{
	char *stack = map(65536, RW, ANON, -1);

	MUST(clone(run, stack + 65536, CLONE_VM | SIGCHLD, NULL));
}
static int forked(int flags)
{
	return MUST(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0));
}
static pid_t first;
static int as_long_as_first(void *arg)
{
	(void)arg;
	while (!kill(first, 0))
		nap();
	_exit(0);
}
static int leaves_one(void *unused)
{
	(void)unused;
	sharing(as_long_as_first);
	_exit(0);
}
/* Two have one memory: a grandchild of the subject and, since whose child it was has ended, a child of it. */
static void orphans_vm(void)
{
	int up[2];
	char c;

	first = getpid();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	MUST(pipe(up));
	if (!forked(0)) {
		if (!forked(0)) {
			sharing(leaves_one);
			wait(NULL);
			MUST(write(up[1], "x", 1));
			close(up[0]);
			close(up[1]);
			as_long_as_first(NULL);
		}
		close(up[0]);
		close(up[1]);
		as_long_as_first(NULL);
	}
	MUST(read(up[0], &c, 1));
	close(up[0]);
	close(up[1]);
}
/* What the first has comes to a grandchild, and what that one's brother has to its uncle. */
static void shares_crosswise(void)
{
	if (forked(CLONE_FILES)) {
		for (int i = 0; i < 20; i++)
			nap();
		return;
	}
	prctl(PR_SET_NAME, "the-child");
	if (!forked(CLONE_FILES))
		for_ever(NULL);
	MUST(unshare(CLONE_FILES));
	if (!forked(CLONE_FILES) || !forked(CLONE_FILES | CLONE_PARENT))
		for_ever(NULL);
	MUST(unshare(CLONE_FILES));
	for_ever(NULL);
}
static void set_io(void)
{
	MUST(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3));
}
static void *own_io(void *unused)
{
	(void)unused;
	set_io();
	if (!forked((int)CLONE_IO))
		for_ever(NULL);
	*(volatile int *)&loud = 2;
	doze();
}
/* A child has that of a thread, which will not make it again. */
static void io_of_thread(void)
{
	pthread_t t;

	pthread_create(&t, NULL, own_io, NULL);
	while (loud != 2)
		nap();
}
static void *own(void *flags)
{
	MUST(unshare((int)(intptr_t)flags));
	if ((intptr_t)flags & (CLONE_FILES | CLONE_FS) && !forked((int)(intptr_t)flags))
		for_ever(NULL);
	*(volatile int *)&loud = 2;
	doze();
}
static void thread_own(int flags)
{
	pthread_t t;

	pthread_create(&t, NULL, own, (void *)(intptr_t)flags);
	while (loud != 2)
		nap();
}
static void own_files(void)
{
	thread_own(CLONE_FILES);
}
static void own_fs(void)
{
	thread_own(CLONE_FS);
}
static void own_uts(void)
{
	thread_own(CLONE_NEWUTS);
}
static long key(int what, long a, long b)
{
	return MUST(syscall(SYS_keyctl, what, a, b, 0, 0));
}
static void key_thread(void)
{
	key(0, -1, 1);
}
static void key_process(void)
{
	key(0, -2, 1);
}
static void key_empty(void)
{
	key(1, 0, 0);
}
static void key_named(void)
{
	key(0, -4, 1); /* the user has keyrings */
	key(1, (long)"cr-refuse", 0);
}
static void key_session(void)
{
	key(1, 0, 0);
	MUST(syscall(SYS_add_key, "user", "cr-refuse", "x", 1, -3));
}
static void ns_mnt(void)
{
	MUST(unshare(CLONE_NEWNS));
}
static void ns_net(void)
{
	MUST(unshare(CLONE_NEWNET));
}
static void ns_uts(void)
{
	MUST(unshare(CLONE_NEWUTS));
}
static void ns_ipc(void)
{
	MUST(unshare(CLONE_NEWIPC));
}
static void ns_cgroup(void)
{
	MUST(unshare(CLONE_NEWCGROUP));
}
static void ns_user(void)
{
	MUST(unshare(CLONE_NEWUSER));
}
static void ns_time(void)
{
	MUST(unshare(0x80));
}
static void in_child(void)
{
	pid_t p = fork();
	int status;

	if (!p)
		return;
	dprintf(1, "\nready %d\n", p); /* the child may have begun its dots */
	waitpid(p, &status, 0);
	_exit(0);
}
static void in_child_with(int flags)
{
	pid_t p = forked(flags);

	if (!p)
		return;
	waitpid(p, NULL, 0);
	_exit(0);
}
static void parent_files(void)
{
	in_child_with(CLONE_FILES);
}
static void parent_fs(void)
{
	in_child_with(CLONE_FS);
}
static void parent_io(void)
{
	set_io();
	in_child_with((int)CLONE_IO);
}
static void sibling_fs(void)
{
	if (!forked(CLONE_FS))
		for_ever(NULL);
	in_child_with(CLONE_FS);
}
static volatile pid_t far;
static int far_child(void *arg)
{
	(void)arg;
	setsid(); /* the other one is outside */
	far = getpid();
	dprintf(1, "ready %d\n", far);
	go_on();
}
static int far_parent(void *arg)
{
	sharing(for_ever);
	return far_child(arg);
}
/* The parent stands still meanwhile. */
static void parent_vfork(void)
{
	char *stack = map(65536, RW, ANON, -1);

	MUST(clone(far_child, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL));
	_exit(0);
}
static int between(void *has_child)
{
	sharing(has_child ? far_parent : far_child);
	_exit(0);
}
/* It is init's child by now. */
static void far_with(void *has_child)
{
	char *stack = map(65536, RW, ANON, -1);
	pid_t p = MUST(clone(between, stack + 65536, CLONE_VM | SIGCHLD, has_child));

	waitpid(p, NULL, 0);
	while (!far || !kill(far, 0))
		nap();
	_exit(0);
}
static void far_vm(void)
{
	far_with(NULL);
}
static void far_family(void)
{
	far_with(&far_with);
}
static void ns_time_own(void)
{
	MUST(unshare(0x80));
	in_child();
}
static void ns_pid_children(void)
{
	MUST(unshare(CLONE_NEWPID));
}
static void ns_pid(void)
{
	MUST(unshare(CLONE_NEWPID));
	in_child();
}
static void none(void)
{
}

const struct refused of_tasks[] = {
	{ "deleted_cwd", deleted_cwd },
	{ "posix_timer", posix_timer },
	{ "timer_orphan", timer_orphan },
	{ "traced", traced },
	{ "notify", notify },
	{ "no_sigreturn", no_sigreturn },
	{ "leaderless_session", leaderless_session },
	{ "child_socket", child_socket },
	{ "orphans_vm", orphans_vm },
	{ "shares_crosswise", shares_crosswise },
	{ "parent_files", parent_files },
	{ "parent_fs", parent_fs },
	{ "parent_vfork", parent_vfork },
	{ "sibling_fs", sibling_fs },
	{ "parent_io", parent_io },
	{ "io_of_thread", io_of_thread },
	{ "far_vm", far_vm },
	{ "far_family", far_family },
	{ "own_files", own_files },
	{ "own_fs", own_fs },
	{ "own_uts", own_uts },
	{ "ns_mnt", ns_mnt },
	{ "ns_net", ns_net },
	{ "ns_uts", ns_uts },
	{ "ns_ipc", ns_ipc },
	{ "ns_cgroup", ns_cgroup },
	{ "ns_user", ns_user },
	{ "ns_time", ns_time },
	{ "ns_time_own", ns_time_own },
	{ "ns_pid_children", ns_pid_children },
	{ "ns_pid", ns_pid },
	{ "restless", restless },
	{ "key_thread", key_thread },
	{ "key_process", key_process },
	{ "key_empty", key_empty },
	{ "key_named", key_named },
	{ "key_session", key_session },
	{ "none", none },
	{ "listen_two", listen_two },
	{ "listen_nobody", listen_nobody },
	{ "listen_filtered", listen_filtered },
	{ NULL, NULL },
};
