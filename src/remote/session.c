/* SPDX-License-Identifier: MIT */
/* Threads of a batch: running them up to a stop, one system call in the first, and bringing them back. */
#include "remote/session.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/remote.h"

#define UNDO_SECONDS 5.0
#define BIT(signal) (1ull << ((signal)-1))

static int resume(struct batch_thread *t, bool calls, struct error *e)
{
	int rc = trace_run(t->held->tid, calls, 0, e);

	if (rc >= 0)
		t->is_running = true;
	return rc;
}

static bool is_fault(int signal)
{
	return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE ||
	       signal == SIGTRAP || signal == SIGSYS;
}

static int fail_fault(int tid, int signal, struct error *e)
{
	if (signal == SIGSYS)
		return fail(
			e, 0,
			"thread %d has its system calls dispatched to itself "
			"(PR_SET_SYSCALL_USER_DISPATCH), and this kernel does not tell tracers of "
			"it (Linux 6.4 does); it cannot be saved here",
			tid);
	return fail(e, 0, "signal %d in the code that asks thread %d", signal, tid);
}

/* Until the thread stops as wanted: at a system call, or (calls not set) by the batch's signal. */
static int wait_for(struct session *s, struct batch_thread *t, bool calls, struct error *e)
{
	for (;;) {
		int tid = t->held->tid, signal, rc = trace_wait(tid, &s->watch, &signal, e);

		if (rc < 0)
			return rc;
		t->is_running = false;
		if (rc == TRACE_GONE)
			return fail(e, ESRCH, "thread %d was killed while it was held", tid);
		if (rc == TRACE_CALL && calls)
			return 0;
		if (rc == TRACE_SIGNAL && is_fault(signal))
			return fail_fault(tid, signal, e);
		if (rc == TRACE_SIGNAL && signal == s->signal && !calls)
			return 0;
		if (rc == TRACE_SIGNAL)
			s->owed |= BIT(signal);
		rc = resume(t, calls, e);
		if (rc < 0)
			return rc;
	}
}

/* A call that has begun comes to its end, what came of it is known, and a thread is brought back: so one
 * failure there is none. */
static int resume_call(struct batch_thread *t, struct error *e)
{
	int rc = resume(t, true, e);

	return rc < 0 ? resume(t, true, e) : rc;
}

static int read_result(struct batch_thread *t, uint64_t *regs, uint32_t *n, struct error *e)
{
	int rc = trace_get_regs(t->held->tid, regs, n, e);

	return rc < 0 ? trace_get_regs(t->held->tid, regs, n, e) : rc;
}

/* Blocks what could come in between. */
static int begin(const struct session *s, const struct batch_thread *t, const uint64_t *regs,
		 struct error *e)
{
	int rc = trace_set_regs(t->held->tid, regs, t->held->n_regs, e);

	return rc < 0 ? rc : trace_set_mask(t->held->tid, ~BIT(s->signal), e);
}

/* The mask first: with the registers of the stub a thread could still find its way back alone. */
static int restore(const struct held_thread *h, struct error *e)
{
	int rc = trace_set_mask(h->tid, h->sigmask, e);

	return rc < 0 ? rc : trace_set_regs(h->tid, h->regs, h->n_regs, e);
}

int session_restore(const struct batch_thread *t, struct error *e)
{
	int rc = restore(t->held, e);

	return rc < 0 ? restore(t->held, e) : rc;
}

/* To the begin of the call. */
static int start_call(const struct session_call *c)
{
	struct batch_thread *t = &c->s->b->threads[0];
	uint64_t regs[ARCH_MAX_REGS];
	int rc;

	memcpy(regs, t->held->regs, sizeof(regs));
	arch_set_call(regs, c->s->b->call, c->nr, c->args);
	rc = begin(c->s, t, regs, c->e);
	return rc < 0 ? rc : resume_call(t, c->e);
}

/* From its begin to its end. */
static int pass_call(const struct session_call *c)
{
	struct batch_thread *t = &c->s->b->threads[0];
	int rc;

	session_be_alone(c->s);
	rc = wait_for(c->s, t, true, c->e);
	return rc < 0 ? rc : resume_call(t, c->e);
}

static int end_call(struct session_call *c)
{
	struct batch_thread *t = &c->s->b->threads[0];
	uint64_t regs[ARCH_MAX_REGS];
	uint32_t n = t->held->n_regs;
	int rc;

	session_be_alone(c->s);
	rc = wait_for(c->s, t, true, c->e);
	if (rc >= 0)
		rc = read_result(t, regs, &n, c->e);
	if (rc < 0)
		return rc;
	c->result = arch_call_result(regs);
	return session_restore(t, c->e);
}

/* Each wait but the first finds that the thread is there already, or nearly; alone, since a call that has begun is
 * waited for. */
int session_calls(struct session_call *calls, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n; i++)
		calls[i].rc = start_call(&calls[i]);
	for (size_t i = 0; i < n; i++)
		if (calls[i].rc >= 0)
			calls[i].rc = pass_call(&calls[i]);
	for (size_t i = 0; i < n; i++) {
		if (calls[i].rc >= 0)
			calls[i].rc = end_call(&calls[i]);
		if (calls[i].rc < 0)
			rc = calls[i].rc;
	}
	return rc;
}

int session_call(struct session *s, long nr, const uint64_t args[6], int64_t *result,
		 struct error *e)
{
	struct session_call c = { .s = s, .nr = nr, .e = e };
	int rc;

	memcpy(c.args, args, sizeof(c.args));
	rc = session_calls(&c, 1);
	if (rc >= 0)
		*result = c.result;
	return rc;
}

int session_start(const struct session *s, struct batch_thread *t, const struct arch_stub *stub,
		  struct error *e)
{
	uint64_t regs[ARCH_MAX_REGS];
	int rc;

	memcpy(regs, t->held->regs, sizeof(regs));
	arch_set_stub(regs, stub);
	rc = begin(s, t, regs, e);
	return rc < 0 ? rc : resume(t, false, e);
}

/* Somebody else may send the signal as well: only at the stub's end it was the thread's own. */
int session_await_end(struct session *s, struct batch_thread *t, struct error *e)
{
	uint64_t regs[ARCH_MAX_REGS];
	uint32_t n;
	int rc;

	for (;;) {
		rc = wait_for(s, t, false, e);
		if (rc >= 0)
			rc = trace_get_regs(t->held->tid, regs, &n, e);
		if (rc < 0)
			return rc;
		if (arch_stub_is_done(regs, s->code_at))
			return arch_stub_has_run(regs);
		s->owed |= BIT(s->signal);
		rc = resume(t, false, e);
		if (rc < 0)
			return rc;
	}
}

void session_be_alone(struct session *s)
{
	s->watch = (struct trace_watch){ deadline_in(UNDO_SECONDS), -1 };
}

int session_stop(struct session *s, struct batch_thread *t, struct error *e)
{
	int signal, rc;

	session_be_alone(s);
	if (!t->is_running)
		return 0;
	rc = trace_interrupt(t->held->tid);
	if (rc < 0)
		return fail(e, -rc, "stop thread %d", t->held->tid);
	rc = trace_wait(t->held->tid, &s->watch, &signal, e);
	if (rc < 0)
		return rc;
	t->is_running = false;
	if (rc == TRACE_SIGNAL && signal != s->signal && !is_fault(signal))
		s->owed |= BIT(signal);
	return 0;
}
