/* SPDX-License-Identifier: MIT */
/*
 * The plans of a whole tree. Pure: records and a struct host in, plans out.
 *
 * The root's leader first clears the memory it has from cr, then lays out what its children have from it
 * and forks them, who go on in their own plans; every leader then lays out all the rest, sets the exe link,
 * makes the helper that will take the restorer away, fetches its descriptors, starts its threads. Each
 * thread sets what is its own, waits at the commit barrier, and leaves.
 */
#include "restore/members.h"
#include "restore/relations.h"
#include "restore/plan_memory.h"
#include "restore/sharing.h"
#include "restore/shmem.h"
#include "restore/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rseq.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/compat.h"

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static uint64_t page_up(uint64_t n)
{
	return (n + 4095) & ~4095ull;
}

static struct task_plan *new_plan(struct restore *r, enum plan_sort sort, struct rprocess *p,
				  uint32_t tid)
{
	struct task_plan *t = arena_alloc(&r->arena, sizeof(*t));

	plan_init(&t->plan, &r->arena, (uint32_t)r->plans.n);
	t->sort = sort;
	t->process = p;
	t->tid = tid;
	*vec_add(&r->plans) = t;
	return t;
}

void plan_title(const struct task_plan *t, struct buf *out)
{
	if (t->sort == PLAN_START)
		buf_printf(out, "cr");
	else if (t->sort == PLAN_LEADER || t->sort == PLAN_THREAD || t->sort == PLAN_RELATIVE)
		buf_printf(out, "task %u", t->tid);
	else if (t->sort == PLAN_READER)
		buf_printf(out, "reader of task %u", t->process->rec->id);
	else if (t->sort == PLAN_KEEPER)
		buf_printf(out, "keeper of task %u", t->process->rec->id);
	else
		buf_printf(out, "%s of task %u", t->sort == PLAN_HELPER ? "helper" : "intermediate",
			   t->process->rec->id);
}

/* The child's plan is named by its index; its place is known when all plans are made. */
static uint32_t emit_clone(struct plan *p, uint64_t flags, uint32_t exit_signal, uint32_t tid,
			   const struct task_plan *child)
{
	return plan_op(p, CR_RST_CLONE, 0,
		       PLAN_ARGS(arg_num(flags), arg_num(exit_signal), arg_num(tid),
				 arg_num(child->plan.task)),
		       CR_RST_WANT_OK, 0);
}

/* The parent's death is the task's own until the commit; the check closes the gap before the call. */
static void emit_bond(struct plan *p, uint32_t parent)
{
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_PDEATHSIG), arg_num(SIGKILL));
	plan_call_is(p, parent, SYS_getppid, arg_num(0));
}

/* Every thread, and a helper for each address space. */
uint32_t restore_how_many(const struct restore *r)
{
	uint32_t n = r->n_memories;

	for (size_t i = 0; i < r->n_processes; i++)
		n += (uint32_t)r->processes[i].n_threads;
	/* While plans are made some may be missing: then one more is woken in vain. */
	for (size_t i = 0; i < r->n_processes; i++)
		n += r->processes[i].keeper_at != 0;
	return n;
}

struct task_plan *planner_new_reader(struct restore *r, struct rprocess *p)
{
	struct task_plan *t = new_plan(r, PLAN_READER, p, 0);

	plan_note(&t->plan, "bond to the parent");
	emit_bond(&t->plan, p->rec->id);
	return t;
}

uint32_t planner_emit_clone(struct plan *p, uint64_t flags, const struct task_plan *child)
{
	return emit_clone(p, flags, 0, 0, child);
}

static uint32_t parent_of(const struct restore *r, const struct rprocess *p)
{
	return p->parent ? p->parent->rec->id : (uint32_t)r->host.pid;
}

/* --- the leader -------------------------------------------------------------------------------- */

static void plan_inherited(struct restore *r, struct task_plan *t)
{
	struct plan *p = &t->plan;

	plan_note(p, "what comes from cr goes");
	if (r->self_pidfd > 0)
		plan_call_is(p, 0, SYS_close_range, arg_num(0),
			     arg_num((uint64_t)r->self_pidfd - 1), arg_num(0));
	plan_call_is(p, 0, SYS_close_range, arg_num((uint64_t)r->self_pidfd + 1), arg_num(~0u),
		     arg_num(0));
	plan_clear_memory(r, t);
}

