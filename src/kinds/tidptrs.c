/* SPDX-License-Identifier: MIT */
/*
 * Addresses in its own memory that a thread has registered with the kernel: the word that is cleared
 * when it exits, the list of its robust mutexes, its rseq area.
 */
#include "kind.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tidptrs.pb-c.h"

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_prctl, arg_num(PR_GET_TID_ADDRESS),
		      arg_data(plan_data(batch, NULL, sizeof(uint64_t))));
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	TidPtrs *m = record;
	uint64_t head, length;

	(void)d;
	if (task_answer(v, 0) < 0)
		return fail(e, (int)-task_answer(v, 0),
			    "PR_GET_TID_ADDRESS (needs a kernel with CONFIG_CHECKPOINT_RESTORE)");
	m->clear_child_tid = *(const uint64_t *)task_answer_data(v, 0);
	if (syscall(SYS_get_robust_list, v->tid, &head, &length) < 0)
		return fail(e, errno, "get_robust_list");
	m->robust_list = head;
	m->robust_list_size = head ? length : 0;
	m->rseq = v->held->rseq_address;
	m->rseq_size = v->held->rseq_size;
	m->rseq_signature = v->held->rseq_signature;
	m->rseq_flags = v->held->rseq_flags;
	return 1;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const TidPtrs *m = record;

	(void)r;
	(void)e;
	plan_note(p, "address to clear at exit");
	if (m->clear_child_tid)
		plan_call_is(p, tid, SYS_set_tid_address, arg_num(m->clear_child_tid));
	plan_note(p, "list of robust mutexes");
	if (m->robust_list)
		plan_call_is(p, 0, SYS_set_robust_list, arg_num(m->robust_list),
			     arg_num(m->robust_list_size));
	plan_note(p, "restartable sequences");
	if (m->rseq)
		plan_call_is(p, 0, SYS_rseq, arg_num(m->rseq), arg_num(m->rseq_size),
			     arg_num(m->rseq_flags), arg_num(m->rseq_signature));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_LIBC,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_tidptrs = {
	.name = "tidptrs",
	.record = { "TIDP", 1, &tid_ptrs__descriptor },
	.task = &ops,
};
