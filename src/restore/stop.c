/* SPDX-License-Identifier: MIT */
/*
 * Processes that were in a job-control stop are in it again, before their first instruction.
 *
 * SIGSTOP cannot be held back until a thread has left by rt_sigreturn, so the threads are held inside
 * of it: their signal frames lie in pages of the region that have never been there and that a
 * userfaultfd watches. The kernel blocks while it reads the frame; when all threads are in there, cr
 * sends SIGSTOP and only then gives the pages, and the stop takes effect on the way out, with the
 * registers of the program. The helper makes the userfaultfd, which belongs to its memory, and cr
 * fetches it from there.
 *
 * A parent in the tree was told of the stop when it happened: no second SIGCHLD is sent to it
 * (SA_NOCLDSTOP meanwhile), and if it has waited for the stop, it waits here once more.
 */
#include "restore/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "proc/task.h"

#define PAGE 4096ull

/* --- planning ---------------------------------------------------------------------------------- */

bool process_is_stopped(const struct rprocess *p)
{
	return p->rec->has_stop_signal;
}

static struct rprocess *process_of(struct restore *r, uint32_t tid)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		for (size_t k = 0; k < r->processes[i].n_threads; k++) {
			if (r->processes[i].threads[k].rec->id == tid)
				return &r->processes[i];
		}
	}
	return NULL;
}

uint64_t stop_room(const struct restore *r, uint64_t frame)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n_processes; i++)
		n += process_is_stopped(&r->processes[i]) ? r->processes[i].n_threads : 0;
	return n * ((frame + PAGE - 1) & ~(PAGE - 1));
}

/* Frames are laid from the end of the region downwards. */
void *restore_stop_frame(struct restore *r, uint32_t tid, size_t size, uint64_t *at)
{
	struct rprocess *p = process_of(r, tid);
	struct stop_frame *f;

	if (!p || !process_is_stopped(p))
		return NULL;
	f = arena_alloc(&r->arena, sizeof(*f));
	r->frames_size += (size + PAGE - 1) & ~(PAGE - 1);
	f->at = *at = r->hole.start + r->room - r->frames_size;
	f->size = size;
	f->bytes = arena_alloc(&r->arena, size);
	if (!p->frames_end)
		p->frames_end = f->at + ((size + PAGE - 1) & ~(PAGE - 1));
	f->next = p->frames;
	p->frames = f;
	return f->bytes;
}

static uint64_t frames_start(const struct rprocess *p)
{
	return p->frames->at;
}

/* In the plan of the helper; the range is known when all threads have their plans. */
void plan_stop_watch(struct task_plan *helper, struct rprocess *pr)
{
	const struct uffdio_api api = { .api = UFFD_API };
	const struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct plan *p = &helper->plan;

	plan_note(p, "stops the process again, before its first instruction");
	pr->helper = helper;
	pr->watch_op = plan_call(p, SYS_userfaultfd, arg_num(O_CLOEXEC | O_NONBLOCK));
	plan_call_is(p, 0, SYS_ioctl, arg_result(pr->watch_op), arg_num(UFFDIO_API),
		     arg_data(plan_data(p, &api, sizeof(api))));
	pr->watch_range = plan_data(p, &range, sizeof(range));
	plan_call_is(p, 0, SYS_ioctl, arg_result(pr->watch_op), arg_num(UFFDIO_REGISTER),
		     arg_data(pr->watch_range));
}

void plan_stop_range(struct rprocess *pr)
{
	struct uffdio_register *range = (void *)(pr->helper->plan.data.p + pr->watch_range);

	range->range.start = frames_start(pr);
	range->range.len = pr->frames_end - frames_start(pr);
}

static bool has_stopped_child(const struct rprocess *p)
{
	for (size_t i = 0; i < p->n_children; i++) {
		if (process_is_stopped(p->children[i]))
			return true;
	}
	return false;
}

