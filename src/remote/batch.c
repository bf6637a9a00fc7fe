/* SPDX-License-Identifier: MIT */
#include "remote/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "base/fd.h"
#include "base/mem.h"
#include "cr-restorer.h"
#include "remote/filters.h"
#include "remote/memory.h"

#define PAGE 4096u
#define INTERPRETER_AT 64u /* behind the stub */
#define UNDO_SECONDS 5.0
#define BIT(signal) (1ull << ((signal)-1))

struct session {
	const struct batch *b;
	struct trace_watch watch;
	size_t code;   /* bytes of stub and interpreter, whole pages */
	uint64_t area; /* code, plans, writable copy of the plans; 0: not mapped */
	bool running;  /* the thread in question is not stopped */
	uint64_t owed; /* signals that were swallowed and are not ours */
};

static size_t area_size(const struct session *s)
{
	return s->code + 2 * s->b->size;
}

static uint64_t writable_at(const struct session *s)
{
	return s->area + s->code + s->b->size;
}

static int resume(struct session *s, int tid, bool calls, struct error *e)
{
	int rc = trace_run(tid, calls, 0, e);

	if (rc >= 0)
		s->running = true;
	return rc;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
	       signal == SIGTRAP || signal == SIGSYS;
}

/* Until the thread stops as wanted: at a system call, or (calls not set) by the batch's signal. */
static int wait_for(struct session *s, int tid, bool calls, struct error *e)
{
	for (;;) {
		int signal, rc = trace_wait(tid, &s->watch, &signal, e);

		if (rc < 0)
			return rc;
		s->running = false;
		if (rc == TRACE_GONE)
			return fail(e, ESRCH, "thread %d was killed while it was held", tid);
		if (rc == TRACE_CALL && calls)
			return 0;
		if (rc == TRACE_SIGNAL && is_fault(signal))
			return fail(e, 0, "signal %d in the code that asks thread %d", signal, tid);
		if (rc == TRACE_SIGNAL && signal == BATCH_SIGNAL && !calls)
			return 0;
		if (rc == TRACE_SIGNAL)
			s->owed |= BIT(signal);
		rc = resume(s, tid, calls, e);
		if (rc < 0)
			return rc;
	}
}

static int call_in(struct session *s, const struct held_thread *t, long nr, const uint64_t args[6],
		   int64_t *result, struct error *e)
{
	uint64_t regs[ARCH_MAX_REGS];
	uint32_t n = t->n_regs;
	int rc;

	memcpy(regs, t->regs, sizeof(regs));
	arch_set_call(regs, s->b->call, nr, args);
	rc = trace_set_regs(t->tid, regs, n, e);
	for (int stop = 0; stop < 2 && rc >= 0; stop++) {
		rc = resume(s, t->tid, true, e);
		if (rc >= 0)
			rc = wait_for(s, t->tid, true, e);
	}
	if (rc >= 0)
		rc = trace_get_regs(t->tid, regs, &n, e);
	if (rc >= 0)
		*result = arch_call_result(regs);
	return rc;
}

static int map_area(struct session *s, struct error *e)
{
	const uint64_t args[6] = {
		0, area_size(s), PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0
	};
	int64_t result;
	int rc = call_in(s, s->b->threads[0].held, SYS_mmap, args, &result, e);

	if (rc < 0)
		return rc;
	if (result < 0 && result > -4096)
		return fail(
			e, (int)-result,
			"process %d cannot map %zu KiB for the questions that only it can answer "
			"(RLIMIT_AS, RLIMIT_MEMLOCK, vm.max_map_count?)",
			s->b->pid, area_size(s) / 1024);
	s->area = (uint64_t)result;
	return 0;
}

static int unmap_area(struct session *s, struct error *e)
{
	const uint64_t args[6] = { s->area, area_size(s) };
	int64_t result = 0;
	int rc;

	if (!s->area)
		return 0;
	rc = call_in(s, s->b->threads[0].held, SYS_munmap, args, &result, e);
	if (rc < 0)
		return rc;
	if (result < 0)
		return fail(e, (int)-result, "unmap the code that asks process %d", s->b->pid);
	s->area = 0;
	return 0;
}

/* A write through this file goes into a private mapping that is not writable. */
static int write_area(struct session *s, struct error *e)
{
	auto_free char *code = mem_alloc(s->code);
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/mem", s->b->pid);
	auto_fd mem = open(path, O_WRONLY | O_CLOEXEC);
	if (mem < 0)
		return fail(e, errno, "open %s", path);
	memcpy(code, arch_stub_bytes, arch_stub_size);
	memcpy(code + INTERPRETER_AT, cr_rst_begin(), cr_rst_size());
	rc = fd_pwrite_full(mem, code, s->code, (off_t)s->area);
	if (rc >= 0)
		rc = fd_pwrite_full(mem, s->b->image, s->b->size, (off_t)(s->area + s->code));
	if (rc < 0)
		return fail(e, -rc, "write %s", path);
	return 0;
}

static void fill_stub(const struct session *s, size_t i, struct arch_stub *stub)
{
	const struct batch_thread *t = &s->b->threads[i];
	const struct cr_rst_plan *plan = (const void *)(s->b->image + t->plan_at);
	uintptr_t run = (uintptr_t)cr_rst_run - (uintptr_t)cr_rst_begin();

	*stub = (struct arch_stub){
		.at = s->area,
		.map = i == 0,
		.area = writable_at(s),
		.size = s->b->size,
		.source = s->area + s->code,
		.run = s->area + INTERPRETER_AT + run,
		.plan = writable_at(s) + t->plan_at,
		.stack = writable_at(s) + t->plan_at + (uint64_t)plan->stack_top,
		.process = s->b->pid,
		.thread = t->held->tid,
		.signal = BATCH_SIGNAL,
	};
}

