#!/bin/sh
# SPDX-License-Identifier: MIT
# What this version cannot save is refused by name, and where that can be seen from outside, before
# anything is stopped: `cr check` lists it, `cr dump` says it in one sentence and leaves no file, and the
# subject runs on.
# shellcheck source=test/func/lib.sh
. "${srcdir:-$(dirname "$0")/../..}/test/func/lib.sh"
needs gcc

# --- the subject: refuse-subject WHAT prepares it, says "ready PID", and then a dot for each round -----
cat >"$work/subject.c" <<'END'
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
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

static char dir[4096];
static volatile int loud = 1;

/* What cannot be had here is no failure of cr. */
static long must(long rc, const char *what)
{
	if (rc != -1)
		return rc;
	dprintf(1, "skip %s: %s\n", what, strerror(errno));
	_exit(77);
}
#define MUST(x) must((long)(x), #x)

static void nap(void)
{
	struct timespec t = { .tv_nsec = 10000000 };

	nanosleep(&t, NULL);
}

static const char *in_dir(const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int new_file(const char *name)
{
	int fd = (int)MUST(open(in_dir(name), O_RDWR | O_CREAT | O_TRUNC, 0600));

	MUST(ftruncate(fd, 4096));
	return fd;
}

/* A process outside the tree, for as long as the subject lives. */
static void outside(void (*then)(pid_t))
{
	pid_t me = getpid();
	int status;

	if (!fork()) {
		if (!fork()) {
			setsid();
			then(me);
			/* A tracer has to wait, or its tracee stays a zombie. */
			while (waitpid(me, NULL, WNOHANG | __WALL) != me && kill(me, 0) == 0)
				nap();
			_exit(0);
		}
		_exit(0);
	}
	wait(&status);
}

static void *map(size_t n, int prot, int flags, int fd)
{
	void *p = mmap(NULL, n, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		must(-1, "mmap");
	return p;
}
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

/* --- descriptors --- */

static void tty_master(void) { MUST(posix_openpt(O_RDWR | O_NOCTTY)); }
static int slave_of(int m)
{
	MUST(grantpt(m));
	MUST(unlockpt(m));
	return (int)MUST(open(ptsname(m), O_RDWR | O_NOCTTY));
}
static void stay(pid_t of) { (void)of; }
/* Two terminals whose masters somebody outside has, as 3 and 4. */
static void two_terminals(void)
{
	int m = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY));
	int n = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY)), s = slave_of(m), t = slave_of(n);

	outside(stay);
	MUST(dup2(s, 3));
	MUST(dup2(t, 4));
	close(s);
	close(t);
}
static void tty_second(void)
{
	two_terminals();
	MUST(ioctl(3, TIOCSCTTY, 0));
}
static void tty_two(void) { two_terminals(); }
static void tty_closed(void)
{
	int m = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY));

	slave_of(m);
	close(m);
}
/* They have other groups, and must not be left. */
static void stay_bound(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;)
		pause();
}
static void tty_session(void)
{
	two_terminals();
	close(4);
	if (!fork()) {
		setsid();
		MUST(ioctl(3, TIOCSCTTY, 0));
		stay_bound();
	}
}
static void tcp(void)
{
	int s = (int)MUST(socket(AF_INET, SOCK_STREAM, 0));

	MUST(listen(s, 1));
}
static void netlink(void) { MUST(socket(AF_NETLINK, SOCK_RAW, 0)); }
static void unix_pair(void)
{
	int s[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
}
static void inotify(void) { MUST(inotify_init1(0)); }
static void fanotify(void) { MUST(fanotify_init(0, O_RDONLY)); }
static int memory_outside;
static void hold_memory(pid_t me)
{
	(void)me;
	for (int i = 3; i < 10; i++)
		if (i != memory_outside)
			close(i);
}
/* Of the outsider it is the descriptor that is left, or the mapping. */
static void memfd(void)
{
	memory_outside = (int)MUST(memfd_create("name", 0));
	outside(hold_memory);
}
static void uring(void)
{
	char params[120] = { 0 };

	MUST(syscall(425, 4, params));
}
static int uffd_open(void)
{
	uint64_t api[3] = { 0xaa, 0, 0 };
	int fd = (int)MUST(syscall(SYS_userfaultfd, 0));

	MUST(ioctl(fd, _IOWR(0xaa, 0x3f, uint64_t[3]), api));
	return fd;
}
static void uffd(void) { uffd_open(); }
static void perf(void)
{
	/* type 1 (software), size, config 0 (processor clock), of the user only */
	uint32_t attr[32] = { 1, sizeof(attr) };

	attr[10] = 1 << 5 | 1 << 6;
	MUST(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}
static void mqueue(void)
{
	char name[32];

	snprintf(name, sizeof(name), "cr-refuse-%d", getpid());
	MUST(syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, NULL));
	MUST(syscall(SYS_mq_unlink, name));
	syscall(SYS_mq_unlink, "cr-refuse"); /* of the one before */
}
static void named_mqueue(void)
{
	char name[] = "cr-refuse";

	syscall(SYS_mq_unlink, name);
	MUST(syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, NULL));
}
static void pid_fd(void) { MUST(syscall(SYS_pidfd_open, getpid(), 0)); }
static void kmsg(void) { MUST(open("/dev/kmsg", O_RDONLY)); }
static void proc_file(void) { MUST(open("/proc/self/maps", O_RDONLY)); }
static void deleted_file(void)
{
	new_file("object");
	unlink(in_dir("object"));
}
static void linked_file(void)
{
	new_file("object");
	MUST(link(in_dir("object"), strcat(strcpy((char[4200]){ 0 }, dir), "/other")));
	unlink(in_dir("object"));
}
static void replaced_file(void)
{
	char other[4200];

	close(new_file("other"));
	strcpy(other, in_dir("other"));
	new_file("object");
	MUST(rename(other, in_dir("object")));
}
static void tmpfile_fd(void) { MUST(open(dir, O_TMPFILE | O_RDWR, 0600)); }
static void deleted_folder(void)
{
	MUST(mkdir(in_dir("folder"), 0700));
	MUST(open(in_dir("folder"), O_RDONLY | O_DIRECTORY));
	rmdir(in_dir("folder"));
}
static int end_outside;
static void hold_end(pid_t me)
{
	(void)me;
	for (int i = 3; i < 10; i++)
		if (i != end_outside)
			close(i);
}
static void pipe_out(void)
{
	int p[2];

	MUST(pipe(p));
	end_outside = p[0];
	outside(hold_end);
	close(p[0]);
}
static void fifo(void)
{
	MUST(mkfifo(in_dir("object"), 0600));
	MUST(open(in_dir("object"), O_RDWR));
}
static void flocked(void) { MUST(flock(new_file("object"), LOCK_EX)); }
static void posix_lock(void)
{
	struct flock l = { .l_type = F_WRLCK };

	MUST(fcntl(new_file("object"), F_SETLK, &l));
}
static void ofd_lock(void)
{
	struct flock l = { .l_type = F_WRLCK };

	MUST(fcntl(new_file("object"), F_OFD_SETLK, &l));
}
static void lease(void) { MUST(fcntl(new_file("object"), F_SETLEASE, F_WRLCK)); }
static void epoll_gone(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int e = (int)MUST(epoll_create1(0)), p[2];

	MUST(pipe(p));
	MUST(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
	dup2(p[0], 20);
	close(p[0]);
}

/* --- memory --- */

static void memfd_map(void)
{
	int fd = (int)MUST(memfd_create("name", 0));

	MUST(ftruncate(fd, 4096));
	map(4096, RW, MAP_PRIVATE, fd);
	close(fd);
	outside(hold_memory);
}
static void shared_anon(void)
{
	map(4096, RW, MAP_SHARED | MAP_ANONYMOUS, -1);
	outside(hold_memory);
}
static void deleted_map(void)
{
	int fd = new_file("object");

	map(4096, PROT_READ, MAP_PRIVATE, fd);
	close(fd);
	unlink(in_dir("object"));
}
static void uffd_map(void)
{
	uint64_t reg[4] = { (uintptr_t)map(4096, RW, ANON, -1), 4096, 1, 0 };

	MUST(ioctl(uffd_open(), _IOWR(0xaa, 0x00, uint64_t[4]), reg));
}
static void sysv(void)
{
	int id = (int)MUST(shmget(IPC_PRIVATE, 4096, 0600));
	void *p = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	MUST((intptr_t)p);
	outside(hold_memory);
}
static void hugetlb(void)
{
	int id = (int)MUST(shmget(IPC_PRIVATE, 2 << 20, IPC_CREAT | 0600 | SHM_HUGETLB | SHM_NORESERVE));
	void *p = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	must(p == (void *)-1 ? -1 : 0, "shmat");
}
static void segments(void)
{
	struct user_desc d = { .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1 };

	MUST((int)syscall(SYS_modify_ldt, 1, &d, sizeof(d)));
}
static void set_breakpoint(pid_t pid)
{
	const size_t regs = offsetof(struct user, u_debugreg);

	ptrace(PTRACE_SEIZE, pid, 0, 0);
	ptrace(PTRACE_INTERRUPT, pid, 0, 0);
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_POKEUSER, pid, regs, (void *)dir);
	ptrace(PTRACE_POKEUSER, pid, regs + 7 * 8, 0x1 | 0x3 << 16);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	new_file("set");
	_exit(0);
}
static void breakpoints(void)
{
	outside(set_breakpoint);
	while (access(in_dir("set"), F_OK))
		nap();
}
static void ports(void) { MUST(ioperm(0x80, 1, 1)); }
static void secret(void)
{
	int fd = (int)MUST(syscall(447, 0));

	MUST(ftruncate(fd, 4096));
	map(4096, RW, MAP_SHARED, fd);
	close(fd);
}
static void aio(void)
{
	unsigned long ctx = 0;

	MUST(syscall(SYS_io_setup, 4, &ctx));
}

