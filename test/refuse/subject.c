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

#include "subject.h"

char dir[4096];

long must(long rc, const char *what)
{
	if (rc != -1)
		return rc;
	dprintf(1, "skip %s: %s\n", what, strerror(errno));
	_exit(77);
}

void nap(void)
{
	struct timespec t = { .tv_nsec = 10000000 };

	nanosleep(&t, NULL);
}

_Noreturn void doze(void)
{
	for (;;)
		nap();
}

_Noreturn void go_on(void)
{
	for (;;) {
		nap();
		if (write(1, ".", 1) < 0)
			_exit(1);
	}
}

const char *in_dir(const char *name)
{
	static char path[4200];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

int new_file(const char *name)
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

void outside(void (*then)(pid_t))
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

void *map(size_t n, int prot, int flags, int fd)
{
	void *p = mmap(NULL, n, prot, flags, fd, 0);

	if (p == MAP_FAILED)
		must(-1, "mmap");
	return p;
}

static const struct refused *find(const char *name)
{
	const struct refused *const all[] = { of_descriptors, of_memory, of_tasks };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		for (const struct refused *one = all[i]; one->name; one++)
			if (strcmp(one->name, name) == 0)
				return one;
	return NULL;
}

int main(int argc, char **argv)
{
	const struct refused *one;

	if (argc < 3)
		return 2;
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	one = find(argv[1]);
	if (!one)
		return 2;
	snprintf(dir, sizeof(dir), "%s", argv[2]);
	one->run();
	/* In these a child is the subject, and has said so. */
	if (strcmp(one->name, "ns_pid") != 0 && strcmp(one->name, "ns_time_own") != 0)
		dprintf(1, "ready %d\n", getpid());
	go_on();
}
