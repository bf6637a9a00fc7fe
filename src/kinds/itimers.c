/* SPDX-License-Identifier: MIT */
/* Interval timers of a process. They go on with what was left at the dump. */
#include "kind.h"

#include <inttypes.h>
#include <string.h>
#include <sys/time.h>

#include "dump/api.h"
#include "itimers.pb-c.h"

#define N_TIMERS 3u
#define US 1000000u
/* What the kernel can count, by far. */
#define US_MAX ((uint64_t)INT64_MAX / 1000)

static const char *const names[N_TIMERS] = { "ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF" };

/* struct itimerval as the kernel has it. */
struct setting {
	int64_t interval_s, interval_us, value_s, value_us;
};

static void ask(struct plan *batch, const struct task_view *v)
{
	uint64_t at = plan_data(batch, NULL, N_TIMERS * sizeof(struct setting));

	(void)v;
	for (unsigned int i = 0; i < N_TIMERS; i++)
		plan_call_any(batch, SYS_getitimer, arg_num(i),
			      arg_data(at + i * sizeof(struct setting)));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct arena *a = dump_arena(d);
	Itimers *m = record;

	for (unsigned int i = 0; i < N_TIMERS; i++) {
		const struct setting *s = task_answer_data(v, i * sizeof(*s));
		int64_t rc = task_answer(v, i);
		Itimer *to;

		if (rc < 0)
			return fail(e, (int)-rc, "getitimer %s", names[i]);
		if (!s->value_s && !s->value_us && !s->interval_s && !s->interval_us)
			continue;
		if (!m->timers)
			m->timers = arena_alloc(a, N_TIMERS * sizeof(*m->timers));
		to = arena_alloc(a, sizeof(*to));
		itimer__init(to);
		to->which = i;
		to->remaining = (uint64_t)s->value_s * US + (uint64_t)s->value_us;
		to->interval = (uint64_t)s->interval_s * US + (uint64_t)s->interval_us;
		m->timers[m->n_timers++] = to;
	}
	return m->n_timers > 0;
}

/* The kernel winds ITIMER_REAL up again when its signal is taken: till then nothing is left and the
 * interval is there. */
static bool has_fired(const Itimer *t)
{
	return t->which == ITIMER_REAL && !t->remaining;
}

static int check(const Itimer *t, struct error *e)
{
	if (t->which >= N_TIMERS || t->remaining > US_MAX || t->interval > US_MAX)
		return fail(e, 0, "interval timer %u with %" PRIu64 " us left, then every %" PRIu64,
			    t->which, t->remaining, t->interval);
	return 0;
}

static void set(struct plan *p, const Itimer *t, uint64_t remaining)
{
	const struct setting s = {
		(int64_t)(t->interval / US),
		(int64_t)(t->interval % US),
		(int64_t)(remaining / US),
		(int64_t)(remaining % US),
	};

	plan_note(p, "interval timer %s", names[t->which]);
	plan_call_is(p, 0, SYS_setitimer, arg_num(t->which), arg_data(plan_data(p, &s, sizeof(s))),
		     arg_num(0));
}

/*
 * One that has fired fires again, while all signals are blocked and long before the program runs: its
 * signal is pending already, and a second one is not kept beside it.
 */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Itimers *m = record;

	(void)r;
	(void)tid;
	for (size_t i = 0; i < m->n_timers; i++) {
		int rc = check(m->timers[i], e);

		if (rc < 0)
			return rc;
		if (has_fired(m->timers[i]))
			set(p, m->timers[i], 1);
	}
	return 0;
}

static int start(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		 struct error *e)
{
	const Itimers *m = record;

	(void)r;
	(void)tid;
	(void)e;
	for (size_t i = 0; i < m->n_timers; i++) {
		if (!has_fired(m->timers[i]))
			set(p, m->timers[i], m->timers[i]->remaining);
	}
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	.stage = STAGE_TIMERS,
	.ask = ask,
	.dump = dump,
	.emit = emit,
	.start = start,
};

const struct kind kind_itimers = {
	.name = "itimers",
	.record = { "ITMR", 1, &itimers__descriptor },
	.task = &ops,
};