/* --- tasks --- */

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
static void notify(void) { filter_one(1000, SECCOMP_RET_USER_NOTIF); }
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
static void listen_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	supervise(30);
	MUST(epoll_ctl((int)MUST(epoll_create1(0)), EPOLL_CTL_ADD, 30, &e));
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
static void no_sigreturn(void) { filter_one(SYS_rt_sigreturn, SECCOMP_RET_KILL_THREAD); }
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
	volatile int *there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
	for (;;)
		nap();
}
static void sharing(int (*run)(void *))
{
	char *stack = map(65536, RW, ANON, -1);

	MUST(clone(run, stack + 65536, CLONE_VM | SIGCHLD, NULL));
}
static int forked(int flags) { return MUST(syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0)); }
static pid_t first;
static int as_long_as_first(void *arg)
{
	(void)arg;
	while (!kill(first, 0))
		nap();
	_exit(0);
}
/* Two have one memory, and their parent is the subject, which has another: whose they are has ended. */
static void orphans_vm(void)
{
	pid_t p;

	first = getpid();
	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	p = forked(0);
	if (!p) {
		sharing(as_long_as_first);
		sharing(as_long_as_first);
		_exit(0);
	}
	waitpid(p, NULL, 0);
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
static void *own(void *flags)
{
	MUST(unshare((int)(intptr_t)flags));
	if ((intptr_t)flags & (CLONE_FILES | CLONE_FS) && !forked((int)(intptr_t)flags))
		for_ever(NULL);
	*(volatile int *)&loud = 2;
	for (;;)
		nap();
}
static void thread_own(int flags)
{
	pthread_t t;

	pthread_create(&t, NULL, own, (void *)(intptr_t)flags);
	while (loud != 2)
		nap();
}
static void own_files(void) { thread_own(CLONE_FILES); }
static void own_fs(void) { thread_own(CLONE_FS); }
static void own_uts(void) { thread_own(CLONE_NEWUTS); }
static void *on_and_on(void *arg)
{
	for (;;) {
		nap();
		write(1, ".", 1);
	}
	return arg;
}
static long key(int what, long a, long b) { return MUST(syscall(SYS_keyctl, what, a, b, 0, 0)); }
static void key_thread(void) { key(0, -1, 1); }
static void key_process(void) { key(0, -2, 1); }
static void key_empty(void) { key(1, 0, 0); }
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
static void ns_mnt(void) { MUST(unshare(CLONE_NEWNS)); }
static void ns_net(void) { MUST(unshare(CLONE_NEWNET)); }
static void ns_uts(void) { MUST(unshare(CLONE_NEWUTS)); }
static void ns_ipc(void) { MUST(unshare(CLONE_NEWIPC)); }
static void ns_cgroup(void) { MUST(unshare(CLONE_NEWCGROUP)); }
static void ns_user(void) { MUST(unshare(CLONE_NEWUSER)); }
static void ns_time(void) { MUST(unshare(0x80)); }
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
static void parent_files(void) { in_child_with(CLONE_FILES); }
static void parent_fs(void) { in_child_with(CLONE_FS); }
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
	for (;;) {
		nap();
		write(1, ".", 1);
	}
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
static void far_vm(void) { far_with(NULL); }
static void far_family(void) { far_with(&far_with); }
static void ns_time_own(void)
{
	MUST(unshare(0x80));
	in_child();
}
static void ns_pid_children(void) { MUST(unshare(CLONE_NEWPID)); }
static void ns_pid(void)
{
	MUST(unshare(CLONE_NEWPID));
	in_child();
}
static void none(void) { }

static const struct { const char *name; void (*run)(void); } all[] = {
#define X(f) { #f, f }
	X(tty_master), X(tty_second), X(tty_two), X(tty_closed), X(tty_session),
	X(tcp), X(netlink), X(unix_pair), X(inotify), X(fanotify),
	X(memfd), X(uring), X(uffd), X(perf), X(mqueue),
	X(named_mqueue), X(pid_fd), X(kmsg), X(proc_file), X(deleted_file),
	X(linked_file),
	X(replaced_file), X(tmpfile_fd), X(deleted_folder), X(pipe_out), X(fifo), X(flocked),
	X(posix_lock), X(ofd_lock), X(lease), X(epoll_gone), X(memfd_map), X(shared_anon),
	X(deleted_map), X(uffd_map), X(sysv), X(hugetlb), X(secret),
	X(aio), X(deleted_cwd), X(posix_timer), X(timer_orphan), X(traced), X(notify),
	X(no_sigreturn),
	X(leaderless_session), X(child_socket), X(orphans_vm), X(shares_crosswise),
	X(parent_files), X(parent_fs), X(parent_vfork), X(sibling_fs), X(far_vm), X(far_family),
	X(own_files), X(own_fs), X(own_uts), X(ns_mnt), X(ns_net), X(ns_uts), X(ns_ipc), X(ns_cgroup),
	X(ns_user), X(ns_time), X(ns_time_own), X(ns_pid_children), X(ns_pid), X(segments), X(breakpoints), X(restless),
	X(ports), X(key_thread), X(key_process), X(key_empty), X(key_named), X(key_session), X(none), X(listen_two), X(listen_nobody),
	X(listen_epoll), X(listen_filtered),
};

int main(int argc, char **argv)
{
	size_t i = 0;

	(void)argc;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	while (strcmp(all[i].name, argv[1]))
		i++;
	snprintf(dir, sizeof(dir), "%s", argv[2]);
	all[i].run();
	if (all[i].run != ns_pid && all[i].run != ns_time_own)
		dprintf(1, "ready %d\n", getpid());
	for (;;) {
		nap();
		write(1, ".", 1);
	}
}
END

# no-ptrace COMMAND...: every ptrace(2) of the command fails with an error that it cannot have, so what
# it refuses all the same it has refused before it stopped anything.
cat >"$work/no-ptrace.c" <<'END'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EXDEV),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, f };

	(void)argc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		return 99;
	/* LeakSanitizer, where the program has it, looks by ptrace at itself. */
	setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
	execvp(argv[1], argv + 1);
	return 98;
}
END

