/* SPDX-License-Identifier: MIT */
/*
 * The signal that a thread gets when its parent dies. A change of credentials clears it, and until the
 * commit the restore uses it for itself.
 */
#include "kind.h"

#include <sys/prctl.h>

#include "deathsig.pb-c.h"

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_prctl, arg_num(PR_GET_PDEATHSIG),
		      arg_data(plan_data(batch, NULL, sizeof(int))));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	DeathSig *m = record;
	int64_t rc = task_answer(v, 0);

	(void)d;
	if (rc < 0)
		return fail(e, (int)-rc, "PR_GET_PDEATHSIG");
	m->signal = (uint32_t) * (const int *)task_answer_data(v, 0);
	return m->signal != 0;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const DeathSig *m = record;

	(void)r;
	(void)tid;
	if (m->signal < 1 || m->signal > 64)
		return fail(e, 0, "signal %u at the death of the parent", m->signal);
	plan_note(p, "signal at the death of the parent");
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_PDEATHSIG), arg_num(m->signal));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_COMMITTED,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_deathsig = {
	.name = "deathsig",
	.record = { "PDTH", 1, &death_sig__descriptor },
	.task = &ops,
};
