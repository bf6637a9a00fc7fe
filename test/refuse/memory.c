/* SPDX-License-Identifier: MIT */
/* Cases of memory, see subject.h. */
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
void breakpoints(void)
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

const struct refused of_memory[] = {
	{ "memfd_map", memfd_map },
	{ "shared_anon", shared_anon },
	{ "deleted_map", deleted_map },
	{ "uffd_map", uffd_map },
	{ "sysv", sysv },
	{ "hugetlb", hugetlb },
	{ "secret", secret },
	{ "aio", aio },
	{ "segments", segments },
	{ "breakpoints", breakpoints },
	{ "ports", ports },
	{ NULL, NULL },
};
