/* SPDX-License-Identifier: MIT */
#include "remote/trace.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "base/compat.h"
#include "base/fd.h"
#include "remote/memory.h"

#define TICK_US 20000

static void on_tick(int signal)
{
	(void)signal;
}

static void let_tick(bool on)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

/* Without SA_RESTART: that it interrupts is all that the signal is for. Only in waits: any call may be
 * interrupted, under a seccomp listener for example. */
int trace_start_ticks(struct error *e)
{
	struct sigaction action = { .sa_handler = on_tick };
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };

	let_tick(false);
	if (sigaction(SIGALRM, &action, NULL) || setitimer(ITIMER_REAL, &tick, NULL))
		return fail(e, errno, "timer");
	return 0;
}

/* As waitpid, with ticks if it is not over at once. */
static pid_t wait_child(pid_t which, int *status)
{
	pid_t pid = waitpid(which, status, __WALL | WNOHANG);
	int code;

	if (pid)
		return pid;
	let_tick(true);
	pid = waitpid(which, status, __WALL);
	code = errno;
	let_tick(false);
	errno = code;
	return pid;
}

#define OPTIONS PTRACE_O_TRACESYSGOOD

int trace_seize(int tid)
{
	return ptrace(PTRACE_SEIZE, tid, NULL, OPTIONS) ? -errno : 0;
}

int trace_interrupt(int tid)
{
	return ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ? -errno : 0;
}

static bool is_peer_gone(int peer)
{
	char byte;

	return peer >= 0 && recv(peer, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A leader that exits before its threads is not reported to its tracer until they are gone. */
static bool is_dead(int tid)
{
	char path[32], text[512]; /* no memory is asked for in the middle of a call */
	const char *p;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	auto_fd fd = fd_open(AT_FDCWD, path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	p = strrchr(text, ')');
	return p && p[1] && (p[2] == 'Z' || p[2] == 'X');
}

static int give_up(int tid, const struct trace_watch *w, struct error *e)
{
	if (is_peer_gone(w->peer))
		return fail(e, ECANCELED, "the dump was ended");
	if (deadline_is_over(w->deadline))
		return fail(e, ETIMEDOUT,
			    "thread %d does not stop; a process that waits for the child of its "
			    "vfork, or for a device, cannot be stopped before that is over",
			    tid);
	return 0;
}

static int event_of(int status, int *signal)
{
	*signal = 0;
	if (!WIFSTOPPED(status))
		return TRACE_GONE;
	*signal = WSTOPSIG(status);
	if (status >> 16 == PTRACE_EVENT_STOP)
		return *signal == SIGTRAP ? TRACE_STOP : TRACE_GROUP_STOP;
	if (*signal == (SIGTRAP | 0x80))
		return TRACE_CALL;
	return TRACE_SIGNAL;
}

int trace_wait(int tid, const struct trace_watch *w, int *signal, struct error *e)
{
	int status, rc;

	while (wait_child(tid, &status) < 0) {
		if (errno == ECHILD)
			return TRACE_GONE;
		if (errno != EINTR)
			return fail(e, errno, "wait for thread %d", tid);
		if (is_dead(tid)) {
			*signal = 0;
			return TRACE_GONE;
		}
		rc = give_up(tid, w, e);
		if (rc < 0)
			return rc;
	}
	return event_of(status, signal);
}

bool trace_reap(int which, const struct trace_watch *w)
{
	int status;

	for (;;) {
		if (wait_child(which, &status) >= 0) {
			if (which > 0 && !WIFSTOPPED(status))
				return true;
		} else if (errno != EINTR) {
			return true;
		} else if (deadline_is_over(w->deadline)) {
			return false;
		}
	}
}

int trace_run(int tid, bool calls, int signal, struct error *e)
{
	if (ptrace(calls ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, (long)signal))
		return fail(e, errno, "continue thread %d", tid);
	return 0;
}

void trace_detach(int tid)
{
	(void)ptrace(PTRACE_DETACH, tid, NULL, NULL);
}

int trace_set_suspended(int tid, bool on)
{
	long options = OPTIONS | (on ? PTRACE_O_SUSPEND_SECCOMP : 0);

	return ptrace(PTRACE_SETOPTIONS, tid, NULL, options) ? -errno : 0;
}

int trace_set_exitkill(int tid, bool on)
{
	long options = OPTIONS | (on ? PTRACE_O_EXITKILL : 0);

	return ptrace(PTRACE_SETOPTIONS, tid, NULL, options) ? -errno : 0;
}

/* --- state of a stopped thread --------------------------------------------------------------- */

int trace_get_regs(int tid, uint64_t *regs, uint32_t *n, struct error *e)
{
	struct iovec iov = { regs, ARCH_MAX_REGS * sizeof(*regs) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov))
		return fail(e, errno, "read the registers of thread %d", tid);
	*n = (uint32_t)(iov.iov_len / sizeof(*regs));
	return 0;
}

int trace_set_regs(int tid, const uint64_t *regs, uint32_t n, struct error *e)
{
	struct iovec iov = { (void *)(uintptr_t)regs, n * sizeof(*regs) };

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov))
		return fail(e, errno, "set the registers of thread %d", tid);
	return 0;
}

