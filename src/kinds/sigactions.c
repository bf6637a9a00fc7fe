/* SPDX-License-Identifier: MIT */
/* What a process does with signals. */
#include "kind.h"

#include <signal.h>
#include <string.h>

#include "dump/api.h"
#include "restore/api.h"
#include "restore/host.h"
#include "sigactions.pb-c.h"

#define SIGNALS 64u

/* struct sigaction as rt_sigaction(2) takes it, not libc's. */
struct action {
	uint64_t handler, flags, restorer, mask;
};

static bool can_be_set(unsigned int signal)
{
	return signal >= 1 && signal <= SIGNALS && signal != SIGKILL && signal != SIGSTOP;
}

static void ask(struct plan *batch, const struct task_view *v)
{
	uint64_t at = plan_data(batch, NULL, (SIGNALS + 1) * sizeof(struct action));

	(void)v;
	for (unsigned int s = 1; s <= SIGNALS; s++) {
		if (can_be_set(s))
			plan_call_any(batch, SYS_rt_sigaction, arg_num(s), arg_num(0),
				      arg_data(at + s * sizeof(struct action)), arg_num(8));
	}
}

static void add(struct arena *a, SigActions *m, unsigned int signal, const struct action *from)
{
	SigAction *to = arena_alloc(a, sizeof(*to));

	sig_action__init(to);
	to->signal = signal;
	to->handler = from->handler;
	to->flags = from->flags;
	to->restorer = from->restorer;
	to->mask = from->mask;
	m->actions[m->n_actions++] = to;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	static const struct action none;
	SigActions *m = record;
	uint32_t i = 0;

	m->actions = arena_alloc(dump_arena(d), SIGNALS * sizeof(*m->actions));
	for (unsigned int s = 1; s <= SIGNALS; s++) {
		const struct action *a = task_answer_data(v, s * sizeof(*a));
		int64_t rc;

		if (!can_be_set(s))
			continue;
		rc = task_answer(v, i++);
		if (rc < 0)
			return fail(e, (int)-rc, "rt_sigaction of signal %u", s);
		/* SIG_DFL with flags is more than nothing: SA_NOCLDWAIT. */
		if (memcmp(a, &none, sizeof(none)))
			add(dump_arena(d), m, s, a);
	}
	return 1;
}

static void emit_one(struct plan *p, unsigned int signal, const struct action *a)
{
	plan_note(p, "signal %u", signal);
	plan_call_is(p, 0, SYS_rt_sigaction, arg_num(signal), arg_data(plan_data(p, a, sizeof(*a))),
		     arg_num(0), arg_num(8));
}

/* A new task has the default actions, but ignores what cr ignores. */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const SigActions *m = record;
	uint64_t ignored = restore_host(r)->ignored;

	(void)tid;
	for (size_t i = 0; i < m->n_actions; i++) {
		const SigAction *s = m->actions[i];
		const struct action a = { s->handler, s->flags, s->restorer, s->mask };

		if (!can_be_set(s->signal))
			return fail(e, 0, "an action for signal %u", s->signal);
		ignored &= ~(1ull << (s->signal - 1));
		emit_one(p, s->signal, &a);
	}
	for (unsigned int s = 1; s <= SIGNALS; s++) {
		if (can_be_set(s) && ignored >> (s - 1) & 1)
			emit_one(p, s, &(const struct action){ 0 });
	}
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_SIGHAND,
	.stage = STAGE_ACTIONS,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_sigactions = {
	.name = "sigactions",
	.record = { "SIGH", 1, &sig_actions__descriptor },
	.task = &ops,
};
