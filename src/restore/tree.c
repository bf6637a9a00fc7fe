/* SPDX-License-Identifier: MIT */
/* The records of an image become a tree of processes, parents before their children. Pure. */
#include "restore/relations.h"

#include <stdlib.h>
#include <string.h>

#include "restore/order.h"
#include "restore/sharing.h"
#include "tree/contexts.h"

static const void *find(const struct restore *r, const char *tag, uint32_t id)
{
	const struct record *rec = image_find(&r->img, tag, id);

	return rec ? rec->msg : NULL;
}

struct known *tree_known(const struct restore *r, const char *tag, uint32_t id)
{
	const struct record *rec = image_find(&r->img, tag, id);

	return rec ? &r->known[rec - r->img.records.v] : NULL;
}

struct rprocess *tree_process(const struct restore *r, uint32_t pid)
{
	const struct known *k = tree_known(r, record_process.tag, pid);

	return k && k->process ? &r->processes[k->process - 1] : NULL;
}

/* Depth first: the descendants of a process stand behind it, in one piece. */
bool tree_is_above(const struct restore *r, const struct rprocess *a, const struct rprocess *p)
{
	return a <= p && (size_t)(p - r->processes) < a->end;
}

static int add_threads(struct restore *r, struct rprocess *p, struct error *e)
{
	p->n_threads = p->rec->n_threads;
	p->threads = arena_alloc(&r->arena, p->n_threads * sizeof(*p->threads));
	for (size_t i = 0; i < p->n_threads; i++) {
		uint32_t tid = p->rec->threads[i];
		const Thread *t = find(r, record_thread.tag, tid), *leader;

		if (!t)
			return fail(e, 0, "task %u: the image has no record of it", tid);
		p->threads[i] = (struct rthread){ .rec = t, .process = p };
		leader = p->threads[0].rec;
		if (t->mm != leader->mm || t->sighand != leader->sighand)
			return fail(
				e, 0,
				"task %u: it does not share memory and signal actions with its leader",
				tid);
		p->threads[i].maker = &p->threads[0];
		r->has_contexts = r->has_contexts || t->io_context;
		p->n_own[TABLE_FILES] += t->files != leader->files;
		p->n_own[TABLE_FS] += t->fs != leader->fs;
		if (i == 1 && thread_has_exited(&p->threads[0]) &&
		    (t->files != leader->files || t->fs != leader->fs))
			return fail(e, 0, "task %u: it has not what its leader had, who has exited",
				    tid);
	}
	return 0;
}

static int add_shared(struct restore *r, struct rprocess *p, struct error *e)
{
	const Thread *leader = p->threads[0].rec;

	p->mm = find(r, record_mm.tag, leader->mm);
	p->files = find(r, record_fdtable.tag, leader->files);
	if (!p->mm || !p->files)
		return fail(e, 0, "the image has no record of its %s",
			    p->mm ? "descriptors" : "address space");
	return 0;
}

/* --- descriptor tables and fs ------------------------------------------------------------------ */

static uint32_t table_of(const Thread *t, enum table which)
{
	return which == TABLE_FILES ? t->files : t->fs;
}

/* A leader, or a thread that has another table than its leader, in the order of the tree. */
struct holder_of {
	uint32_t id;
	size_t place;
	struct rthread *thread;
};

static int by_table(const void *a, const void *b)
{
	const struct holder_of *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static bool is_leader(const struct rthread *th)
{
	return th == &th->process->threads[0];
}

/* All that have one. */
static int add_table(struct restore *r, enum table which, const struct holder_of *v, size_t n,
		     struct error *e)
{
	struct rtable *t = &r->tables[which][r->n_tables[which]++];

	*t = (struct rtable){ .id = v[0].id, .owner = v[0].thread };
	if (which == TABLE_FILES)
		t->files = find(r, record_fdtable.tag, t->id);
	if (which == TABLE_FILES && !t->files)
		return fail(e, 0, "the image has no record of the descriptors %u", t->id);
	for (size_t i = 0; i < n; i++) {
		struct rthread *th = v[i].thread, *first = v[0].thread;

		if (th->process != first->process && !(is_leader(th) && is_leader(first)))
			return fail(
				e, 0,
				"task %u: it has descriptors or folders of its own, and shares them "
				"with task %u of another process, which is not supported",
				th->rec->id, first->rec->id);
		t->n_processes += is_leader(th);
		th->table[which] = t;
	}
	return 0;
}

static int find_tables(struct restore *r, enum table which, struct error *e)
{
	vec(struct holder_of) all = { 0 };
	int rc = 0;

	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];
		uint32_t of_leader = table_of(p->threads[0].rec, which);

		for (size_t k = 0; k < p->n_threads; k++) {
			uint32_t id = table_of(p->threads[k].rec, which);

			if (!k || id != of_leader)
				*vec_add(&all) = (struct holder_of){ id, all.n, &p->threads[k] };
		}
	}
	r->n_tables[which] = 0;
	r->tables[which] = arena_alloc(&r->arena, (all.n + 1) * sizeof(*r->tables[which]));
	qsort(all.v, all.n, sizeof(*all.v), by_table);
	for (size_t i = 0, end; i < all.n && rc == 0; i = end) {
		for (end = i + 1; end < all.n && all.v[end].id == all.v[i].id;)
			end++;
		rc = add_table(r, which, &all.v[i], end - i, e);
	}
	vec_free(&all);
	for (size_t i = 0; i < r->n_processes && rc == 0; i++) {
		struct rprocess *p = &r->processes[i];

		for (size_t k = 1; k < p->n_threads; k++)
			if (!p->threads[k].table[which])
				p->threads[k].table[which] = p->threads[0].table[which];
	}
	return rc;
}

