/* SPDX-License-Identifier: MIT */
/*
 * POSIX timers of a process. They keep their numbers, and go on with what was left at the dump. One
 * whose signal is pending is made to expire once more, so that the signal is really its own: the kernel
 * winds such a timer up when the signal is taken.
 */
#include "kind.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "dump/api.h"
#include "posixtimers.pb-c.h"
#include "proc/timers.h"
#include "restore/api.h"
#include "restore/host.h"

#define NS 1000000000ull
/* The kernel's own limit of a time: ktime_t. */
#define NS_MAX ((uint64_t)INT64_MAX)
/* Numbers are given away in turn. So many are passed over by making timers and deleting them: if need be,
 * and rather than asking the kernel for numbers of our choice (since 6.15). */
#define SKIPS_MAX 10000u
#define SKIPS_CHEAP 32u

/* struct itimerspec as the kernel has it. */
struct setting {
	uint64_t interval_s, interval_ns, value_s, value_ns;
};

/* --- clocks: what a negative number says (include/linux/posix-timers.h) ---------------------------- */

static uint32_t task_of_clock(int32_t clock)
{
	return (uint32_t) ~(clock >> 3);
}

static bool is_thread_clock(int32_t clock)
{
	return clock & 4;
}

/* Of a file, such as /dev/ptp0. */
static bool is_device_clock(int32_t clock)
{
	return clock < 0 && (clock & 7) == 3;
}

static bool is_plain_clock(int32_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM || clock == CLOCK_TAI;
}

/* --- before the dump ------------------------------------------------------------------------------- */

static bool has_thread(const struct task_view *v, uint32_t tid)
{
	char path[24];

	snprintf(path, sizeof(path), "../%u", tid);
	return faccessat(v->proc, path, F_OK, 0) == 0;
}

static int check_clock(const struct task_view *v, const struct proc_timer *t, struct error *e)
{
	uint32_t task = task_of_clock(t->clock);

	if (is_plain_clock(t->clock))
		return 0;
	if (t->clock >= 0 || is_device_clock(t->clock))
		return fail(e, 0, "timer %d has clock %d, which cannot be saved", t->id, t->clock);
	if (!is_thread_clock(t->clock)) {
		if (!task || task == (uint32_t)v->pid)
			return 0;
		return fail(e, 0,
			    "timer %d counts the processor time of process %u, another one, which "
			    "cannot be saved yet",
			    t->id, task);
	}
	if (!task && v->status->threads > 1)
		return fail(e, 0,
			    "timer %d counts the processor time of the thread that has made it "
			    "(CLOCK_THREAD_CPUTIME_ID), and the kernel does not tell which of %u "
			    "that is; a clock of pthread_getcpuclockid can be saved",
			    t->id, v->status->threads);
	if (task && !has_thread(v, task))
		return fail(e, 0, "timer %d counts the processor time of thread %u, which is gone",
			    t->id, task);
	return 0;
}

static int check_timer(const struct task_view *v, const struct proc_timer *t, struct error *e)
{
	if (t->notify & SIGEV_THREAD_ID && (t->target <= 0 || !has_thread(v, (uint32_t)t->target)))
		return fail(e, 0,
			    "timer %d signals thread %d, which is gone; have the program delete "
			    "the timer",
			    t->id, t->target);
	return check_clock(v, t, e);
}

static int probe(const struct task_view *v, struct error *e)
{
	struct arena a = { 0 };
	struct proc_timers timers;
	int rc;

	/* Once more after the freeze: that is done by dump, if there are any. */
	if (v->held)
		return 0;
	rc = timers_read(v->proc, &a, &timers, e);
	for (size_t i = 0; rc >= 0 && i < timers.n; i++)
		rc = check_timer(v, &timers.list[i], e);
	arena_free(&a);
	return rc;
}

/* A list that cannot be read is one question, so that dump tries again and tells. */
static void ask(struct plan *batch, const struct task_view *v)
{
	struct arena a = { 0 };
	struct proc_timers timers = { 0 };
	struct error ignored;
	uint64_t at;

	if (timers_read(v->proc, &a, &timers, &ignored) < 0)
		plan_call_any(batch, SYS_timer_getoverrun, arg_num((uint64_t)-1));
	at = timers.n ? plan_data(batch, NULL, timers.n * sizeof(struct setting)) : 0;
	for (size_t i = 0; i < timers.n; i++)
		plan_call_any(batch, SYS_timer_gettime, arg_num((uint64_t)timers.list[i].id),
			      arg_data(at + i * sizeof(struct setting)));
	arena_free(&a);
}

/* --- dump -------------------------------------------------------------------------------------- */

