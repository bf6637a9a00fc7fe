/* SPDX-License-Identifier: MIT */
/*
 * Attributes that prctl(2) reads and sets: a table. Not in it: what other kinds keep (keep_caps is one
 * of the securebits; dumpable, the signal at the parent's death, the timer slack, the name), and
 * PR_GET_TIMING, which can only be 0.
 */
#include "kind.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <string.h>

#include "base/compat.h"
#include "dump/api.h"
#include "prctls.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"

/* include/linux/sched.h; what PR_SET_IO_FLUSHER sets */
#define PF_IO_FLUSHER (0x00080000u | 0x00100000u)

/* How the value comes back. */
enum how {
	RESULT,  /* as the result */
	POINTER, /* as an int, through the second argument */
	CONTROL, /* as the result, with PR_SPEC_PRCTL if it can be set for one thread */
	FLAGS,   /* as the result; set as 1 and, one argument further, the rest */
};

struct row {
	const char *name; /* in images: never changed */
	enum how how;
	int get, set;
	bool has_first; /* both take `first`, what is read or set, before the value */
	unsigned long first;
	uint64_t initial; /* what a new task has */
	bool process;     /* an attribute of the process: asked in its leader */
	uint32_t call;    /* 0: prctl */
};

/* In the order in which they are set. */
static const struct row rows[] = {
	{ "child_subreaper", POINTER, PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER,
	  .process = true },
	{ "thp_disable", FLAGS, PR_GET_THP_DISABLE, PR_SET_THP_DISABLE, .process = true },
	{ "memory_merge", RESULT, PR_GET_MEMORY_MERGE, PR_SET_MEMORY_MERGE, .process = true },
	{ "tsc", POINTER, PR_GET_TSC, PR_SET_TSC, .initial = PR_TSC_ENABLE },
	/* whether the instruction works or raises SIGSEGV */
	{ "cpuid", RESULT, ARCH_GET_CPUID, ARCH_SET_CPUID, .initial = 1, .call = SYS_arch_prctl },
	{ "io_flusher", RESULT, PR_GET_IO_FLUSHER, PR_SET_IO_FLUSHER, .initial = 0 },
	{ "speculation_store_bypass", CONTROL, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL,
	  true, PR_SPEC_STORE_BYPASS, .initial = PR_SPEC_ENABLE },
	{ "speculation_indirect_branch", CONTROL, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL,
	  true, PR_SPEC_INDIRECT_BRANCH, .initial = PR_SPEC_ENABLE },
	{ "speculation_l1d_flush", CONTROL, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, true,
	  PR_SPEC_L1D_FLUSH, .initial = PR_SPEC_DISABLE },
	{ "no_new_privs", RESULT, PR_GET_NO_NEW_PRIVS, PR_SET_NO_NEW_PRIVS, .initial = 0 },
	/* last: no code can be made after it */
	{ "mdwe", RESULT, PR_GET_MDWE, PR_SET_MDWE, .process = true },
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* PR_MCE_KILL sets by a sub-command, and is asked by another option. */
static const struct row mce_kill = {
	"mce_kill",
	RESULT,
	PR_MCE_KILL_GET,
	PR_MCE_KILL,
	true,
	PR_MCE_KILL_SET,
	.initial = PR_MCE_KILL_DEFAULT,
};

static uint32_t call_of(const struct row *r)
{
	return r->call ? r->call : SYS_prctl;
}

static bool is_asked(const struct row *r, const struct task_view *v)
{
	return !r->process || v->speaks;
}

/* --- dump -------------------------------------------------------------------------------------- */

static void ask(struct plan *batch, const struct task_view *v)
{
	uint64_t at = plan_data(batch, NULL, (ROWS + 1) * sizeof(uint64_t));

	for (size_t i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		struct arg first = r->how == POINTER ? arg_data(at + i * 8) : arg_num(r->first);

		if (is_asked(r, v))
			plan_call_any(batch, call_of(r), arg_num((uint64_t)r->get), first);
	}
	plan_call_any(batch, SYS_prctl, arg_num(PR_MCE_KILL_GET));
	plan_call_any(batch, SYS_prctl, arg_num(PR_SCHED_CORE), arg_num(PR_SCHED_CORE_GET),
		      arg_num(0), arg_num(0), arg_data(at + ROWS * 8));
}

static uint64_t value_of(const struct row *r, const struct task_view *v, size_t i, int64_t result)
{
	/* PR_GET_IO_FLUSHER needs CAP_SYS_RESOURCE, but /proc/PID/stat tells as well. */
	if (r->get == PR_GET_IO_FLUSHER && result == -EPERM)
		return (v->stat->flags & PF_IO_FLUSHER) == PF_IO_FLUSHER;
	/* EINVAL: this kernel does not know it; ENODEV: this processor has no such control. */
	if (result < 0)
		return r->initial;
	switch (r->how) {
	case POINTER:
		return *(const uint32_t *)task_answer_data(v, i * 8);
	case CONTROL:
		return result & PR_SPEC_PRCTL ? (uint64_t)result & ~PR_SPEC_PRCTL : r->initial;
	default:
		return (uint64_t)result;
	}
}

static void add(struct arena *a, Prctls *m, const struct row *r, uint64_t value)
{
	PrctlValue *to;

	if (value == r->initial)
		return;
	to = arena_alloc(a, sizeof(*to));
	prctl_value__init(to);
	to->name = arena_strdup(a, r->name);
	to->value = value;
	m->values[m->n_values++] = to;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct arena *a = dump_arena(d);
	Prctls *m = record;
	uint32_t answer = 0;

	m->values = arena_alloc(a, (ROWS + 1) * sizeof(*m->values));
	for (size_t i = 0; i < ROWS; i++) {
		if (is_asked(&rows[i], v))
			add(a, m, &rows[i], value_of(&rows[i], v, i, task_answer(v, answer++)));
	}
	add(a, m, &mce_kill, value_of(&mce_kill, v, 0, task_answer(v, answer++)));
	if (task_answer(v, answer) == 0 && *(const uint64_t *)task_answer_data(v, ROWS * 8))
		return fail(
			e, 0,
			"it has a core scheduling cookie (PR_SCHED_CORE), which cannot be made again");
	/* Kept without values too: the restore compares with what cr has. */
	return 1;
}

/* --- restore ----------------------------------------------------------------------------------- */

static const struct row *row_by_name(const char *name)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	}
	return strcmp(mce_kill.name, name) ? NULL : &mce_kill;
}