/* Somebody else may send the signal as well: only at the stub's end it was the thread's own. */
static int run_to_end(struct session *s, int tid, struct error *e)
{
	uint64_t regs[ARCH_MAX_REGS];
	uint32_t n;
	int rc;

	for (;;) {
		rc = resume(s, tid, false, e);
		if (rc >= 0)
			rc = wait_for(s, tid, false, e);
		if (rc >= 0)
			rc = trace_get_regs(tid, regs, &n, e);
		if (rc < 0 || arch_stub_is_done(regs, s->area))
			return rc;
		s->owed |= BIT(BATCH_SIGNAL);
	}
}

static int restore_thread(const struct held_thread *t, struct error *e)
{
	int rc = trace_set_regs(t->tid, t->regs, t->n_regs, e);

	if (rc >= 0)
		rc = trace_set_mask(t->tid, t->sigmask, e);
	return rc;
}

static int block_signals(const struct held_thread *t, struct error *e)
{
	return trace_set_mask(t->tid, ~BIT(BATCH_SIGNAL), e);
}

/* Waits from here on end with a deadline of their own, and not with cr. */
static void alone(struct session *s)
{
	s->watch = (struct trace_watch){ deadline_in(UNDO_SECONDS), -1 };
}

/* Brings a thread that may be anywhere back to where it was. */
static int recover_thread(struct session *s, const struct held_thread *t, struct error *e)
{
	int signal, rc = 0;

	alone(s);
	if (s->running) {
		rc = trace_interrupt(t->tid);
		if (rc >= 0)
			rc = trace_wait(t->tid, &s->watch, &signal, e);
		if (rc < 0 || rc == TRACE_GONE)
			return rc;
		s->running = false;
		if (rc == TRACE_SIGNAL && signal != BATCH_SIGNAL && !is_fault(signal))
			s->owed |= BIT(signal);
	}
	return restore_thread(t, e);
}

static int run_thread(struct session *s, size_t i, struct error *e)
{
	const struct held_thread *t = s->b->threads[i].held;
	uint64_t regs[ARCH_MAX_REGS];
	struct arch_stub stub;
	int rc = i ? block_signals(t, e) : 0;

	memcpy(regs, t->regs, sizeof(regs));
	fill_stub(s, i, &stub);
	arch_set_stub(regs, &stub);
	if (rc >= 0)
		rc = trace_set_regs(t->tid, regs, t->n_regs, e);
	if (rc >= 0)
		rc = run_to_end(s, t->tid, e);
	if (rc < 0) {
		struct error ignored;

		(void)!recover_thread(s, t, &ignored);
		s->running = false;
		return rc;
	}
	return i ? restore_thread(t, e) : 0;
}

static int read_answers(struct session *s, struct error *e)
{
	int rc = memory_read(s->b->pid, writable_at(s), s->b->image, s->b->size);
	const struct cr_rst_plan *first = (const void *)(s->b->image + s->b->threads[0].plan_at);

	if (rc < 0)
		return fail(e, -rc, "read the answers of process %d", s->b->pid);
	if (first->abi != CR_RST_ABI)
		return fail(
			e, ENOMEM,
			"process %d cannot map %zu KiB for its answers (RLIMIT_DATA, RLIMIT_AS?)",
			s->b->pid, s->b->size / 1024);
	return 0;
}

static int run_all(struct session *s, const struct trace_watch *w, struct error *e)
{
	int rc;

	alone(s);
	rc = map_area(s, e);
	if (rc >= 0)
		rc = write_area(s, e);
	s->watch = *w;
	for (size_t i = 0; i < s->b->n && rc >= 0; i++)
		rc = run_thread(s, i, e);
	if (rc >= 0)
		rc = read_answers(s, e);
	return rc;
}

static int suspend_filters(const struct batch *b, bool on, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < b->n && rc >= 0; i++)
		rc = filters_suspend(b->threads[i].held, on, e);
	return rc;
}

static void send_owed(const struct session *s)
{
	for (int signal = 1; s->owed && signal <= 64; signal++)
		if (s->owed & BIT(signal))
			kill(s->b->pid, signal);
}

static int run_and_undo(struct session *s, const struct trace_watch *w, struct error *e)
{
	const struct held_thread *leader = s->b->threads[0].held;
	struct error undo, ignored;
	int rc, rc2, rc3;

	rc = block_signals(leader, e);
	if (rc >= 0)
		rc = run_all(s, w, e);
	/* Not given up half way, whatever becomes of cr: a call that has begun is waited for. */
	rc2 = s->running ? recover_thread(s, leader, &undo) : 0;
	alone(s);
	if (rc2 >= 0)
		rc2 = unmap_area(s, &undo);
	rc3 = recover_thread(s, leader, rc2 < 0 ? &ignored : &undo);
	if (rc >= 0 && (rc2 < 0 || rc3 < 0))
		*e = undo;
	return rc < 0 ? rc : rc2 < 0 ? rc2 : rc3;
}

int batch_run(const struct batch *b, const struct trace_watch *w, struct error *e)
{
	struct session s = { .b = b };
	struct error undo;
	int rc, rc2;

	s.code = (INTERPRETER_AT + cr_rst_size() + PAGE - 1) & ~(size_t)(PAGE - 1);
	rc = suspend_filters(b, true, e);
	if (rc >= 0)
		rc = run_and_undo(&s, w, e);
	rc2 = suspend_filters(b, false, rc < 0 ? &undo : e);
	send_owed(&s);
	return rc < 0 ? rc : rc2;
}
