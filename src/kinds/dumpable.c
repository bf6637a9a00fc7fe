/* SPDX-License-Identifier: MIT */
/*
 * Whether a process leaves a core file and may be looked into by its owner. Always set, since a change
 * of credentials of any thread resets it; and only when no thread changes them any more.
 */
#include "kind.h"

#include <sys/prctl.h>

#include "dumpable.pb-c.h"

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_prctl, arg_num(PR_GET_DUMPABLE));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	Dumpable *m = record;
	int64_t now = task_answer(v, 0);

	(void)d;
	if (now < 0)
		return fail(e, (int)-now, "PR_GET_DUMPABLE");
	m->value = (uint32_t)now;
	return 1;
}

/*
 * 2 (fs.suid_dumpable) makes a core file that only root can read; no program can ask for it. As 0 it
 * is as hard to look into.
 */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Dumpable *m = record;

	(void)r;
	(void)tid;
	if (m->value > 2)
		return fail(e, 0, "dumpable has no value %u", m->value);
	plan_note(p, "dumpable");
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_DUMPABLE), arg_num(m->value == 1));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_MM,
	.stage = STAGE_COMMITTED,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_dumpable = {
	.name = "dumpable",
	.record = { "DMPB", 1, &dumpable__descriptor },
	.task = &ops,
};
