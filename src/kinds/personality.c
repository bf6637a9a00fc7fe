/* SPDX-License-Identifier: MIT */
/* The execution domain of a thread: personality(2). */
#include "kind.h"

#include "personality.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"

/* "only tell" */
#define PERSONALITY_ASK 0xffffffffu

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_personality, arg_num(PERSONALITY_ASK));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	Personality *m = record;
	int64_t now = task_answer(v, 0);

	(void)d;
	if (now < 0)
		return fail(e, (int)-now, "personality");
	m->personality = (uint32_t)now;
	return 1;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Personality *m = record;
	uint32_t now = restore_host(r)->personality;

	(void)tid;
	if (m->personality == PERSONALITY_ASK)
		return fail(e, 0, "personality %#x", m->personality);
	plan_note(p, "personality");
	if (m->personality != now)
		plan_call_is(p, now, SYS_personality, arg_num(m->personality));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_ATTRIBUTES,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_personality = {
	.name = "personality",
	.record = { "PERS", 1, &personality__descriptor },
	.task = &ops,
};