/* Who is made by whom, and when. */
struct birth {
	const struct rprocess *parent;
	const struct relative
		*maker; /* a child of it that makes its siblings; NULL: the parent itself */
	bool is_early;
};

static bool is_born(const struct relative *x, const struct birth *b)
{
	const struct relative *maker = x->twin ? x->twin : x->born_of;

	return maker == b->maker && (b->maker || x->is_early == b->is_early);
}

/* CLONE_PARENT takes the exit signal of its maker; 0 is all that may be asked for. */
static void plan_birth(struct restore *r, struct task_plan *t, const struct relative *x,
		       const struct birth *b, const struct task_plan *child)
{
	const char *what = b->maker ? "sibling" : "child";
	uint64_t flags =
		tables_clone_flags(x) | members_clone_flags(x) | (x->has_context ? CLONE_IO : 0);

	if (!b->maker)
		tables_plan_leave(r, t, x->left_before);
	plan_note(&t->plan, "%s %u%s", what, x->id,
		  x->is_made     ? ", which is there for its number only"
		  : x->has_ended ? ", which has ended"
				 : "");
	if (b->maker)
		emit_clone(&t->plan, CLONE_PARENT | (x->twin ? flags : 0), 0, x->id, child);
	else
		emit_clone(&t->plan, flags, x->exit_signal, x->id, child);
}

static struct task_plan *plan_ended(struct restore *r, struct rprocess *parent,
				    const struct relative *x);

/* The plans of the leaders come first, in the order of the processes. */
static void plan_births(struct restore *r, struct task_plan *t, struct birth b)
{
	for (struct rprocess *c = sharing_next(b.parent, NULL); c; c = sharing_next(b.parent, c)) {
		if (!is_born(c->relative, &b))
			continue;
		if (!b.maker)
			plan_legacy(t, c);
		plan_birth(r, t, c->relative, &b, r->plans.v[c - r->processes]);
	}
	for (const struct relative *x = b.parent->relative->ended; x; x = x->next)
		if (is_born(x, &b))
			plan_birth(r, t, x, &b, plan_ended(r, t->process, x));
}

static struct task_plan *plan_ended(struct restore *r, struct rprocess *parent,
				    const struct relative *x)
{
	struct task_plan *t = new_plan(r, PLAN_RELATIVE, parent, x->id);

	plan_note(&t->plan, "bond to the parent");
	emit_bond(&t->plan, parent->rec->id);
	relations_plan_own(r, t, x);
	plan_births(r, t, (struct birth){ parent, x, false });
	relations_plan_ended(r, t, x);
	return t;
}

/* Who makes a session or a group does so before it waits for anybody. */
static void plan_relations(struct restore *r, struct task_plan *t)
{
	const struct relative *own = t->process->relative;

	/* What they are born into is what it was born into itself. */
	if (own->has_twins) {
		plan_births(r, t, (struct birth){ t->process->parent, own, false });
		members_plan_siblings(t);
	}
	plan_births(r, t, (struct birth){ t->process, NULL, true });
	relations_plan_own(r, t, own);
	plan_births(r, t, (struct birth){ t->process, NULL, false });
	tables_plan_leave(r, t, own->left_at_last);
	relations_plan_join(r, &t->plan, own);
	relations_plan_await(&t->plan, own);
	plan_continued(r, t);
}

/*
 * The helper shares the memory, waits until all threads have left, unmaps what is left of cr and dies,
 * whether cr lives or not.
 * It must be nobody's child but cr's. The root makes it as its own sibling. Elsewhere an intermediate
 * makes it and exits, so that it falls to the nearest subreaper, which is cr; the intermediate has no
 * exit signal, so that no SIGCHLD is left behind, and is waited for.
 */