struct looked_for {
	int id, target; /* 0: the process */
	bool found;
};

static int look_for(void *arg, const struct held_thread *held)
{
	struct looked_for *f = arg;
	const struct held_signals *q = f->target ? &held->pending : &held->shared;

	if (f->target && f->target != held->tid)
		return 0;
	for (uint32_t i = 0; i < q->n; i++)
		f->found = f->found ||
			   (q->list[i].si_code == SI_TIMER && q->list[i].si_timerid == f->id);
	return 0;
}

/* A timer that was set anew while its signal was pending is armed as no other with a pending signal is:
 * that signal is dropped by the kernel when its turn comes. */
static bool is_pending(struct dump *d, const struct task_view *v, const struct proc_timer *t,
		       const PosixTimer *m)
{
	struct looked_for f = { t->id, t->notify & SIGEV_THREAD_ID ? t->target : 0, false };

	(void)dump_each_thread(d, v->pid, look_for, &f);
	return f.found && (m->interval ? m->remaining <= m->interval : !m->remaining);
}

static void fill(struct dump *d, const struct task_view *v, const struct proc_timer *t,
		 const struct setting *s, PosixTimer *m)
{
	posix_timer__init(m);
	m->timer = (uint32_t)t->id;
	m->clock = t->clock;
	m->notify = (uint32_t)t->notify;
	m->signal = (uint32_t)t->signal;
	m->value = t->value;
	m->has_target = t->notify & SIGEV_THREAD_ID;
	m->target = m->has_target ? (uint32_t)t->target : 0;
	m->remaining = s->value_s * NS + s->value_ns;
	m->interval = s->interval_s * NS + s->interval_ns;
	m->pending = is_pending(d, v, t, m);
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct arena *a = dump_arena(d);
	struct proc_timers timers;
	PosixTimers *m = record;
	int rc;

	if (!v->n_ops)
		return 0;
	rc = timers_read(v->proc, a, &timers, e);
	if (rc < 0)
		return rc;
	if (timers.n != v->n_ops)
		return fail(e, 0, "%zu timers, but %u were asked", timers.n, v->n_ops);
	m->timers = arena_alloc(a, timers.n * sizeof(*m->timers));
	for (size_t i = 0; i < timers.n; i++) {
		const struct proc_timer *t = &timers.list[i];
		PosixTimer *to = arena_alloc(a, sizeof(*to));
		int64_t got = task_answer(v, (uint32_t)i);

		if (got < 0)
			return fail(e, (int)-got, "timer_gettime %d", t->id);
		rc = check_timer(v, t, e);
		if (rc < 0)
			return rc;
		fill(d, v, t, task_answer_data(v, i * sizeof(struct setting)), to);
		m->timers[m->n_timers++] = to;
	}
	return 1;
}

/* --- restore ----------------------------------------------------------------------------------- */

static int check(const PosixTimer *t, struct error *e)
{
	bool signals = t->notify == SIGEV_SIGNAL || t->notify == SIGEV_THREAD ||
		       t->notify == SIGEV_THREAD_ID;

	if (t->timer > INT_MAX || (!signals && t->notify != SIGEV_NONE) ||
	    (signals && (t->signal < 1 || t->signal > 64)) ||
	    (t->notify == SIGEV_THREAD_ID) != (t->has_target != 0) || (t->pending && !signals))
		return fail(e, 0, "timer %u with signal %u, notified in way %u", t->timer,
			    t->signal, t->notify);
	if (t->remaining > NS_MAX || t->interval > NS_MAX)
		return fail(e, 0, "timer %u with %" PRIu64 " ns left, then every %" PRIu64,
			    t->timer, t->remaining, t->interval);
	if (t->clock >= 0 ? !is_plain_clock(t->clock) : is_device_clock(t->clock))
		return fail(e, 0, "timer %u with clock %d", t->timer, t->clock);
	return 0;
}

static int check_all(const PosixTimers *m, struct error *e)
{
	for (size_t i = 0; i < m->n_timers; i++) {
		int rc = check(m->timers[i], e);

		if (rc < 0)
			return rc;
		if (i && m->timers[i]->timer <= m->timers[i - 1]->timer)
			return fail(e, 0, "timer %u behind timer %u", m->timers[i]->timer,
				    m->timers[i - 1]->timer);
	}
	return 0;
}

static void emit_create(struct plan *p, int32_t clock, const struct sigevent *event, uint32_t id)
{
	const int32_t wanted = (int32_t)id;
	struct arg how = arg_data(plan_data(p, event, sizeof(*event)));

	plan_call_is(p, 0, SYS_timer_create, arg_num((uint64_t)(int64_t)clock), how,
		     arg_data(plan_data(p, &wanted, sizeof(wanted))));
}

