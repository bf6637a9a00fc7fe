/* SPDX-License-Identifier: MIT */
/*
 * The uses of membarrier(2) that a process has registered for; without them its calls fail with EPERM.
 * Before Linux 6.3 nobody tells them: then a process gets all that there are. One too many makes nothing
 * fail.
 */
#include "kind.h"

#include <errno.h>
#include <linux/membarrier.h>

#include "base/compat.h"
#include "membarrier.pb-c.h"

/* What GET_REGISTRATIONS can give. */
#define REGISTRATIONS                                                                           \
	(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE |                                  \
	 MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ)

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_membarrier, arg_num(MEMBARRIER_GET_REGISTRATIONS), arg_num(0),
		      arg_num(0));
	plan_call_any(batch, SYS_membarrier, arg_num(MEMBARRIER_CMD_QUERY), arg_num(0), arg_num(0));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	int64_t bits = task_answer(v, 0);
	Membarrier *m = record;

	(void)d;
	if (bits == -EINVAL)
		bits = task_answer(v, 1) & REGISTRATIONS;
	if (bits == -ENOSYS)
		return 0;
	if (bits < 0)
		return fail(e, (int)-bits, "membarrier");
	if (bits & ~(int64_t)REGISTRATIONS)
		return fail(e, 0, "membarrier: registrations %#llx are not known",
			    (unsigned long long)bits);
	m->commands = (uint32_t)bits;
	return bits != 0;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Membarrier *m = record;

	(void)r;
	(void)tid;
	if (m->commands & ~(uint32_t)REGISTRATIONS)
		return fail(e, 0, "membarrier: registrations %#x are not known", m->commands);
	for (uint32_t bit = 1; bit && bit <= REGISTRATIONS; bit <<= 1) {
		if (m->commands & bit)
			plan_call_is(p, 0, SYS_membarrier, arg_num(bit), arg_num(0), arg_num(0));
	}
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_MM,
	.stage = STAGE_LIBC,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_membarrier = {
	.name = "membarrier",
	.record = { "MBAR", 1, &membarrier__descriptor },
	.task = &ops,
};
