/* SPDX-License-Identifier: MIT */
/* The name of a thread. */
#include "kind.h"

#include <string.h>
#include <sys/prctl.h>

#include "comm.pb-c.h"
#include "dump/api.h"

#define COMM_MAX 15u /* TASK_COMM_LEN without the NUL */

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	Comm *m = record;

	(void)e;
	m->name.len = strnlen(v->stat->comm, COMM_MAX);
	m->name.data = arena_copy(dump_arena(d), v->stat->comm, m->name.len);
	return 1;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Comm *m = record;
	char name[COMM_MAX + 1] = "";

	(void)r;
	(void)tid;
	if (m->name.len > COMM_MAX)
		return fail(e, 0, "a name of %zu bytes", m->name.len);
	if (m->name.len)
		memcpy(name, m->name.data, m->name.len);
	plan_note(p, "name");
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_NAME),
		     arg_data(plan_data(p, name, sizeof(name))));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_LIBC,
	.of_exited = true,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_comm = {
	.name = "comm",
	.record = { "COMM", 1, &comm__descriptor },
	.task = &ops,
};
