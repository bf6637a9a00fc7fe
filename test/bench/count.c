/* SPDX-License-Identifier: MIT */
/*
 * Counts the system calls of a program and of everything that it starts.
 *
 *   count FILE PROGRAM ARGUMENT...     writes the number, and that of kcmp(2) among them, to FILE, ends as
 *                                      the program does
 *
 * A seccomp filter that lets a listener see each call and say "go on" (SECCOMP_RET_USER_NOTIF) is
 * inherited by all children and needs no ptrace, so programs that trace others themselves can be
 * counted; strace -f cannot do that. Children that live on are let go: the filter stays with them,
 * and without a listener their calls answer ENOSYS, so they are to be killed. execve of the program
 * is not counted. Calls that the program makes a third process do are not its own.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct start {
	char **argv;
	_Atomic int
		listener; /* a number in the table of descriptors that both share; -1: not yet */
};

static int run(void *arg)
{
	struct sock_filter allow_none = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	struct sock_fprog program = { .len = 1, .filter = &allow_none };
	struct start *start = arg;
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			  SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			  &program);

	/* From here on each call waits for the listener, this one's result goes by memory. */
	atomic_store(&start->listener, fd < 0 ? -2 : (int)fd);
	if (fd >= 0)
		execvp(start->argv[0], start->argv);
	_exit(127);
}

struct counted {
	unsigned long all, kcmp;
};

/* Lets calls pass until the program is dead. */
static struct counted serve(int listener, pid_t pid, int *status)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp answer;
	struct pollfd ready = { .fd = listener, .events = POLLIN };
	struct counted n = { 0, 0 };

	for (;;) {
		if (poll(&ready, 1, 1) > 0 && (ready.revents & POLLIN)) {
			memset(&call, 0, sizeof(call));
			if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
				continue;
			n.all++;
			n.kcmp += call.data.nr == SYS_kcmp;
			memset(&answer, 0, sizeof(answer));
			answer.id = call.id;
			answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
			ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
		} else if (waitpid(pid, status, WNOHANG) == pid) {
			return n;
		}
	}
}

int main(int argc, char **argv)
{
	enum {
		STACK = 1 << 20
	};
	struct start *start;
	char *stack;
	FILE *out;
	struct counted n;
	int status, fd;
	pid_t pid;

	if (argc < 3)
		return 2;
	start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (start == MAP_FAILED || stack == MAP_FAILED)
		return 2;
	/* A signal that comes before the listener has seen a call breaks it off: be quick. */
	(void)sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK,
				 &(struct sched_param){ .sched_priority = 1 });
	start->argv = argv + 2;
	atomic_store(&start->listener, -1);
	pid = clone(run, stack + STACK, CLONE_FILES | SIGCHLD, start);
	if (pid < 0)
		return 2;
	while ((fd = atomic_load(&start->listener)) == -1)
		sched_yield();
	if (fd < 0) {
		fputs("count: seccomp refuses a listener\n", stderr);
		return 2;
	}
	n = serve(fd, pid, &status);
	out = fopen(argv[1], "w");
	if (!out || fprintf(out, "%lu %lu\n", n.all - 1, n.kcmp) < 0 || fclose(out) != 0)
		return 2;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
