/* SPDX-License-Identifier: MIT */
/* The NUMA memory policy of a thread (set_mempolicy). That of single mappings (mbind) is not seen here. */
#include "kind.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>

#include "dump/api.h"
#include "mempolicy.pb-c.h"

#define NODES_BYTES 128u /* CONFIG_NODES_SHIFT is at most 10 */

static void ask(struct plan *batch, const struct task_view *v)
{
	uint64_t mode = plan_data(batch, NULL, 16);
	uint64_t nodes = plan_data(batch, NULL, NODES_BYTES);

	(void)v;
	plan_call_any(batch, SYS_get_mempolicy, arg_data(mode), arg_data(nodes),
		      arg_num(NODES_BYTES * 8), arg_num(0), arg_num(0));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	int64_t rc = task_answer(v, 0);
	MemPolicy *m = record;

	if (rc == -ENOSYS)
		return 0; /* a kernel without NUMA */
	if (rc < 0)
		return fail(e, (int)-rc, "get_mempolicy");
	m->mode = *(const uint32_t *)task_answer_data(v, 0);
	m->nodes.data = arena_copy(dump_arena(d), task_answer_data(v, 16), NODES_BYTES);
	m->nodes.len = NODES_BYTES;
	return m->mode != MPOL_DEFAULT;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const MemPolicy *m = record;

	(void)r;
	(void)tid;
	if (m->nodes.len != NODES_BYTES)
		return fail(e, 0, "a memory policy with %zu bytes of nodes", m->nodes.len);
	plan_call_is(p, 0, SYS_set_mempolicy, arg_num(m->mode),
		     arg_data(plan_data(p, m->nodes.data, m->nodes.len)), arg_num(NODES_BYTES * 8));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_ATTRIBUTES,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_mempolicy = {
	.name = "mempolicy",
	.record = { "MPOL", 1, &mem_policy__descriptor },
	.task = &ops,
};