/* Those of one who has the same signal actions count, too. */
static bool has_stopped_below(const struct restore *r, const struct rprocess *p)
{
	bool has = p->actions == p && has_stopped_child(p);

	for (const struct rprocess *q = p;
	     p->memory->n_members && q < r->processes + p->memory->members_end && !has; q++)
		has = q->actions == p && has_stopped_child(q);
	return has;
}

/* Before the commit: no signal for what the program has been told of. The handler is never called, the
 * signal being blocked; any will do but SIG_DFL and SIG_IGN, at which a pending one is dropped. */
void plan_stop_parent(struct restore *r, struct task_plan *t)
{
	const uint64_t quiet[4] = { r->hole.start, SA_NOCLDSTOP };
	struct plan *p = &t->plan;

	if (t->sort != PLAN_LEADER || !has_stopped_below(r, t->process))
		return;
	plan_note(p, "no signal for children that are stopped again");
	t->quiet_at = plan_data(p, NULL, sizeof(quiet));
	plan_call_is(p, 0, SYS_rt_sigaction, arg_num(SIGCHLD),
		     arg_data(plan_data(p, quiet, sizeof(quiet))), arg_data(t->quiet_at),
		     arg_num(8));
}

/* Children come behind their parents in the list, and are stopped before them. */
static uint32_t stopped_behind(const struct restore *r, const struct rprocess *p)
{
	uint32_t n = 0;

	for (const struct rprocess *q = p + 1; q < r->processes + r->n_processes; q++)
		n += process_is_stopped(q);
	return n;
}

/* Behind the commit, in the plan of the helper: the frames lie in what it takes away. first: of those of its
 * memory that are stopped, the one that is stopped last. */
void plan_stop_await(struct restore *r, struct task_plan *helper, const struct rprocess *first)
{
	plan_op(&helper->plan, CR_RST_WAIT, 0,
		PLAN_ARGS(arg_region(WORD_AT(stopped)), arg_num(stopped_behind(r, first) + 1)),
		CR_RST_WANT_OK, 0);
}

/* Behind the commit. */
void plan_stop_wait(struct restore *r, struct task_plan *t)
{
	const struct rprocess *pr = t->process;
	struct plan *p = &t->plan;

	if (!has_stopped_child(pr) && !has_stopped_below(r, pr))
		return;
	plan_note(p, "children are stopped");
	plan_op(p, CR_RST_WAIT, 0,
		PLAN_ARGS(arg_region(WORD_AT(stopped)), arg_num(stopped_behind(r, pr))),
		CR_RST_WANT_OK, 0);
	if (t->sort != PLAN_LEADER)
		return;
	if (pr->actions == pr)
		plan_call_any(p, SYS_rt_sigaction, arg_num(SIGCHLD), arg_data(t->quiet_at),
			      arg_num(0), arg_num(8));
	for (size_t i = 0; i < pr->n_children; i++) {
		const Process *c = pr->children[i]->rec;

		if (c->has_stop_signal && c->has_stop_told && c->stop_told)
			plan_call_any(p, SYS_waitid, arg_num(P_PID), arg_num(c->id), arg_num(0),
				      arg_num(WSTOPPED | WNOHANG | __WALL), arg_num(0));
	}
}

/* --- running ----------------------------------------------------------------------------------- */

static int64_t result_of(struct restore *r, const struct task_plan *t, uint32_t op)
{
	const int64_t *results = (void *)((char *)r->region + plan_results_at(&t->plan, t->at));

	return __atomic_load_n(&results[op], __ATOMIC_ACQUIRE);
}

/* Before the commit, while this can fail. */
int stop_prepare(struct restore *r, struct error *e)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];
		const struct task_plan *h;
		int pid;

		if (!process_is_stopped(p))
			continue;
		h = p->helper;
		pid = (int)result_of(r, h->maker, h->maker->clone_op);
		auto_fd pidfd = sys_pidfd_open(pid, 0);
		if (pidfd < 0)
			return fail(e, -pidfd, "task %u: open a pidfd of its helper", p->rec->id);
		p->watch = sys_pidfd_getfd(pidfd, (int)result_of(r, h, p->watch_op));
		if (p->watch < 0)
			return fail(e, -p->watch, "task %u: fetch the userfaultfd of its helper",
				    p->rec->id);
	}
	return 0;
}

