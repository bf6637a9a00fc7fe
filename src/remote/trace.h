/* SPDX-License-Identifier: MIT */
/*
 * ptrace, for one thread: stop it, read what only a tracer sees, put things back, let it go. Always
 * PTRACE_SEIZE, so that a stop is no signal and job control stays as it is. Every wait has an end:
 * the caller of these functions keeps a timer ticking (trace_start_ticks), and each tick the deadline
 * and the other end of a socket are looked at.
 */
#ifndef REMOTE_TRACE_H
#define REMOTE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "remote/held.h"

/* When a wait is given up. */
struct trace_watch {
	struct deadline deadline;
	int peer; /* a socket: its end of file ends the wait; -1: none */
};

/* An interval timer whose signal interrupts waits; for the life of the process. */
int trace_start_ticks(struct error *e) must_check;

/* What a wait came back with. */
enum trace_event {
	TRACE_GONE,       /* the thread has exited or was killed; it is reaped */
	TRACE_STOP,       /* PTRACE_INTERRUPT has taken effect */
	TRACE_GROUP_STOP, /* stopped by job control */
	TRACE_CALL,       /* entry or exit of a system call (trace_run with calls) */
	TRACE_SIGNAL,     /* a signal is about to be delivered */
};

/* -ESRCH: gone; -EPERM: a zombie, somebody else's tracee, or not allowed. No text. */
int trace_seize(int tid) must_check;
int trace_interrupt(int tid) must_check;
/* Waits for the next stop. *signal: of TRACE_SIGNAL and TRACE_GROUP_STOP. The event, or -ETIMEDOUT, -ECANCELED (the peer is
 * gone) or another -errno. */
int trace_wait(int tid, const struct trace_watch *w, int *signal, struct error *e) must_check;
/* Waits until this tracee (-1: every one) is dead; false: the deadline came first. The kernel looks at all of
 * them for -1, each time. */
bool trace_reap(int which, const struct trace_watch *w);
/* Lets the thread run on; calls: to the next entry or exit of a system call. */
int trace_run(int tid, bool calls, int signal, struct error *e) must_check;
void trace_detach(int tid);
/* Whether the thread's calls go past its seccomp filters; needs CAP_SYS_ADMIN. */
int trace_set_suspended(int tid, bool on) must_check;
/* Turns the dispatch of its system calls off, and on again as t->dispatch has it. */
int trace_set_dispatch(const struct held_thread *t, bool on) must_check;
/* If the tracer dies, so do the tracees. */
int trace_set_exitkill(int tid, bool on) must_check;

/* Fills t (t->tid is set); xstate goes to `room` bytes at t->xstate. -ESRCH when it is gone. */
int trace_read_thread(struct held_thread *t, uint32_t room, struct error *e) must_check;
/* Reads up to `room` pending signals, from the first on: the thread's own, or those of its process. How
 * many there were. */
int trace_read_signals(int tid, bool shared, siginfo_t *to, uint32_t room,
		       struct error *e) must_check;
/* Refuses hardware breakpoints and rights to I/O ports. */
int trace_check_hardware(int tid, struct error *e) must_check;
int trace_get_regs(int tid, uint64_t *regs, uint32_t *n, struct error *e) must_check;
int trace_set_regs(int tid, const uint64_t *regs, uint32_t n, struct error *e) must_check;
int trace_set_mask(int tid, uint64_t mask, struct error *e) must_check;

#endif
