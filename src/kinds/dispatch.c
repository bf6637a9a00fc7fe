/* SPDX-License-Identifier: MIT */
/*
 * System calls that are dispatched to the thread itself, as SIGSYS (PR_SET_SYSCALL_USER_DISPATCH). Before
 * Linux 6.4 nobody tells. Where rt_sigreturn would be dispatched too, the thread leaves by an instruction
 * of its own program that is exempt (context.c).
 */
#include "kind.h"

#include <linux/prctl.h>
#include <sys/prctl.h>

#include "base/compat.h"
#include "dispatch.pb-c.h"

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	const struct held_dispatch *h = &v->held->dispatch;
	Dispatch *m = record;

	(void)d;
	if (!h->is_on)
		return 0;
	if (v->status->seccomp && h->is_blocked)
		return fail(
			e, 0,
			"its system calls are dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH) "
			"at this moment, and it is under seccomp: both cannot be saved together; try "
			"again when its selector allows calls");
	m->selector = h->selector;
	m->offset = h->offset;
	m->length = h->length;
	return 1;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Dispatch *m = record;
	uint64_t offset = m->offset, length = m->length;
	uint32_t mode = dispatch_mode(&offset, &length);

	(void)r;
	(void)tid;
	(void)e;
	plan_note(p, "dispatch of system calls to itself");
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_SYSCALL_USER_DISPATCH), arg_num(mode),
		     arg_num(offset), arg_num(length), arg_num(m->selector));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_FILTERS,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_dispatch = {
	.name = "dispatch",
	.record = { "DISP", 1, &dispatch__descriptor },
	.task = &ops,
};