# A program for the 32-bit half of the kernel, without libc.
cat >"$work/m32.c" <<'END'
static int call(int nr, int a, const void *b, int c)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}
void _start(void)
{
	char text[] = "ready 0000000000\n";
	int pid = call(20, 0, 0, 0);
	int nap[2] = { 0, 10000000 };

	for (int i = 15; i > 5; i--, pid /= 10)
		text[i] = (char)('0' + pid % 10);
	for (int i = 3; i < 64; i++)
		call(6, i, 0, 0);
	call(4, 1, text, 17);
	for (;;) {
		call(162, (int)(long)nap, 0, 0);
		call(4, 1, ".", 1);
	}
}
END
gcc -O1 -w -pthread -o "$work/subject" "$work/subject.c" || give_up "the subject does not compile"
gcc -O1 -w -o "$work/no-ptrace" "$work/no-ptrace.c" || give_up "the filter does not compile"
"$work/no-ptrace" true || skip_all "no seccomp filters"

# --- helpers ---------------------------------------------------------------------------------------
# What the subject has said: sets pid, or why.
# shellcheck disable=SC2317 # called by until_true
has_said() {
	while read -r word rest; do
		case $word in
		ready)
			pid=$rest
			while [ "$pid" != "${pid#0}" ]; do pid=${pid#0}; done
			return
			;;
		skip)
			why=$rest
			return
			;;
		esac
	done <"$work/out"
	return 1
}