struct rtable *tree_table(const struct restore *r, enum table which, uint32_t id)
{
	size_t low = 0, high = r->n_tables[which];

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->tables[which][mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n_tables[which] && r->tables[which][low].id == id ? &r->tables[which][low]
									  : NULL;
}

/* Which thread clones which. */
static int find_makers(const struct restore *r, struct rprocess *p, struct error *e)
{
	struct kin *v;
	int rc;

	if (!p->n_own[TABLE_FILES] && !p->n_own[TABLE_FS] && !r->has_contexts)
		return 0;
	v = mem_alloc(p->n_threads * sizeof(*v));
	for (size_t i = 0; i < p->n_threads; i++) {
		v[i].id = p->threads[i].rec->id;
		v[i].context = p->threads[i].rec->io_context;
		for (enum table t = 0; t < TABLES; t++)
			v[i].table[t] = table_of(p->threads[i].rec, t);
	}
	rc = tables_find_threads(v, p->n_threads, e);
	if (rc == 0)
		rc = contexts_find_threads(v, p->n_threads, e);
	p->n_own[TABLE_FILES] = p->n_own[TABLE_FS] = 0;
	for (size_t i = 1; i < p->n_threads && rc == 0; i++) {
		p->threads[i].maker = &p->threads[v[i].maker];
		p->threads[i].has_context = v[i].has_context;
		for (enum table t = 0; t < TABLES; t++) {
			p->threads[i].own[t] = v[i].own[t];
			p->n_own[t] += v[i].own[t];
		}
	}
	free(v);
	return rc;
}

static bool speaks_of(struct restore *r, uint32_t description, uint32_t task)
{
	const Description *d = restore_record(r, record_description.tag, description);
	const struct kind *k = d ? kind_by_tag(d->kind) : NULL;
	const void *rec = k && k->fd && k->fd->speaks_of
				  ? restore_record(r, k->record.tag, description)
				  : NULL;

	return rec && k->fd->speaks_of(rec) == task;
}

/* Descriptions belong to the first table that has them, or to the one that their record speaks of. */
static void find_owners(struct restore *r, const struct rtable *t)
{
	uint32_t number = (uint32_t)(t - r->tables[TABLE_FILES]) + 1;

	for (size_t i = 0; i < t->files->n_fds; i++) {
		uint32_t description = t->files->fds[i]->description;
		struct known *k = tree_known(r, record_description.tag, description);

		if (k && (!k->owner || speaks_of(r, description, t->id)))
			k->owner = number;
	}
}

static int add_tables(struct restore *r, struct error *e)
{
	int rc = 0;

	for (enum table t = 0; t < TABLES && rc == 0; t++)
		rc = find_tables(r, t, e);
	for (size_t i = 0; i < r->n_processes && rc == 0; i++) {
		struct rprocess *p = &r->processes[i];

		rc = find_makers(r, p, e);
		for (size_t k = 0; k < p->n_threads && rc == 0; k++)
			if (p->threads[k].table[TABLE_FILES]->owner == &p->threads[k])
				find_owners(r, p->threads[k].table[TABLE_FILES]);
	}
	return rc;
}

/* At the restore there is one terminal, and it becomes that of the root's session. */
static int check_terminal(const struct rprocess *p, struct error *e)
{
	if (p->parent && p->rec->session == p->rec->id && p->rec->terminal)
		return fail(
			e, 0,
			"it leads a session of its own with a terminal below the root task, which "
			"is not supported");
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct rprocess *x = *(struct rprocess *const *)a, *y = *(struct rprocess *const *)b;

	if (x->relative->rank != y->relative->rank)
		return x->relative->rank < y->relative->rank ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Where it matters in which order they are forked (tree/tables.h). */
static void order_children(struct rprocess *p)
{
	bool any = false;

	for (size_t i = 0; i < p->n_children; i++)
		any = any || p->children[i]->relative->rank;
	if (!any)
		return;
	qsort(p->children, p->n_children, sizeof(struct rprocess *), by_rank);
	for (size_t i = 0; i < p->n_children; i++)
		p->children[i]->sibling = i;
}

/* Parents stand before their children. */
static void find_memories(struct restore *r)
{
	r->n_memories = 0;
	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];

		const struct relative *twin = p->relative->twin;
		struct rprocess *maker = twin ? &r->processes[twin - r->relatives->v] : p->parent;

		p->memory = p->relative->has_memory ? maker->memory : p;
		p->actions = p->relative->has_actions ? maker->actions : p;
		p->memory->members_end = i + 1;
		if (is_member(p))
			p->memory->n_members++;
		else
			r->n_memories++;
	}
}

