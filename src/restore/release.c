/* SPDX-License-Identifier: MIT */
/*
 * The end of a restore: when every thread has left the restorer, the helpers unmap it and die.
 */
#include "restore/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "proc/task.h"

/*
 * A thread has left when its signal mask is another: the frame that rt_sigreturn reads lies on the
 * program's own stack, so behind the change of the mask nothing of the restorer is touched any more.
 * A thread that is not there has ended, which it did in its own code.
 */
static int wait_left(struct restore *r, const struct rthread *th, struct error *e)
{
	const uint64_t marker = restore_marker_mask(r);
	auto_buf b = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/status", th->rec->process, th->rec->id);
	for (unsigned int turn = 0;; turn++) {
		const struct timespec pause = { .tv_nsec = 200000 };
		uint64_t mask;

		if (fd_read_file(AT_FDCWD, path, &b) < 0)
			return 0;
		if (proc_sigblk_parse(b.p, &mask) < 0 || mask != marker)
			return 0;
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "task %u: has not left the restorer",
				    th->rec->id);
		/* It takes a few microseconds; a sleep is never shorter than the timer slack. */
		if (turn < 20)
			sched_yield();
		else
			nanosleep(&pause, NULL);
	}
}

static void reap_helpers(struct restore *r)
{
	for (size_t i = 0; i < r->plans.n; i++) {
		const struct task_plan *m = r->plans.v[i]->maker;
		const int64_t *results;

		if (!m)
			continue;
		results = (void *)((char *)r->region + plan_results_at(&m->plan, m->at));
		waitpid((pid_t)results[m->clone_op], NULL, __WALL);
	}
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
	struct region_head *h = r->region;

	for (size_t i = 0; i < r->n_processes; i++) {
		const struct rprocess *p = &r->processes[i];
		int rc = await_exit(r, p, e);

		for (size_t k = thread_has_exited(&p->threads[0]); k < p->n_threads && rc >= 0; k++)
			rc = wait_left(r, &p->threads[k], e);
		if (rc < 0)
			return rc;
	}
	debug(RESTORE, "all threads have left");
	__atomic_store_n(&h->gone, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &h->gone, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	reap_helpers(r);
	if (prctl(PR_SET_CHILD_SUBREAPER, 0) < 0)
		return fail(e, errno, "PR_SET_CHILD_SUBREAPER");
	debug(RESTORE, "nothing of cr is left in the tree");
	return 0;
}
