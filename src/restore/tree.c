/* SPDX-License-Identifier: MIT */
/* The records of an image become a tree of processes, parents before their children. Pure. */
#include "restore/relations.h"

#include <stdlib.h>
#include <string.h>

#include "restore/order.h"
#include "restore/sharing.h"

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
		if (t->mm != leader->mm || t->files != leader->files || t->fs != leader->fs ||
		    t->sighand != leader->sighand)
			return fail(
				e, 0,
				"task %u: it does not share all of memory, descriptors, folders and "
				"signal actions with its leader, which is not supported",
				tid);
	}
	return 0;
}

static int add_shared(struct restore *r, struct rprocess *p, struct error *e)
{
	const Thread *leader = p->threads[0].rec;
	uint32_t number = (uint32_t)(p - r->processes) + 1;

	p->mm = find(r, record_mm.tag, leader->mm);
	p->files = find(r, record_fdtable.tag, leader->files);
	if (!p->mm || !p->files)
		return fail(e, 0, "the image has no record of its %s",
			    p->mm ? "descriptors" : "address space");
	for (size_t i = 0; i < p->files->n_fds; i++) {
		struct known *k =
			tree_known(r, record_description.tag, p->files->fds[i]->description);

		if (k && !k->owner)
			k->owner = number;
	}
	return 0;
}

struct sharer {
	uint32_t id, process;
};

static int by_id(const void *a, const void *b)
{
	const struct sharer *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->process < y->process ? -1 : x->process > y->process;
}

/* The object of this scope that a thread has. */
static uint32_t object_of(const Thread *t, unsigned int which)
{
	const uint32_t all[] = { t->mm, t->files, t->fs, t->sighand };

	return all[which];
}

/* No two processes have the same one. */
static int check_apart(const struct restore *r, unsigned int which, struct error *e)
{
	size_t n = r->n_processes;
	auto_free struct sharer *v = mem_alloc(n * sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = (struct sharer){ object_of(r->processes[i].threads[0].rec, which),
					r->processes[i].rec->id };
	qsort(v, n, sizeof(*v), by_id);
	for (size_t i = 1; i < n; i++) {
		if (v[i].id == v[i - 1].id)
			return fail(e, 0,
				    "task %u: it shares memory, descriptors, folders or signal "
				    "actions with process %u, which is not supported",
				    v[i].process, v[i - 1].process);
	}
	return 0;
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

	for (unsigned int which = 0; which < 4 && rc == 0; which++)
		rc = check_apart(r, which, e);
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
		rc = relations_build(r, e);
	return rc < 0 ? rc : sharing_link(r, e);
}

/* --- numbers of descriptors -------------------------------------------------------------------- */

static bool fd_is_used(const struct restore *r, int fd)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		const FdTable *t = r->processes[i].files;
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