static void emit_one(struct plan *p, const struct row *r, uint64_t value)
{
	struct arg set = arg_num((uint64_t)r->set);

	plan_note(p, "prctl %s", r->name);
	if (r->has_first)
		plan_call_is(p, 0, call_of(r), set, arg_num(r->first), arg_num(value));
	else if (r->how == FLAGS)
		plan_call_is(p, 0, SYS_prctl, set, arg_num(value & 1), arg_num(value & ~1ull));
	else
		plan_call_is(p, 0, call_of(r), set, arg_num(value));
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	bool inherited = restore_host(r)->no_new_privs, wanted = false;
	const Prctls *m = record;

	(void)tid;
	for (size_t i = 0; i < m->n_values; i++) {
		const struct row *row = row_by_name(m->values[i]->name);

		if (!row)
			return fail(e, 0, "an attribute that is not known: %s", m->values[i]->name);
		if (row->set == PR_SET_NO_NEW_PRIVS) {
			wanted = true;
			if (inherited)
				continue;
		}
		emit_one(p, row, m->values[i]->value);
	}
	if (inherited && !wanted)
		return fail(
			e, 0,
			"cr itself runs with no_new_privs, which a task cannot get rid of: start cr "
			"without it");
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_ATTRIBUTES,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_prctls = {
	.name = "prctls",
	.record = { "PRCT", 1, &prctls__descriptor },
	.task = &ops,
};
