/* SPDX-License-Identifier: MIT */
/*
 * A process that was stopped and continued, and whose parent has not waited for that (WCONTINUED): the kernel
 * keeps a flag of it, which only a SIGCONT sets that comes in a stop. So it stops itself on its way, when it has done
 * what others wait for, and its parent continues it. SIGCONT is blocked, and pending then; and the parent has got
 * SIGCHLD for both: the child takes the one away and then counts itself, and the parent the other when all have.
 *
 * Who is such a child stops before it looks after its own, so nobody waits in a circle.
 */
#include "restore/members.h"

#include <signal.h>
#include <sys/wait.h>

static bool was_continued(const struct rprocess *p)
{
	return p->rec->has_was_continued && p->rec->was_continued;
}

int continued_find_word(struct restore *r, struct error *e)
{
	r->n_continued = 0;
	for (size_t i = 0; i < r->n_processes; i++)
		r->n_continued += was_continued(&r->processes[i]);
	return r->n_continued ? restore_words(r, 1, &r->continued_at, e) : 0;
}

static void take_away(struct plan *p, int signal)
{
	static const uint64_t at_once[2];
	const uint64_t set = 1ull << (signal - 1);

	plan_call_any(p, SYS_rt_sigtimedwait, arg_data(plan_data(p, &set, sizeof(set))), arg_num(0),
		      arg_data(plan_data(p, at_once, sizeof(at_once))), arg_num(sizeof(set)));
}

/* Somebody else may have continued or killed it by then. */
static void plan_child(struct plan *p, uint32_t child)
{
	plan_note(p, "child %u was continued", child);
	plan_call_is(p, 0, SYS_waitid, arg_num(P_PID), arg_num(child), arg_num(0),
		     arg_num(WSTOPPED | WCONTINUED | WEXITED | WNOWAIT | __WALL), arg_num(0));
	plan_call_is(p, 0, SYS_kill, arg_num(child), arg_num(SIGCONT));
}

void plan_continued(struct restore *r, struct task_plan *t)
{
	const struct rprocess *pr = t->process;
	struct plan *p = &t->plan;
	bool any = false;

	if (was_continued(pr)) {
		plan_note(p, "stopped, for the parent to continue it");
		plan_call_is(p, 0, SYS_kill, arg_num(pr->rec->id), arg_num(SIGSTOP));
		take_away(p, SIGCONT);
		plan_post(p, r->continued_at, r->n_continued);
	}
	for (size_t i = 0; i < pr->n_children; i++) {
		if (!was_continued(pr->children[i]))
			continue;
		any = true;
		members_plan_await_birth(p, pr->children[i]);
		plan_child(p, pr->children[i]->rec->id);
	}
	if (!any)
		return;
	plan_note(p, "until all have gone on, without a signal for it");
	plan_wait(p, r->continued_at, r->n_continued);
	take_away(p, SIGCHLD);
}
