/* SPDX-License-Identifier: MIT */
/* The records of an image become a tree of processes, parents before their children. Pure. */
#include "restore/internal.h"

#include <string.h>

#include "restore/order.h"

static const void *find(const struct restore *r, const char *tag, uint32_t id)
{
	const struct record *rec = image_find(&r->img, tag, id);

	return rec ? rec->msg : NULL;
}

static struct rprocess *process_find(const struct restore *r, uint32_t pid)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		if (r->processes[i].rec->id == pid)
			return &r->processes[i];
	}
	return NULL;
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

	p->mm = find(r, record_mm.tag, leader->mm);
	p->files = find(r, record_fdtable.tag, leader->files);
	if (!p->mm || !p->files)
		return fail(e, 0, "the image has no record of its %s",
			    p->mm ? "descriptors" : "address space");
	for (struct rprocess *q = r->processes; q < p; q++) {
		const Thread *other = q->threads[0].rec;

		if (other->mm == leader->mm || other->files == leader->files ||
		    other->fs == leader->fs || other->sighand == leader->sighand)
			return fail(e, 0,
				    "it shares memory, descriptors, folders or signal actions with "
				    "process %u, which is not supported",
				    q->rec->id);
	}
	return 0;
}

/* A session or group in the tree is that of the process itself or of an ancestor. */
static int check_ids(const struct restore *r, const struct rprocess *p, struct error *e)
{
	const struct rprocess *group = process_find(r, p->rec->group), *a = p;

	if (p->parent && p->rec->session != p->rec->id &&
	    p->rec->session != p->parent->rec->session)
		return fail(e, 0,
			    "its session %u is neither its own nor its parent's, which is not "
			    "supported",
			    p->rec->session);
	if (p->parent && p->rec->session == p->rec->id && p->rec->terminal)
		return fail(
			e, 0,
			"it leads a session of its own with a terminal below the root task, which "
			"is not supported");
	while (group && a && a != group)
		a = a->parent;
	if (group && !a)
		return fail(e, 0,
			    "its process group %u is neither its own nor an ancestor's, which is "
			    "not supported",
			    p->rec->group);
	return 0;
}

static void add_children(struct restore *r)
{
	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];
		size_t n = 0;

		for (size_t k = i + 1; k < r->n_processes; k++)
			n += r->processes[k].parent == p;
		p->children = arena_alloc(&r->arena, (n + 1) * sizeof(*p->children));
		for (size_t k = i + 1; k < r->n_processes; k++) {
			if (r->processes[k].parent == p)
				p->children[p->n_children++] = &r->processes[k];
		}
	}
}

static int add_process(struct restore *r, const Process *rec, struct error *e)
{
	struct rprocess *p = &r->processes[r->n_processes];
	int rc;

	p->rec = rec;
	p->parent = process_find(r, rec->parent);
	rc = add_threads(r, p, e);
	if (rc == 0)
		rc = add_shared(r, p, e);
	r->n_processes++;
	if (rc == 0)
		rc = check_ids(r, p, e);
	return within(e, rc, "task %u", rec->id);
}

int tree_build(struct restore *r, struct error *e)
{
	struct order order;
	int rc = 0;

	order_read(&r->img, &order);
	r->processes = arena_alloc(&r->arena, (order.list.n + 1) * sizeof(*r->processes));
	for (size_t i = 0; i < order.list.n && rc == 0; i++)
		rc = add_process(r, order.list.v[i].process, e);
	if (rc == 0 && !order.list.n)
		rc = fail(e, 0, "the image has no root task");
	order_free(&order);
	if (rc < 0)
		return rc;
	add_children(r);
	return 0;
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