static void emit_skip(struct plan *p, uint32_t id)
{
	const struct sigevent none = { .sigev_notify = SIGEV_NONE };

	plan_note(p, "number %u, which no timer has", id);
	emit_create(p, CLOCK_MONOTONIC, &none, id);
	plan_call_is(p, 0, SYS_timer_delete, arg_num(id));
}

static void emit_timer(struct restore *r, struct plan *p, const PosixTimer *t)
{
	struct sigevent event = { .sigev_signo = (int)t->signal, .sigev_notify = (int)t->notify };
	bool alarm = t->clock == CLOCK_REALTIME_ALARM || t->clock == CLOCK_BOOTTIME_ALARM;

	event.sigev_value.sival_ptr = (void *)(uintptr_t)t->value;
	if (t->has_target)
		event._sigev_un._tid = (int)t->target;
	if (t->notify != SIGEV_NONE)
		restore_keep_blocked(r, t->signal);
	plan_note(p, "timer %u%s", t->timer, alarm ? " (needs CAP_WAKE_ALARM)" : "");
	emit_create(p, t->clock, &event, t->timer);
}

static void emit_set(struct plan *p, const PosixTimer *t, int flags, uint64_t value)
{
	const struct setting s = { t->interval / NS, t->interval % NS, value / NS, value % NS };

	plan_note(p, "timer %u", t->timer);
	plan_call_is(p, 0, SYS_timer_settime, arg_num(t->timer), arg_num((uint64_t)flags),
		     arg_data(plan_data(p, &s, sizeof(s))), arg_num(0));
}

/* A time that has passed: the last but one before the next that is to come, so that the timer keeps its
 * step. The clock of a new task has hardly begun. */
static uint64_t time_passed(const struct host *h, const PosixTimer *t)
{
	uint64_t now = t->clock < 0 ? 0 : h->clocks[t->clock];

	return now + t->remaining > t->interval + 1 && t->interval
		       ? now + t->remaining - t->interval
		       : 1;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const struct host *h = restore_host(r);
	const PosixTimers *m = record;
	uint32_t next = 0, skips;
	bool chosen;
	int rc = check_all(m, e);

	(void)tid;
	if (rc < 0 || !m->n_timers)
		return rc;
	skips = m->timers[m->n_timers - 1]->timer + 1 - (uint32_t)m->n_timers;
	chosen = skips > SKIPS_CHEAP && h->timer_ids;
	if (!chosen && skips > SKIPS_MAX)
		return fail(e, 0,
			    "the number of timer %u: this kernel cannot give a number of choice "
			    "(PR_TIMER_CREATE_RESTORE_IDS, since 6.15)",
			    m->timers[m->n_timers - 1]->timer);
	plan_note(p, "numbers of timers are chosen");
	if (chosen)
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_TIMER_CREATE_RESTORE_IDS),
			     arg_num(PR_TIMER_CREATE_RESTORE_IDS_ON));
	for (size_t i = 0; i < m->n_timers; i++) {
		for (; !chosen && next < m->timers[i]->timer; next++)
			emit_skip(p, next);
		emit_timer(r, p, m->timers[i]);
		next++;
	}
	plan_note(p, "numbers of timers are chosen");
	if (chosen)
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_TIMER_CREATE_RESTORE_IDS),
			     arg_num(PR_TIMER_CREATE_RESTORE_IDS_OFF));
	/* That a timer has its number is seen here: later nothing may fail. */
	for (size_t i = 0; i < m->n_timers; i++) {
		const PosixTimer *t = m->timers[i];

		plan_note(p, "number of timer %u", t->timer);
		if (t->pending)
			emit_set(p, t, TIMER_ABSTIME, time_passed(h, t));
		else
			plan_call_is(p, 0, SYS_timer_getoverrun, arg_num(t->timer));
	}
	return 0;
}

static int start(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		 struct error *e)
{
	const PosixTimers *m = record;

	(void)r;
	(void)tid;
	(void)e;
	for (size_t i = 0; i < m->n_timers; i++) {
		if (!m->timers[i]->pending && m->timers[i]->remaining)
			emit_set(p, m->timers[i], 0, m->timers[i]->remaining);
	}
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	.stage = STAGE_TIMERS,
	.probe = probe,
	.ask = ask,
	.asks_late = true,
	.dump = dump,
	.emit = emit,
	.start = start,
};

const struct kind kind_posixtimers = {
	.name = "posixtimers",
	.record = { "PTMR", 1, &posix_timers__descriptor },
	.task = &ops,
};
