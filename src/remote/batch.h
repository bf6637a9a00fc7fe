/* SPDX-License-Identifier: MIT */
/*
 * System calls in a stopped process: one at an instruction that is there anyway, and batches, plans
 * that each thread runs by the restorer's interpreter.
 *
 * The interpreter goes into a private r-x mapping, written through /proc/PID/mem, with the first
 * thread's plan behind it; that thread maps the writable end of the area itself and copies its plan
 * there, so that nothing is ever writable and executable. The other threads come after it, as many at
 * a time as the writable part holds, all of them running at once. Where nothing can be mapped, memory
 * that is there is borrowed (borrow.c).
 *
 * Meanwhile every signal but one is blocked; a thread ends its plan by sending this one to itself,
 * and the tracer swallows it. A standard signal, since one of those can be sent even when
 * RLIMIT_SIGPENDING is used up; and one that is ignored: a tracer sees it all the same, and when it is dead
 * the thread finds its way back alone (arch_way_write). Only in the calls that map and unmap the area, and with
 * borrowed memory, the end of the tracer is that of the process. No breakpoint and no single step: both end in a forced SIGTRAP, which
 * sets a blocked or ignored action back to the default.
 */
#ifndef REMOTE_BATCH_H
#define REMOTE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "remote/trace.h"

/* The interpreter needs a few hundred bytes. */
#define BATCH_STACK 2048u
/* The first bytes of an image hold the report of the plans, as plan_write is told. */
#define BATCH_PLANS_AT 64u
/* One of them, behind the report: where the plans were. */
#define BATCH_PLACE_AT 63u
enum batch_place {
	BATCH_BORROWED,
	BATCH_MAPPED,         /* in a mapping made for them */
	BATCH_WOULD_BE_LOCKED /* borrowed, since a mapping would be locked and RLIMIT_MEMLOCK forbids it */
};

struct batch_thread {
	const struct held_thread *held;
	uint64_t plan_at; /* offset of its plan in the image; they ascend */
	bool is_running;
};
struct batch {
	int pid;
	/* That ends a plan: a standard one, pending nowhere in the process, and best one that does nothing to
	 * it, should it come. Where memory is borrowed: one by which it does not go on, should it come. */
	int signal, last_signal;
	uint64_t call;                /* an instruction that makes a system call, in this process */
	uint8_t *image;               /* the plans; afterwards with results and data */
	size_t size;                  /* whole pages */
	struct batch_thread *threads; /* the speaker first */
	size_t n;
};

/* So many processes at once: while one runs on another core, the tracer is busy with the next. */
#define BATCH_AT_ONCE 16u

/*
 * How many of the batches, from the first on, are run at once: those of threads with seccomp filters, or whose calls
 * are dispatched, each alone, since that stands aside meanwhile, and for as short a time as can be.
 */
size_t batch_together(const struct batch *b, size_t n);
/*
 * Runs the plans of n processes (at most BATCH_AT_ONCE) at once, those that cannot map anything one after the other
 * at the end. Whatever comes out, the threads have their registers and masks back, and nothing of the batches is left
 * in the processes. `mem` and registers of the threads are as trace_wait left them; b->threads[].held says
 * what they were. *failed: of a failure, the first that failed.
 */
int batch_run(const struct batch *b, size_t n, const struct trace_watch *w, size_t *failed,
	      struct error *e) must_check;

#endif