# start PROGRAM ARGUMENT...: sets pid, or why it cannot be had
start() {
	rm -rf "$work/dir"
	mkdir -p "$work/dir"
	: >"$work/out"
	why=
	setsid "$@" </dev/null >>"$work/out" 2>&1 &
	started=$!
	until_true has_said || why="does not start: $(cat "$work/out")"
	[ -z "$why" ]
}
finish() {
	[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null
	[ -z "$started" ] || wait "$started" 2>/dev/null
	pid=
	started=
}

no_image() {
	[ ! -e "$work/image" ] || echo "the image is there"
	[ ! -e "$work/image.partial" ] || echo "image.partial is there"
	rm -rf "$work/image" "$work/image.partial"
}

unharmed() {
	looks >"$work/looks.now" 2>&1
	cmp -s "$work/looks" "$work/looks.now" || diff "$work/looks" "$work/looks.now"
	runs_on || echo "the subject does not run on: $(state)"
}

dump_says() { # early|late REGEX
	if [ "$1" = late ]; then
		"$cr" dump "$pid" "$work/image" 2>"$work/err" >&2
	else
		"$work/no-ptrace" "$cr" dump "$pid" "$work/image" 2>"$work/err" >&2
	fi
	status=$?
	[ $status -eq 1 ] || echo "the status of dump is $status"
	sentence "task [0-9]+: |process [0-9]+" "$2"
	no_image
}

check_says() { # early|late REGEX
	"$cr" check "$pid" >"$work/text" 2>&1
	status=$?
	"$cr" check --json "$pid" >"$work/json" 2>&1
	both=$status-$?
	if [ "$1" = late ]; then
		[ $both = 0-0 ] || echo "check: status $both" "$(grep refused "$work/text")"
		return
	fi
	[ $both = 1-1 ] || echo "check: status $both"
	grep -q -E "^refused +[0-9]+ .*($2)" "$work/text" ||
		{ echo "check does not list '$2':"; grep refused "$work/text"; }
	grep -q '"ok": false' "$work/json" && grep -q -E "\"refusal\": .*" "$work/json" ||
		echo "check --json lists nothing refused"
}

# refused early|late TITLE REGEX: of the subject that has been started
refused() {
	looks >"$work/looks"
	report "$2" "$(check_says "$1" "$3"; dump_says "$1" "$3"; unharmed)"
	finish
}

# try early|late WHAT TITLE REGEX
try() {
	if start "$work/subject" "$2" "$work/dir"; then
		refused "$1" "$3" "$4"
	else
		finish
		skip "$3" "$why"
	fi
}

# --- must fail: without anything to refuse, the checks above find it -----------------------------------
start "$work/subject" none "$work/dir" || give_up "$why"
looks >"$work/looks"
"$cr" check "$pid" >"$work/text" 2>&1 || give_up "an ordinary subject is refused: $(grep refused "$work/text")"
wrong=
[ -n "$(check_says early tcp)" ] || wrong="check_says finds nothing"
dump_says early tcp | grep -q 'Invalid cross-device link' || wrong="$wrong; dump_says early finds no ptrace"
"$cr" dump --leave-running "$pid" "$work/image" 2>"$work/err" || wrong="$wrong; $(cat "$work/err")"
[ -n "$(one_sentence "$work/err" 'no such text')" ] || wrong="$wrong; one_sentence finds nothing"
[ -n "$(no_image)" ] || wrong="$wrong; no_image does not find an image"
sed -i 1d "$work/looks"
[ -n "$(unharmed)" ] || wrong="$wrong; unharmed finds nothing"
finish
report "must fail: an ordinary subject, which can be saved" "$wrong"

# --- descriptors -------------------------------------------------------------------------------------
try early tty_master "the master of a pseudo terminal" "fd 3: /dev/(pts/)?ptmx: is the other side.*dump the program in that"
try early tty_second "a second terminal" "fd 4: /dev/pts/[0-9]+: is not the controlling terminal.*close it"
try late tty_two "two terminals, none of them controlling" "fd 4: /dev/pts/[0-9]+: is a second terminal.*close it"
try early tty_closed "a terminal that was closed" "fd 4: /dev/pts/[0-9]+ \(deleted\): its terminal was closed.*close it"
try early tty_session "a child with a session and terminal of its own" "has a terminal in session [0-9]+.*dump process [0-9]+ alone"
try early tcp "a TCP socket" "fd 3: socket:.*close"
try early netlink "a netlink socket" "fd 3: socket:.*close"
try early unix_pair "a pair of Unix sockets" "fd 3: socket:.*close"
try early inotify "inotify" "fd 3: anon_inode:inotify.*close"
try early fanotify "fanotify" "fd 3: anon_inode:\[fanotify\].*close"
try early memfd "a memfd that a process outside has" "memory file.*shared with .subject.*outside the tree; dump"
try early uring "io_uring" "(fd 3: anon_inode:\[io_uring\].*close|io_uring)"
try early uffd "userfaultfd" "fd 3: anon_inode:\[userfaultfd\].*close"
try early perf "a performance event" "fd 3: anon_inode:\[perf_event\].*close"
try early named_mqueue "a POSIX message queue" "fd 3: /cr-refuse: .*message queue.*close"
try early mqueue "a POSIX message queue that was unlinked" "fd 3: /cr-refuse-[0-9]+ \(deleted\): .*message queue.*close"
try early pid_fd "pidfd" "fd 3: .*pidfd.*close"
try early kmsg "a device" "fd 3: /dev/kmsg.*character device.*close"
try early proc_file "a file of /proc" "fd 3: /proc/[0-9]+/maps.*close"
try early deleted_file "a deleted file" "fd 3: .*/object \(deleted\): was deleted.*close"
try early linked_file "a deleted file that has another name" "fd 3: .*/object \(deleted\): was deleted.*put this one back"
try early replaced_file "a replaced file" "fd 3: .*/object( \(deleted\))?: .*(deleted|replaced)"
try early tmpfile_fd "a file without a name" "fd 3: .*deleted.*close"
try early deleted_folder "a deleted folder" "fd 3: .*/folder \(deleted\): was deleted.*close"
try early pipe_out "a pipe whose other end is outside" "fd 4: pipe:.*subject.*outside the tree; redirect"
try early fifo "a named pipe" "fd 3: .*/object: named pipes.*use"
try early flocked "flock" "fd 3: .*/object: holds a lock.*FLOCK"
try early posix_lock "a POSIX lock" "fd 3: .*/object: holds a lock.*POSIX"
try early ofd_lock "an OFD lock" "fd 3: .*/object: holds a lock.*OFD"
try early lease "a lease" "fd 3: .*/object: holds a lock.*LEASE"
try early epoll_gone "an epoll set with a member that was closed" "fd 3: anon_inode:\[eventpoll\]"

# --- memory ------------------------------------------------------------------------------------------
memory="memory at [0-9a-f]+-[0-9a-f]+, .*"
try early memfd_map "a mapping of a memfd outside" "memory file.*shared with .subject.*outside the tree; dump"
try early shared_anon "shared anonymous memory" "shared anonymous memory: is shared with .subject.*outside the tree; dump"
try early deleted_map "a mapping of a deleted file" "$memory/object \(deleted\): was deleted"
try early uffd_map "memory with a userfaultfd" "${memory}userfaultfd"
try early sysv "System V shared memory" "System V segment [0-9]+: .*outside the tree are attached"
try early hugetlb "a System V segment of huge pages" "${memory}.*hugetlbfs"
try early secret "memfd_secret" "${memory}secret"
try early aio "a ring of asynchronous I/O" "${memory}asynchronous"

# --- tasks -------------------------------------------------------------------------------------------
try early deleted_cwd "a deleted working folder" "working folder.*was deleted|fs: .*deleted"
try early posix_timer "a POSIX timer of a thread's own processor time" "timer 0 counts the processor time of the thread that has made it"
try early timer_orphan "a POSIX timer that signals a thread that is gone" "timer 0 signals thread [0-9-]+, which is gone.*delete"
try late notify "a seccomp filter that asks a listener" "task [0-9]+: seccomp:.*SECCOMP_RET_USER_NOTIF"
try late listen_two "two seccomp filters with a listener each" "of the 2 in the tree nobody tells which"
try late listen_nobody "a listener to whom nobody listens any more" "fd 30: .*seccomp filter that nobody has any more; close it"
try late listen_epoll "a listener in an epoll" "fd [0-9]+: .*watches fd 30, the listener of a seccomp filter.*take it out"
try late listen_filtered "a supervisor under a filter of its own" "has the listener of a seccomp filter and is under seccomp itself"
try late no_sigreturn "a seccomp filter that forbids rt_sigreturn" "forbids rt_sigreturn.*allow it"
try early traced "a traced task" "traced by process [0-9]+ \(the-tracer\); end that first"
try early leaderless_session "a session whose leader has ended" "task [0-9]+: its session [0-9]+ is neither its own.*would have to be a child of task [0-9]+ too"
try early child_socket "a socket of a child" "fd [0-9]+: socket:.*close"
try early orphans_vm "memory shared with one who is not the parent" "task [0-9]+: it shares its memory with process [0-9]+, but not with its own parent"
try early shares_crosswise "descriptors shared crosswise" "born with two of one sort, the descriptor table of process"
outside="with .subject. .pid [0-9]+., outside the tree; dump"
try early parent_files "descriptors shared with the parent outside" "shares its descriptor table $outside"
try early parent_fs "a working folder shared with the parent outside" "shares its working folder $outside"
try early sibling_fs "a working folder shared with a sibling outside" "shares its working folder $outside"
try early parent_vfork "memory shared with the parent outside (vfork)" "shares its memory $outside"
try late far_vm "memory shared with one who is no relative" "shares its memory with a process outside the tree.*dump"
try early far_family "... and with a child" "shares its memory $outside"
try early own_files "a child with the descriptors of a thread" "has a descriptor table that is not that of its process but that"
try late segments "segments of its own" "segments of its own \(modify_ldt\)"
try late breakpoints "hardware breakpoints" "hardware breakpoints \(0x[0-9a-f]+\).*delete them"
try late restless "... asleep, where a filter kills who sleeps on" "hardware breakpoints"
try late ports "I/O ports" "I/O ports \(ioperm"
try late key_thread "a keyring of a thread" "keyring of its own \(for the thread\).*drop it"
try late key_process "a keyring of a process" "keyring of its own \(for the process\).*drop it"
try late key_session "a key in the session keyring" "keys in its session keyring \(user;.*;cr-refuse\).*keep them"
try late key_named "a session keyring with a name" "session keyring with a name of its own.*outside"
if start "$work/subject" key_empty "$work/dir"; then
	"$cr" dump --leave-running "$pid" "$work/image" 2>"$work/err" >&2
	result $? "a session keyring as a login makes it can be let go"
	rm -rf "$work/image"
	finish
else
	finish
	skip "an empty session keyring" "$why"
fi
try early own_fs "a child with the working folder of a thread" "has a working folder that is not that of its process but that"
try early own_uts "a thread with a host name of its own" "another uts namespace"
try early ns_mnt "another mount namespace" "another mnt namespace.*nsenter --target [0-9]+"
try early ns_net "another network namespace" "another net namespace.*nsenter --target [0-9]+"
try early ns_uts "another UTS namespace" "another uts namespace.*nsenter --target [0-9]+"
try early ns_ipc "another IPC namespace" "another ipc namespace.*nsenter --target [0-9]+"
try early ns_cgroup "another cgroup namespace" "another cgroup namespace.*nsenter --target [0-9]+"
try early ns_user "another user namespace" "another user namespace.*nsenter --target [0-9]+"
try early ns_time "another time namespace for children" "another time_for_children namespace"
try early ns_time_own "another time namespace" "another time namespace.*nsenter --target [0-9]+"
try early ns_pid_children "another pid namespace for children" "new pid namespace for its children"
try early ns_pid "another pid namespace" "another pid(_for_children)? namespace.*nsenter --target [0-9]+"

cp "$work/subject" "$work/gone"
if start "$work/gone" none "$work/dir"; then
	rm "$work/gone"
	refused early "a deleted executable" "executable: .*was deleted"
else
	skip "a deleted executable" "$why"
fi

if gcc -O1 -w -m32 -nostdlib -static -fno-stack-protector -fno-pie -no-pie -o "$work/m32" "$work/m32.c" 2>/dev/null &&
	start "$work/m32"; then
	refused early "a 32-bit program" "is a 32-bit program"
else
	finish
	skip "a 32-bit program" "cannot be made or run here"
fi

# --- numbers that are no subject -------------------------------------------------------------------------

# number STATUS TITLE REGEX PID
number() {
	for command in dump check "check --json"; do
		# shellcheck disable=SC2086 # two words
		if [ "$command" = dump ]; then
			"$cr" dump "$4" "$work/image" >"$work/text" 2>"$work/err"
		else
			"$cr" $command "$4" >"$work/text" 2>"$work/err"
		fi
		status=$?
		[ $status -eq "$1" ] || echo "$command: status $status"
		[ ! -s "$work/text" ] || echo "$command: prints something"
		one_sentence "$work/err" "$3"
		[ ! -e "$work/image" ] && [ ! -e "$work/image.partial" ] || echo "$command: a folder is left"
	done >"$work/wrong"
	[ ! -s "$work/wrong" ] || cat "$work/err" >>"$work/wrong"
	report "$2" "$(cat "$work/wrong")"
}
number 2 "no number" "'abc' is not a process id" abc
number 2 "a number with something behind it" "'12x' is not a process id" 12x
number 2 "a negative number" "-5|option" -5
number 2 "number 0" "'0' is not a process id" 0
number 2 "an empty word" "empty" ""
number 2 "a number that is too large" "'99999999999999999999' is not a process id" 99999999999999999999
above=$(cat /proc/sys/kernel/pid_max)
number 1 "a number that nobody has" "process $above.*([Nn]o such process|not there)" "$above"
# This test runs below it, so cr is a part of the tree.
number 1 "number 1" "cr itself" 1
number 1 "the process that runs cr" "cr itself" $$
if [ ! -s /proc/2/cmdline ] && [ "$(sed 's/.*) . //; s/ .*//' /proc/2/stat 2>/dev/null)" = 0 ]; then
	number 1 "a kernel thread" "2 \(kthreadd\) is a kernel thread" 2
else
	skip "a kernel thread" "number 2 is none"
fi
perl -e '$| = 1; $p = fork; exit if !$p; print "$p\n"; sleep 1000' >"$work/number" &
pid=$!
until_true [ -s "$work/number" ]
zombie=$(cat "$work/number")
until_true is_ended "$zombie"
"$cr" dump "$zombie" "$work/image" 2>"$work/err"
status=$?
report "a zombie" "$([ $status -eq 1 ] || echo "status $status"; sentence \
	"task $zombie: is a zombie: it has ended, and its parent \($pid\) has not waited for it yet")"
kill -9 "$pid"
wait "$pid" 2>/dev/null
pid=
sh -c 'exec "$0" dump $$ "$1"' "$cr" "$work/image" 2>"$work/err"
status=$?
report "cr itself" "$([ $status -eq 1 ] || echo "status $status"; one_sentence "$work/err" 'cr itself'
	[ ! -e "$work/image.partial" ] || echo "image.partial is left")"

# --- an ordinary user ------------------------------------------------------------------------------------
mkdir -m 777 "$work/open"
if can_be_nobody && start "$work/subject" none "$work/dir"; then
	looks >"$work/looks"
	"$work/no-ptrace" setpriv --reuid 65534 --regid 65534 \
		--clear-groups "$work/cr-of-all" dump "$pid" "$work/open/image" 2>"$work/err"
	status=$?
	wrong=$([ $status -eq 1 ] || echo "status $status"
		sentence "(task|process) $pid" "CAP_SYS_PTRACE|another user"
		no_image
		[ -z "$(ls "$work/open")" ] || echo "left: $(ls "$work/open")"
		unharmed)
	finish
	report "an ordinary user dumps a process of root" "$wrong"
else
	finish
	skip "an ordinary user dumps a process of root" "needs root and setpriv"
fi

finish_test