static void plan_maker(struct restore *r, struct task_plan *leader, struct task_plan *helper)
{
	struct plan *p = &leader->plan;
	struct task_plan *mid;
	uint32_t op;

	plan_note(p, "helper that takes the restorer away");
	if (!leader->process->parent) {
		/* CLONE_PARENT takes the exit signal of its maker; 0 is all that may be asked for. */
		helper->maker = leader;
		leader->clone_op = emit_clone(p, CLONE_VM | CLONE_PARENT, 0, 0, helper);
		return;
	}
	mid = new_plan(r, PLAN_INTERMEDIATE, leader->process, 0);
	helper->maker = mid;
	mid->clone_op = emit_clone(&mid->plan, CLONE_VM, 0, 0, helper);
	op = emit_clone(p, CLONE_VM, 0, 0, mid);
	plan_op(p, CR_RST_CALL, SYS_wait4,
		PLAN_ARGS(arg_result(op), arg_num(0), arg_num(__WALL), arg_num(0)), CR_RST_WANT_OK,
		0);
	plan_post(p, WORD_AT(reaped), r->n_memories - 1);
}

/*
 * A thread has left when its signal mask is another: the frame that rt_sigreturn reads lies on the
 * program's own stack, so behind the change of the mask nothing of the restorer is touched any more.
 * A thread that is not there has ended, which it did in its own code. The mask is known when all plans
 * are made.
 */
static void emit_left(struct plan *p, const Thread *t)
{
	char path[64];
	int n = snprintf(path, sizeof(path), "/proc/%u/task/%u/status", t->process, t->id);

	plan_op(p, CR_RST_LEFT, 0,
		PLAN_ARGS(arg_data(plan_data(p, path, (size_t)n + 1)), arg_num(0)), CR_RST_WANT_OK,
		0);
}

static int plan_helper(struct restore *r, struct task_plan *leader, struct error *e)
{
	struct rprocess *pr = leader->process;
	struct task_plan *t = new_plan(r, PLAN_HELPER, pr, 0);
	struct plan *h = &t->plan;
	const struct rprocess *stopped = NULL; /* the first of those */
	struct cr_rst_range *own;
	size_t n;
	int rc;

	plan_maker(r, leader, t);
	tables_plan_helper(r, t);
	if (pr->parent)
		plan_wait(h, WORD_AT(reaped), r->n_memories - 1);
	for (struct rprocess *q = pr; q; q = members_next(r, q)) {
		if (!process_is_stopped(q))
			continue;
		plan_stop_watch(t, q);
		stopped = stopped ? stopped : q;
	}
	plan_post(h, WORD_AT(ready), restore_how_many(r));
	plan_wait(h, WORD_AT(go), 1);
	if (stopped)
		plan_stop_await(r, t, stopped);
	for (struct rprocess *q = pr; q; q = members_next(r, q)) {
		for (size_t i = 0; i < q->n_threads; i++)
			emit_left(h, q->threads[i].rec);
		if (q->keeper_at)
			keeper_plan_gone(h, q->keeper_at);
	}
	rc = late_plan_seen(r, h, pr, e);
	if (rc < 0)
		return rc;
	own = plan_own_left(r, pr->mm, &n);
	plan_note(h, "what is left of cr's executable");
	for (size_t i = 0; i < n; i++)
		plan_call_is(h, 0, SYS_munmap, arg_num(own[i].start),
			     arg_num(own[i].end - own[i].start));
	plan_note(h, "the restorer itself");
	plan_op(h, CR_RST_VANISH, 0, PLAN_ARGS(arg_num(r->hole.start), arg_num(r->region_size)),
		CR_RST_WANT_ANY, 0);
	return 0;
}

/* --- what every thread does at the end --------------------------------------------------------- */

/* A leader that exits has the name that it had, and the credentials of its process: who may signal that
 * depends on them; and what others are born with. */
static uint32_t record_of(const struct rthread *th, enum stage stage, enum scope s)
{
	if (thread_has_exited(th) && (stage == STAGE_CREDS || stage == STAGE_BIRTHS))
		th = &th->process->threads[1];
	return kind_record_id(th->rec, s);
}

/* Whether this thread is the one that sets what others have as well. */
static bool is_first(const struct task_plan *t, const struct rthread *th, enum scope s)
{
	const struct rprocess *p = t->process;

	if (s == SCOPE_FS)
		return th->table[TABLE_FS]->owner == th;
	if (s == SCOPE_THREAD)
		return true;
	return t->sort != PLAN_THREAD && (s != SCOPE_MM || p->memory == p) &&
	       (s != SCOPE_SIGHAND || p->actions == p);
}

