/* SPDX-License-Identifier: MIT */
/* Cases of descriptors, see subject.h. */
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
void stay_bound(void)
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
void unix_pair(void)
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
void hold_memory(pid_t me)
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
int uffd_open(void)
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

const struct refused of_descriptors[] = {
	{ "tty_master", tty_master },
	{ "tty_second", tty_second },
	{ "tty_two", tty_two },
	{ "tty_closed", tty_closed },
	{ "tty_session", tty_session },
	{ "tcp", tcp },
	{ "netlink", netlink },
	{ "unix_pair", unix_pair },
	{ "inotify", inotify },
	{ "fanotify", fanotify },
	{ "memfd", memfd },
	{ "uring", uring },
	{ "uffd", uffd },
	{ "perf", perf },
	{ "mqueue", mqueue },
	{ "named_mqueue", named_mqueue },
	{ "pid_fd", pid_fd },
	{ "kmsg", kmsg },
	{ "proc_file", proc_file },
	{ "deleted_file", deleted_file },
	{ "linked_file", linked_file },
	{ "replaced_file", replaced_file },
	{ "tmpfile_fd", tmpfile_fd },
	{ "deleted_folder", deleted_folder },
	{ "pipe_out", pipe_out },
	{ "fifo", fifo },
	{ "flocked", flocked },
	{ "posix_lock", posix_lock },
	{ "ofd_lock", ofd_lock },
	{ "lease", lease },
	{ "epoll_gone", epoll_gone },
	{ NULL, NULL },
};