/* How many have each for a while only. */
static void count_passing(struct restore *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		const struct relative *x = r->processes[i].relative;

		for (enum table t = 0; t < TABLES; t++) {
			if (x->left_before[t])
				tree_table(r, t, x->left_before[t])->n_passing++;
			if (x->left_at_last[t])
				tree_table(r, t, x->left_at_last[t])->n_passing++;
		}
	}
}

/* Parents stand before their children, and the children of one in the order of the list. */
static void add_children(struct restore *r)
{
	for (size_t i = r->n_processes; i-- > 0;) {
		struct rprocess *p = &r->processes[i];

		if (p->end <= i)
			p->end = i + 1;
		if (!p->parent)
			continue;
		p->parent->n_children++;
		if (p->parent->end < p->end)
			p->parent->end = p->end;
	}
	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];

		p->children = arena_alloc(&r->arena, (p->n_children + 1) * sizeof(*p->children));
		p->n_children = 0;
		if (!p->parent)
			continue;
		p->sibling = p->parent->n_children++;
		p->parent->children[p->sibling] = p;
	}
}

static int add_process(struct restore *r, const Process *rec, struct error *e)
{
	struct rprocess *p = &r->processes[r->n_processes];
	struct known *k = tree_known(r, record_process.tag, rec->id);
	int rc;

	p->rec = rec;
	p->parent = tree_process(r, rec->parent);
	rc = add_threads(r, p, e);
	if (rc == 0)
		rc = add_shared(r, p, e);
	k->process = (uint32_t)++r->n_processes;
	return within(e, rc, "task %u", rec->id);
}

static int check_tree(const struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_processes && rc == 0; i++)
		rc = within(e, check_terminal(&r->processes[i], e), "task %u",
			    r->processes[i].rec->id);
	return rc;
}

int tree_build(struct restore *r, struct error *e)
{
	struct order order;
	int rc = 0;

	order_read(&r->img, &order);
	r->processes = arena_alloc(&r->arena, (order.list.n + 1) * sizeof(*r->processes));
	r->known = arena_alloc(&r->arena, (r->img.records.n + 1) * sizeof(*r->known));
	for (size_t i = 0; i < order.list.n && rc == 0; i++)
		rc = add_process(r, order.list.v[i].process, e);
	if (rc == 0 && !order.list.n)
		rc = fail(e, 0, "the image has no root task");
	order_free(&order);
	if (rc < 0)
		return rc;
	add_children(r);
	rc = check_tree(r, e);
	if (rc == 0)
		rc = add_tables(r, e);
	if (rc == 0)
		rc = relations_build(r, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < r->n_processes; i++)
		order_children(&r->processes[i]);
	count_passing(r);
	find_memories(r);
	return sharing_link(r, e);
}

/* --- numbers of descriptors -------------------------------------------------------------------- */

static bool fd_is_used(const struct restore *r, int fd)
{
	for (size_t i = 0; i < r->n_tables[TABLE_FILES]; i++) {
		const FdTable *t = r->tables[TABLE_FILES][i].files;
		size_t low = 0, high = t->n_fds;

		while (low < high) {
			size_t mid = low + (high - low) / 2;

			if (t->fds[mid]->fd < (uint32_t)fd)
				low = mid + 1;
			else
				high = mid;
		}
		if (low < t->n_fds && t->fds[low]->fd == (uint32_t)fd)
			return true;
	}
	return false;
}

int tree_free_fd(const struct restore *r, int from)
{
	while (fd_is_used(r, from))
		from++;
	return from;
}