/* The operations of one kind. */
static int plan_kind(struct restore *r, struct task_plan *t, const struct rthread *th,
		     const struct kind *k, enum stage stage,
		     int (*emit)(struct restore *, struct plan *, const void *, uint32_t,
				 struct error *),
		     struct error *e)
{
	const void *rec;
	int rc;

	if (!is_first(t, th, k->task->scope))
		return 0;
	rec = restore_record(r, k->record.tag, record_of(th, stage, k->task->scope));
	if (!rec)
		return 0;
	plan_note(&t->plan, "%s", k->name);
	rc = emit(r, &t->plan, rec, th->rec->id, e);
	return within(e, rc, "task %u: %s", th->rec->id, k->name);
}

static int plan_stage(struct restore *r, struct task_plan *t, const struct rthread *th,
		      enum stage stage, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < n_kinds && rc >= 0; i++) {
		const struct kind *k = kinds[i];

		if (k->task && k->task->emit && k->task->stage == stage)
			rc = plan_kind(r, t, th, k, stage, k->task->emit, e);
		if (rc >= 0 && k->task && k->task->emit_late && k->task->late_stage == stage)
			rc = plan_kind(r, t, th, k, stage, k->task->emit_late, e);
	}
	return rc;
}

static int plan_starts(struct restore *r, struct task_plan *t, const struct rthread *th,
		       struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < n_kinds && rc >= 0; i++) {
		const struct kind *k = kinds[i];

		if (k->task && k->task->start)
			rc = plan_kind(r, t, th, k, k->task->stage, k->task->start, e);
	}
	return rc;
}

/* The signal for the death of a parent is sent when the thread exits that has made the child. */
static int check_death_signals(struct restore *r, const struct rprocess *p, struct error *e)
{
	for (size_t i = 0; i < p->n_children && thread_has_exited(&p->threads[0]); i++) {
		const struct rprocess *c = p->children[i];

		for (size_t k = 0; k < c->n_threads; k++) {
			if (restore_record(r, "PDTH", c->threads[k].rec->id))
				return fail(
					e, 0,
					"task %u: it gets a signal for the death of its parent, whose first "
					"thread has exited: it would get that at once; this cannot be restored",
					c->threads[k].rec->id);
		}
	}
	return 0;
}

static void plan_exit(struct task_plan *t, const struct rthread *th)
{
	plan_note(&t->plan, "exits before the other threads");
	plan_call(&t->plan, SYS_exit, arg_num(th->rec->exit_status));
}

static int plan_tail(struct restore *r, struct task_plan *t, const struct rthread *th,
		     struct error *e)
{
	struct plan *p = &t->plan;
	bool leader = t->sort == PLAN_LEADER;
	bool gives = leader && !t->process->parent && r->terminal.role == TERMINAL_GIVEN &&
		     r->terminal.group != r->terminal.root;
	uint32_t terminal = 0;

