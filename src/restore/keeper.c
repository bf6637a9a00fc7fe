/* SPDX-License-Identifier: MIT */
/*
 * A keeper: a thread that a process has for what needs the credentials of cr when all others have their
 * own, behind the commit; then it exits. The helper must not take the restorer away under it, and its
 * number is not known beforehand: so it holds a robust mutex in the region, in which the kernel leaves
 * a mark when the holder exits.
 */
#include "restore/internal.h"

#include <linux/futex.h>

/* struct robust_list_head, one struct robust_list, the mutex: places from the first on. */
enum {
	LIST_NEXT = 0,
	LIST_OFFSET = 8,
	LIST_SIZE = 24,
	ENTRY = LIST_SIZE,
	MUTEX = ENTRY + 8,
	WORDS = (MUTEX + 4) / 4 + 1, /* and one for the alignment */
};

int keeper_find(struct restore *r, struct rprocess *p, struct error *e)
{
	p->keeper_at = 0;
	for (size_t i = 0; i < n_kinds; i++) {
		const struct task_ops *ops = kinds[i]->task;
		int rc = ops && ops->emit_keeper ? ops->emit_keeper(r, NULL, p->rec->id, e) : 0;

		if (rc > 0 && !p->keeper_at)
			rc = restore_words(r, WORDS, &p->keeper_at, e);
		if (rc < 0)
			return within(e, rc, "task %u: %s", p->rec->id, kinds[i]->name);
	}
	p->keeper_at = (p->keeper_at + 7) & ~7ull;
	return 0;
}

static void store(struct plan *p, uint64_t at, struct arg value, unsigned int size)
{
	plan_op(p, CR_RST_STORE, 0, PLAN_ARGS(arg_region(at), value, arg_num(size)), CR_RST_WANT_OK,
		0);
}

void keeper_plan_mark(struct plan *p, uint64_t at)
{
	uint32_t tid = plan_call(p, SYS_gettid, arg_num(0));

	store(p, at + MUTEX, arg_result(tid), 4);
	store(p, at + LIST_NEXT, arg_region(at + ENTRY), 8);
	store(p, at + LIST_OFFSET, arg_num(MUTEX - ENTRY), 8);
	store(p, at + ENTRY, arg_region(at), 8);
	plan_call_is(p, 0, SYS_set_robust_list, arg_region(at), arg_num(LIST_SIZE));
}

int keeper_plan(struct restore *r, struct plan *p, const struct rprocess *pr, struct error *e)
{
	for (size_t i = 0; i < n_kinds; i++) {
		const struct task_ops *ops = kinds[i]->task;
		int rc = ops && ops->emit_keeper ? ops->emit_keeper(r, p, pr->rec->id, e) : 0;

		if (rc < 0)
			return within(e, rc, "task %u: %s", pr->rec->id, kinds[i]->name);
	}
	return 0;
}

/* It has done its work when the threads have left, and is about to exit. */
void keeper_plan_gone(struct plan *helper, uint64_t at)
{
	plan_note(helper, "until the thread that kept the rights of cr has exited");
	plan_op(helper, CR_RST_WAIT, 0,
		PLAN_ARGS(arg_region(at + MUTEX), arg_num(FUTEX_OWNER_DIED), arg_num(1)),
		CR_RST_WANT_OK, 0);
}
