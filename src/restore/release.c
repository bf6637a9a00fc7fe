/* SPDX-License-Identifier: MIT */
/*
 * The end of a restore: when every thread has left the restorer, the helpers unmap it and die.
 */
#include "restore/internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"

/*
 * Each helper sees by the masks when the threads of its address space have left, takes the restorer
 * away and dies of that (CR_RST_VANISH). It needs nothing of cr any more.
 */
static int reap_helper(const struct restore *r, const struct task_plan *maker, struct error *e)
{
	const int64_t *results =
		(void *)((char *)r->region + plan_results_at(&maker->plan, maker->at));
	int status;

	if (waitpid((pid_t)results[maker->clone_op], &status, __WALL) < 0)
		return fail(e, errno, "wait for the helper of task %u", maker->process->rec->id);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV)
		return fail(
			e, 0,
			"a thread of task %u has not left the restorer in time; something of cr stays "
			"in its memory",
			maker->process->rec->id);
	return 0;
}

/* The helper that has seen it (late.c); the others could but follow. */
static const struct task_plan *killed(const struct restore *r)
{
	const struct cr_rst_report *rep = &((const struct region_head *)r->region)->report;
	const struct task_plan *t;
	const char *note;

	if (__atomic_load_n(&rep->state, __ATOMIC_ACQUIRE) != 2 || rep->task >= r->plans.n)
		return NULL;
	t = r->plans.v[rep->task];
	note = rep->index < t->plan.ops.n ? t->plan.ops.v[rep->index].note : NULL;
	return note && !strcmp(note, LATE_SEEN) ? t : NULL;
}

/*
 * When cr ends, the kernel sends the root its signal for the death of its parent, in the name of cr. A
 * program does not expect it from a restore: so cr ends as a user who may not send it.
 */
void release_part(struct restore *r)
{
	const uid_t nobody_at_all = 0xfffffff0;
	const struct rprocess *root = &r->processes[0];
	bool told = false;

	for (size_t i = 0; i < root->n_threads; i++)
		told = told || restore_record(r, "PDTH", root->threads[i].rec->id);
	if (told && setresuid(nobody_at_all, nobody_at_all, nobody_at_all) < 0)
		warn("task %u gets its signal for the death of its parent now, since cr ends; to avoid it, restore "
		     "without --detach or as root",
		     root->rec->id);
}

int release_all(struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->plans.n; i++) {
		const struct task_plan *maker = r->plans.v[i]->maker;
		struct error later;

		if (maker && reap_helper(r, maker, rc < 0 ? &later : e) < 0)
			rc = -ETIMEDOUT;
	}
	if (rc < 0 && killed(r))
		return fail(
			e, 0,
			"task %u was killed before the listener of a seccomp filter was where it "
			"belongs; those who wait for that have ended too",
			killed(r)->process->rec->id);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_CHILD_SUBREAPER, 0) < 0)
		return fail(e, errno, "PR_SET_CHILD_SUBREAPER");
	debug(RESTORE, "nothing of cr is left in the tree");
	return 0;
}
