/* SPDX-License-Identifier: MIT */
/*
 * What test/func/refuse.sh wants refused: `subject WHAT FOLDER` prepares it, says "ready PID" (or "skip WHY"),
 * and then a dot for each round.
 */
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

static _Noreturn void doze(void)
{
	for (;;)
		nap();
}

static _Noreturn void go_on(void)
{
	for (;;) {
		nap();
		if (write(1, ".", 1) < 0)
			_exit(1);
	}
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

/* What stops a tracee, as the SIGCHLD of whoever has started its tracer, it gets. */
static bool lives(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG | __WALL) != pid)
		return kill(pid, 0) == 0;
	if (!WIFSTOPPED(status))
		return false;
	ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)WSTOPSIG(status));
	return true;
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
			while (lives(me))
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

static void tty_master(void)
{
	MUST(posix_openpt(O_RDWR | O_NOCTTY));
}
static int slave_of(int m)
{
	MUST(grantpt(m));
	MUST(unlockpt(m));
	return (int)MUST(open(ptsname(m), O_RDWR | O_NOCTTY));
}
static void stay(pid_t of)
{
	(void)of;
}
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
static void tty_two(void)
{
	two_terminals();
}
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
static void netlink(void)
{
	MUST(socket(AF_NETLINK, SOCK_RAW, 0));
}
static void unix_pair(void)
{
	int s[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
}
static void inotify(void)
{
	MUST(inotify_init1(0));
}
static void fanotify(void)
{
	MUST(fanotify_init(0, O_RDONLY));
}
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
static void uffd(void)
{
	uffd_open();
}
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
static void pid_fd(void)
{
	MUST(syscall(SYS_pidfd_open, getpid(), 0));
}
static void kmsg(void)
{
	MUST(open("/dev/kmsg", O_RDONLY));
}
static void proc_file(void)
{
	MUST(open("/proc/self/maps", O_RDONLY));
}
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
static void tmpfile_fd(void)
{
	MUST(open(dir, O_TMPFILE | O_RDWR, 0600));
}
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
static void flocked(void)
{
	MUST(flock(new_file("object"), LOCK_EX));
}
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
static void lease(void)
{
	MUST(fcntl(new_file("object"), F_SETLEASE, F_WRLCK));
}
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
	int id = (int)MUST(
		shmget(IPC_PRIVATE, 2 << 20, IPC_CREAT | 0600 | SHM_HUGETLB | SHM_NORESERVE));
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
	ptrace(PTRACE_POKEUSER, pid, regs + 7 * 8, 0x1 | 0x1 << 16);
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
static void ports(void)
{
	MUST(ioperm(0x80, 1, 1));
}
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

static const struct {
	const char *name;
	void (*run)(void);
} all[] = {
#define X(f)          \
	{             \
#f, f \
	}
	X(tty_master),
	X(tty_second),
	X(tty_two),
	X(tty_closed),
	X(tty_session),
	X(tcp),
	X(netlink),
	X(unix_pair),
	X(inotify),
	X(fanotify),
	X(memfd),
	X(uring),
	X(uffd),
	X(perf),
	X(mqueue),
	X(named_mqueue),
	X(pid_fd),
	X(kmsg),
	X(proc_file),
	X(deleted_file),
	X(linked_file),
	X(replaced_file),
	X(tmpfile_fd),
	X(deleted_folder),
	X(pipe_out),
	X(fifo),
	X(flocked),
	X(posix_lock),
	X(ofd_lock),
	X(lease),
	X(epoll_gone),
	X(memfd_map),
	X(shared_anon),
	X(deleted_map),
	X(uffd_map),
	X(sysv),
	X(hugetlb),
	X(secret),
	X(aio),
	X(deleted_cwd),
	X(posix_timer),
	X(timer_orphan),
	X(traced),
	X(notify),
	X(no_sigreturn),
	X(leaderless_session),
	X(child_socket),
	X(orphans_vm),
	X(shares_crosswise),
	X(parent_files),
	X(parent_fs),
	X(parent_vfork),
	X(sibling_fs),
	X(parent_io),
	X(io_of_thread),
	X(far_vm),
	X(far_family),
	X(own_files),
	X(own_fs),
	X(own_uts),
	X(ns_mnt),
	X(ns_net),
	X(ns_uts),
	X(ns_ipc),
	X(ns_cgroup),
	X(ns_user),
	X(ns_time),
	X(ns_time_own),
	X(ns_pid_children),
	X(ns_pid),
	X(segments),
	X(breakpoints),
	X(restless),
	X(ports),
	X(key_thread),
	X(key_process),
	X(key_empty),
	X(key_named),
	X(key_session),
	X(none),
	X(listen_two),
	X(listen_nobody),
	X(listen_filtered),
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
	go_on();
}