static bool is_gone(const struct rprocess *p)
{
	return kill((pid_t)p->rec->id, 0) < 0 && errno == ESRCH;
}

/* Each thread that blocks is an event of its own. */
static int await_threads(const struct restore *r, const struct rprocess *p, struct error *e)
{
	size_t n = thread_has_exited(&p->threads[0]);

	while (n < p->n_threads && !is_gone(p)) {
		struct pollfd one = { .fd = p->watch, .events = POLLIN };
		struct uffd_msg m;

		if (read(p->watch, &m, sizeof(m)) == (ssize_t)sizeof(m)) {
			n += m.event == UFFD_EVENT_PAGEFAULT;
			continue;
		}
		if (errno != EAGAIN)
			return fail(e, errno, "read the userfaultfd of task %u", p->rec->id);
		(void)poll(&one, 1, 20);
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "task %u: %zu of %zu threads have left",
				    p->rec->id, n, p->n_threads);
	}
	return 0;
}

static int give_frames(const struct rprocess *p, struct error *e)
{
	uint64_t start = frames_start(p), size = p->frames_end - start;
	auto_free char *pages = mem_alloc(size);
	struct uffdio_copy copy = { .dst = start, .src = (uint64_t)(uintptr_t)pages, .len = size };

	memset(pages, 0, size);
	for (const struct stop_frame *f = p->frames; f; f = f->next)
		memcpy(pages + (f->at - start), f->bytes, f->size);
	if (ioctl(p->watch, UFFDIO_COPY, &copy) < 0 && errno != ESRCH)
		return fail(e, errno, "task %u: UFFDIO_COPY", p->rec->id);
	return 0;
}

/*
 * The frames go with the region, so every thread must be through with its own. A stopped one is; where
 * somebody has sent SIGCONT meanwhile, a mask that is the program's since a while tells it.
 */
static int await_stop(const struct restore *r, const struct rthread *th, struct error *e)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	unsigned int runs = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u", th->rec->process, th->rec->id);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0) {
		auto_buf b = { 0 };
		char state = proc_state(dir);
		uint64_t mask;

		if (state == 'T' || proc_has_ended(state))
			break;
		if (fd_read_file(dir, "status", &b) < 0 || proc_sigblk_parse(b.p, &mask) < 0)
			break;
		runs += mask != r->marker;
		if (runs > 100)
			break;
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "task %u: does not stop", th->rec->id);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int await_exit(const struct restore *r, const struct rprocess *p, struct error *e)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", p->rec->id);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	while (thread_has_exited(&p->threads[0]) && !proc_has_ended(proc_state(dir))) {
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "task %u: does not exit", p->rec->id);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int stop_process(struct restore *r, struct rprocess *p, struct error *e)
{
	int rc = await_threads(r, p, e);

	if (rc >= 0)
		rc = await_exit(r, p, e);
	if (rc < 0)
		return rc;
	kill((pid_t)p->rec->id, SIGSTOP);
	rc = give_frames(p, e);
	for (size_t i = 0; i < p->n_threads && rc >= 0; i++)
		rc = await_stop(r, &p->threads[i], e);
	close(p->watch);
	p->watch = -1;
	return rc;
}

int stop_all(struct restore *r, struct error *e)
{
	uint32_t *word = &((struct region_head *)r->region)->stopped;
	int rc = 0;

	for (size_t i = r->n_processes; i-- > 0;) {
		struct error next;

		if (!process_is_stopped(&r->processes[i]))
			continue;
		if (stop_process(r, &r->processes[i], rc < 0 ? &next : e) < 0)
			rc = -ETIMEDOUT;
		__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
		syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
		if (rc >= 0)
			debug(RESTORE, "process %u is stopped", r->processes[i].rec->id);
	}
	return rc;
}