	/* It may become a subreaper, and must not get the helpers of those below it, which are cr's. */
	if (leader && t->process->n_children) {
		plan_note(p, "until the helpers are cr's");
		plan_wait(p, WORD_AT(reaped), r->n_memories - 1);
	}
	for (enum stage s = STAGE_FS; s < STAGE_COMMITTED; s++) {
		size_t before;
		int rc;

		if (s == STAGE_FS)
			tables_plan_before_fs(r, p, th);
		before = p->ops.n;
		rc = plan_stage(r, t, th, s, e);
		if (rc < 0)
			return rc;
		if (s == STAGE_FS && gives) {
			plan_note(p, "the terminal, until the commit");
			terminal = terminal_plan_fetch(r, p);
		}
		if (s == STAGE_FS && leader && !is_member(t->process) &&
		    t->process->mm->has_lock_future) {
			/* Nothing is mapped any more, and the limits are those of cr still. */
			plan_note(
				p,
				"memory to come is locked (needs CAP_IPC_LOCK or RLIMIT_MEMLOCK)");
			plan_call_is(p, 0, SYS_mlockall, arg_num(t->process->mm->lock_future));
		}
		if (s == STAGE_FS)
			tables_plan_behind_fs(r, p, th);
		/* A change of credentials clears the parent's death signal. */
		if (s == STAGE_CREDS && leader && p->ops.n > before) {
			plan_note(p, "bond to the parent, again");
			emit_bond(p, parent_of(r, t->process));
		}
	}
	plan_stop_parent(r, t);
	/* Whoever waits looks himself whether cr is there. The bond ends before, and not with the commit, so
	 * that the end of cr never takes a part of the tree only. */
	plan_note(p, "commit");
	if (leader)
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_PDEATHSIG), arg_num(0));
	plan_post(p, WORD_AT(ready), restore_how_many(r));
	plan_wait(p, WORD_AT(go), 1);
	if (gives)
		terminal_plan_foreground(r, p, terminal);
	plan_stop_wait(r, t);
	for (enum stage s = STAGE_COMMITTED; s < STAGES; s++) {
		int rc = s == STAGE_FILTERS ? plan_starts(r, t, th, e) : 0;

		if (rc >= 0)
			rc = plan_stage(r, t, th, s, e);
		if (rc < 0)
			return rc;
	}
	if (thread_has_exited(th)) {
		plan_exit(t, th);
		return 0;
	}
	if (!p->ops.n || p->ops.v[p->ops.n - 1].op.code != CR_RST_LEAVE)
		return fail(e, 0, "task %u: the image has no registers", th->rec->id);
	return 0;
}

static int plan_keeper(struct restore *r, struct task_plan *leader, struct error *e)
{
	struct rprocess *pr = leader->process;
	struct task_plan *t;

	if (!pr->keeper_at)
		return 0;
	t = new_plan(r, PLAN_KEEPER, pr, 0);
	plan_note(&leader->plan, "thread that keeps the rights of cr");
	emit_clone(&leader->plan, THREAD_FLAGS, 0, 0, t);
	keeper_plan_mark(&t->plan, pr->keeper_at);
	plan_note(&t->plan, "commit");
	plan_post(&t->plan, WORD_AT(ready), restore_how_many(r));
	plan_wait(&t->plan, WORD_AT(go), 1);
	return keeper_plan(r, &t->plan, pr, e);
}