int trace_set_mask(int tid, uint64_t mask, struct error *e)
{
	if (ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask))
		return fail(e, errno, "set the signal mask of thread %d", tid);
	return 0;
}

static int read_xstate(struct held_thread *t, uint32_t room, struct error *e)
{
	struct iovec iov = { t->xstate, room };

	if (ptrace(PTRACE_GETREGSET, t->tid, arch_xstate_regset, &iov))
		return fail(e, errno, "read the extended registers of thread %d", t->tid);
	if (iov.iov_len >= room)
		return fail(e, 0, "thread %d has more extended registers than this cr knows",
			    t->tid);
	t->xstate_size = (uint32_t)iov.iov_len;
	return 0;
}

/* A kernel without rseq (EIO) has registered none. */
static int read_rseq(struct held_thread *t, struct error *e)
{
	struct rseq_configuration rseq = { 0 };

	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->tid, sizeof(rseq), &rseq) < 0 && errno != EIO)
		return fail(e, errno, "read the rseq area of thread %d", t->tid);
	t->rseq_address = rseq.rseq_abi_pointer;
	t->rseq_size = rseq.rseq_abi_pointer ? rseq.rseq_abi_size : 0;
	t->rseq_signature = rseq.signature;
	t->rseq_flags = rseq.flags;
	return 0;
}

/* Since 6.4. Without a selector, or where its byte is not 0, calls from outside the range are dispatched. */
static int read_dispatch(struct held_thread *t, struct error *e)
{
	struct sud_configuration config = { 0 };
	uint8_t byte = 1;
	int rc = 0;

	t->dispatch.is_on = false;
	if (ptrace((enum __ptrace_request)PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG, t->tid,
		   sizeof(config), &config) < 0 ||
	    !config.mode)
		return 0;
	if (config.selector)
		rc = memory_read(t->tid, config.selector, &byte, 1);
	if (rc < 0)
		return fail(e, -rc, "read the byte by which thread %d dispatches its system calls",
			    t->tid);
	t->dispatch = (struct held_dispatch){ true, byte != 0, config.selector, config.offset,
					      config.len };
	return 0;
}

/* A debugger that lets go leaves its breakpoints; every thread of the process has them, most often. */
int trace_check_hardware(int tid, struct error *e)
{
	uint8_t ports[8192];
	struct iovec iov = { ports, sizeof(ports) };
	long on;

	errno = 0;
	on = ptrace(PTRACE_PEEKUSER, tid, (void *)arch_breakpoints_at, NULL);
	if (!errno && on)
		return fail(
			e, 0,
			"task %d: has hardware breakpoints (%#lx), which cannot be saved yet; have the "
			"debugger that has set them delete them",
			tid, on);
	if (ptrace(PTRACE_GETREGSET, tid, arch_ports_regset, &iov) == 0)
		return fail(e, 0,
			    "task %d: may use I/O ports (ioperm, iopl), which cannot be saved yet",
			    tid);
	return 0;
}

int trace_set_dispatch(const struct held_thread *t, bool on)
{
	uint64_t offset = t->dispatch.offset, length = t->dispatch.length;
	struct sud_configuration config = { 0 };

	if (on) {
		config.mode = dispatch_mode(&offset, &length);
		config.selector = t->dispatch.selector;
		config.offset = offset;
		config.len = length;
	}
	return ptrace((enum __ptrace_request)PTRACE_SET_SYSCALL_USER_DISPATCH_CONFIG, t->tid,
		      sizeof(config), &config)
		       ? -errno
		       : 0;
}

int trace_read_thread(struct held_thread *t, uint32_t room, struct error *e)
{
	int rc = trace_get_regs(t->tid, t->regs, &t->n_regs, e);

	if (rc >= 0)
		rc = read_xstate(t, room, e);
	if (rc >= 0 && ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask))
		rc = fail(e, errno, "read the signal mask of thread %d", t->tid);
	if (rc >= 0)
		rc = read_rseq(t, e);
	if (rc >= 0)
		rc = read_dispatch(t, e);
	return rc;
}

int trace_read_signals(int tid, bool shared, siginfo_t *to, uint32_t room, struct error *e)
{
	const uint32_t flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0;
	uint32_t n = 0;
	long got = 0;

	do {
		struct __ptrace_peeksiginfo_args at = { n, flags, (int32_t)(room - n) };

		got = n < room ? ptrace(PTRACE_PEEKSIGINFO, tid, &at, to + n) : 0;
		if (got < 0)
			return fail(e, errno, "read the pending signals of thread %d", tid);
		n += (uint32_t)got;
	} while (got > 0);
	return (int)n;
}