static int plan_threads(struct restore *r, struct task_plan *leader, struct error *e)
{
	struct rprocess *pr = leader->process;
	size_t first = r->plans.n;

	/* Who clones another may come behind it in the list. */
	for (size_t i = 1; i < pr->n_threads; i++)
		new_plan(r, PLAN_THREAD, pr, pr->threads[i].rec->id);
	for (size_t i = 1; i < pr->n_threads; i++) {
		int rc =
			tables_plan_thread(r, &r->plans.v[first + i - 1]->plan, &pr->threads[i], e);

		if (rc >= 0)
			rc = plan_stage(r, r->plans.v[first + i - 1], &pr->threads[i], STAGE_BIRTHS,
					e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 1; i < pr->n_threads; i++) {
		const struct rthread *th = &pr->threads[i];
		struct task_plan *t = r->plans.v[first + i - 1];
		size_t maker = (size_t)(th->maker - pr->threads);
		struct plan *p = maker ? &r->plans.v[first + maker - 1]->plan : &leader->plan;

		plan_note(p, "thread %u", t->tid);
		emit_clone(p,
			   (THREAD_FLAGS & ~tables_own_flags(th)) |
				   (th->has_context ? CLONE_IO : 0),
			   0, t->tid, t);
	}
	for (size_t i = 1; i < pr->n_threads; i++) {
		int rc = plan_tail(r, r->plans.v[first + i - 1], &pr->threads[i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/*
 * A fork does not copy the page tables of shared memory: one call brings the task's plan in, in place of a
 * page fault for each page. Where it lies is known when all plans are laid out.
 */
static void plan_presence(struct plan *p)
{
	plan_note(p, NULL);
	plan_call_any(p, SYS_madvise, arg_region(0), arg_num(0), arg_num(MADV_POPULATE_WRITE));
}

static void set_presence(struct task_plan *t)
{
	struct cr_rst_op *op = &t->plan.ops.v[0].op;
	uint64_t start = t->at & ~4095ull;

	op->arg[0] = start;
	op->arg[1] = page_up(t->at + plan_size(&t->plan, TASK_STACK)) - start;
}

/* A leader's memory and its helper, or it waits for those of its first. */
static int plan_space(struct restore *r, struct task_plan *t, struct error *e)
{
	struct rprocess *pr = t->process;
	int rc = 0;

	members_plan_before(t);
	if (is_member(pr))
		return 0;
	rc = plan_memory(r, t, e);
	members_plan_behind(t);
	/* The helper waits for the keepers of all. */
	for (struct rprocess *q = pr; q && rc >= 0; q = members_next(r, q))
		rc = keeper_find(r, q, e);
	return rc < 0 ? rc : plan_helper(r, t, e);
}

static int plan_leader(struct restore *r, struct task_plan *t, struct error *e)
{
	struct plan *p = &t->plan;
	int rc;

	plan_presence(p);
	plan_note(p, "bond to the parent");
	emit_bond(p, parent_of(r, t->process));
	if (!t->process->parent)
		plan_inherited(r, t);
	else
		members_plan_birth(r, t);
	plan_inheritance(r, t);
	rc = plan_stage(r, t, &t->process->threads[0], STAGE_BIRTHS, e);
	if (rc < 0)
		return rc;
	plan_relations(r, t);
	rc = check_death_signals(r, t->process, e);
	if (rc >= 0)
		rc = tables_find_begun(r, t->process, e);
	if (rc >= 0)
		rc = plan_space(r, t, e);
	if (rc < 0)
		return rc;
	rc = tables_plan_files(r, t, e);
	if (rc < 0)
		return rc;
	rc = plan_stage(r, t, &t->process->threads[0], STAGE_ACTIONS, e);
	if (rc >= 0)
		rc = plan_threads(r, t, e);
	if (rc >= 0)
		rc = plan_keeper(r, t, e);
	if (rc < 0)
		return rc;
	rc = plan_tail(r, t, &t->process->threads[0], e);
	if (rc >= 0 && process_is_stopped(t->process))
		plan_stop_range(t->process);
	return rc;
}

/* --- layout ------------------------------------------------------------------------------------ */

static void lay_out(struct restore *r)
{
	uint64_t at = CODE_AT + page_up(cr_rst_size());

	r->marker = restore_marker_mask(r);
	for (size_t i = 0; i < r->plans.n; i++) {
		struct task_plan *t = r->plans.v[i];

		t->at = at;
		at += (plan_size(&t->plan, TASK_STACK) + 63) & ~63ull;
		if (t->sort == PLAN_LEADER)
			set_presence(t);
	}
	r->region_size = page_up(at) + r->frames_size;
	for (size_t i = 0; i < r->plans.n; i++) {
		struct task_plan *t = r->plans.v[i];

		vec_each(o, &t->plan.ops) {
			if (o->op.code == CR_RST_CLONE)
				o->op.arg[3] = r->plans.v[o->op.arg[3]]->at - t->at;
			if (o->op.code == CR_RST_LEFT)
				o->op.arg[1] = r->marker;
		}
	}
}

/* The root's session is that of one who has ended: with its number, a child of cr that makes the root as its
 * sibling. */
static struct task_plan *plan_session(struct restore *r, const struct task_plan *root,
				      const struct relative *x)
{
	struct task_plan *t = new_plan(r, PLAN_RELATIVE, root->process, x->id);

	plan_note(&t->plan, "bond to cr");
	emit_bond(&t->plan, (uint32_t)r->host.pid);
	relations_plan_own(r, t, x);
	plan_note(&t->plan, "root task %u", root->tid);
	t->clone_op = emit_clone(&t->plan, CLONE_PARENT, 0, root->tid, root);
	relations_plan_ended(r, t, x);
	return t;
}

/* What cr itself does: the root, with default signal actions, in a plan of its own. */
static void plan_start(struct restore *r, const struct task_plan *root)
{
	const struct relative *session = r->relatives->v[0].born_of;
	const struct task_plan *first = session ? plan_session(r, root, session) : root;
	struct task_plan *t = new_plan(r, PLAN_START, root->process, 0);

	r->session_plan = session ? first : NULL;
	/* The kernel writes to a registered rseq area at every preemption: SIGSEGV in a child that does
	 * not have it. When the clone is tried again it is not registered any more. */
	if (r->host.rseq_address)
		plan_call_or(&t->plan, -EINVAL, SYS_rseq, arg_num(r->host.rseq_address),
			     arg_num(r->host.rseq_size), arg_num(RSEQ_FLAG_UNREGISTER),
			     arg_num(r->host.rseq_signature));
	t->clone_op = emit_clone(&t->plan, CLONE_CLEAR_SIGHAND, SIGCHLD, first->tid, first);
}

static int compile(struct restore *r, struct error *e)
{
	for (size_t i = 0; i < r->plans.n; i++)
		plan_free(&r->plans.v[i]->plan);
	r->plans.n = 0;
	r->slots.n = 0;
	r->frames_size = 0;
	for (size_t i = 0; i < r->n_processes; i++) {
		r->processes[i].frames = NULL;
		r->processes[i].frames_end = 0;
	}
	memset(r->standard_slots, 0, sizeof(r->standard_slots));
	for (size_t i = 0; i < r->img.records.n; i++)
		r->known[i].slot = 0;
	r->notes.n = 0;
	r->n_words = 0;
	if (r->n_blocks)
		memset(r->is_checked, 0, r->n_blocks);
	if (tables_find_words(r, e) < 0 || members_find_words(r, e) < 0 ||
	    shmem_find_words(r, e) < 0 || continued_find_word(r, e) < 0)
		return -EINVAL;
	for (size_t i = 0; i < r->n_processes; i++)
		new_plan(r, PLAN_LEADER, &r->processes[i], r->processes[i].rec->id);
	for (size_t i = 0; i < r->n_processes; i++) {
		int rc = plan_leader(r, r->plans.v[i], e);

		if (rc < 0)
			return rc;
	}
	plan_start(r, r->plans.v[0]);
	lay_out(r);
	return late_check(r, e);
}

/* Bytes behind the region for a vDSO that has to step aside on its way, or for good. */
static uint64_t aside(const struct host *h)
{
	struct host_range span = vdso_span(h);

	return span.end - span.start;
}

/* Bytes of the plans of those that read much. */
static uint64_t readers_room(const struct rprocess *p)
{
	uint64_t bytes = 0;

	vec_each(x, &p->sharing->own.list)
		bytes += x->end - x->start;
	return bytes < READERS_LEAST ? 0 : 2 * WORK_MAX * 4096 + bytes / READERS_BLOCK * 512;
}

/* Addresses in front of the region for the blocks of all readers of a process. */
static uint64_t readers_scratch(const struct restore *r)
{
	for (size_t i = 0; i < r->n_processes && r->host.can_move; i++)
		if (readers_are_worth(&r->processes[i].sharing->own))
			return (readers_width(r) + 1) * READERS_BLOCK;
	return 0;
}

/* A guess that is hardly ever too small; what is too much costs addresses only. */
static uint64_t guess_size(const struct restore *r)
{
	uint64_t size = 65536;

	for (size_t i = 0; i < r->n_processes; i++) {
		const struct rprocess *p = &r->processes[i];

		size += p->n_threads * 16384;
		size += (p->mm->n_mappings * 4 + p->sharing->fill.list.n +
			 p->sharing->before.list.n + p->files->n_fds * 4) *
			96;
		size += readers_room(p);
	}
	return page_up(size) + stop_room(r, 16384);
}

int planner_run(struct restore *r, struct error *e)
{
	uint64_t room, scratch;

	sharing_decide(r);
	room = guess_size(r);
	scratch = readers_scratch(r);

	/* Where the hole can be depends on the size of the plans, and the plans on where it is. */
	for (;;) {
		int rc = hole_of_tree(r, scratch + room + aside(&r->host), e);

		if (rc < 0)
			return rc;
		r->scratch = (r->hole.start + READERS_BLOCK - 1) & ~(READERS_BLOCK - 1);
		r->hole.start += scratch;
		r->region_size = r->room = room;
		rc = compile(r, e);
		if (rc < 0)
			return rc;
		if (r->region_size <= room)
			break;
		room = r->region_size + 65536;
	}
	r->region_used = r->region_size - r->frames_size;
	r->region_size = room;
	return 0;
}
