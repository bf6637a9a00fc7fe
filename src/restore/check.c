/* SPDX-License-Identifier: MIT */
#include "restore/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/compat.h"
#include "files.pb-c.h"
#include "kind.h"
#include "process.pb-c.h"
#include "restore/order.h"
#include "restore/relations.h"

struct check {
	const struct image *img;
	struct ids {
		vec(uint32_t) list;      /* ascending once sorted */
	} fs, sighand, mm, files, shmem; /* that something refers to */
	size_t n_processes, n_threads, n_listed;
};

static const void *find(const struct check *c, const char *tag, uint32_t id)
{
	const struct record *r = image_find(c->img, tag, id);

	return r ? r->msg : NULL;
}

static bool is_a(const struct record *r, const struct record_type *type)
{
	return !strcmp(r->type->tag, type->tag);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void ids_sort(struct ids *s)
{
	if (s->list.n)
		qsort(s->list.v, s->list.n, sizeof(*s->list.v), by_number);
}

static bool ids_has(const struct ids *s, uint32_t id)
{
	return s->list.n && bsearch(&id, s->list.v, s->list.n, sizeof(id), by_number);
}

/* --- the tree -------------------------------------------------------------------------------- */

static int check_number(const char *what, uint32_t n, struct error *e)
{
	if (n == 0 || n >= CHECK_MAX_TASK)
		return fail(e, 0, "%s %u is out of range", what, n);
	return 0;
}

static bool has_twice(const uint32_t *v, size_t n)
{
	uint32_t *sorted = mem_alloc((n + 1) * sizeof(*sorted));
	bool found = false;

	memcpy(sorted, v, n * sizeof(*v));
	qsort(sorted, n, sizeof(*sorted), by_number);
	for (size_t i = 1; i < n; i++)
		found |= sorted[i] == sorted[i - 1];
	free(sorted);
	return found;
}

static int check_threads(struct check *c, const Process *p, struct error *e)
{
	const Thread *leader = NULL;

	if (!p->n_threads || p->threads[0] != p->id)
		return fail(e, 0, "its first thread is not the leader");
	if (has_twice(p->threads, p->n_threads))
		return fail(e, 0, "a thread is listed twice");
	for (size_t i = 0; i < p->n_threads; i++) {
		const Thread *t = find(c, record_thread.tag, p->threads[i]);

		if (!t)
			return fail(e, 0, "there is no record of its thread %u", p->threads[i]);
		if (t->has_exit_status && (i || p->n_threads == 1 || t->exit_status > 255))
			return fail(e, 0, "its thread %u cannot have exited", t->id);
		if (t->process != p->id)
			return fail(e, 0, "its thread %u names process %u", t->id, t->process);
		leader = leader ? leader : t;
		/* clone(2): CLONE_THREAD asks for CLONE_SIGHAND, and that for CLONE_VM */
		if (t->mm != leader->mm || t->sighand != leader->sighand)
			return fail(e, 0, "its thread %u has other memory or signal actions",
				    t->id);
	}
	c->n_listed += p->n_threads;
	return 0;
}

/* What it shares with others is checked when the tree is built (relations.h). */
static int check_zombie(struct check *c, const Zombie *z, struct error *e)
{
	int rc = check_number("pid", z->id, e);

	if (rc == 0)
		rc = check_number("process group", z->group, e);
	if (rc == 0)
		rc = check_number("session", z->session, e);
	if (rc == 0 && !find(c, record_process.tag, z->parent))
		rc = fail(e, 0, "there is no record of its parent %u", z->parent);
	return rc < 0 ? rc : relations_check_zombie(z, e);
}

static bool is_stop_signal(uint32_t signal)
{
	return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static int check_process(struct check *c, const Process *p, struct error *e)
{
	bool root = p->id == c->img->manifest->root;
	int rc = check_number("pid", p->id, e);

	if (rc == 0)
		rc = check_number("process group", p->group, e);
	if (rc == 0)
		rc = check_number("session", p->session, e);
	if (rc < 0)
		return rc;
	if (root && p->parent)
		return fail(e, 0, "the root task has a parent, %u", p->parent);
	if (!root && !p->parent)
		return fail(e, 0, "it has no parent, but %u is the root task",
			    c->img->manifest->root);
	if (!root && !find(c, record_process.tag, p->parent))
		return fail(e, 0, "there is no record of its parent %u", p->parent);
	if (p->exit_signal > 64)
		return fail(e, 0, "exit signal %u is out of range", p->exit_signal);
	if (p->has_stop_signal && !is_stop_signal(p->stop_signal))
		return fail(e, 0, "signal %u does not stop a process", p->stop_signal);
	if (p->has_session_is_gone &&
	    (!root || !p->session_is_gone || p->session == p->id || p->terminal))
		return fail(e, 0, "it cannot be in a session whose leader has ended");
	if (p->has_stop_told && !p->has_stop_signal)
		return fail(e, 0, "its parent has waited for a stop that there is not");
	if (p->has_was_continued && (root || p->has_stop_signal))
		return fail(e, 0, "its parent cannot be told that it was continued");
	c->n_processes++;
	return check_threads(c, p, e);
}

/* Whether some kind of this scope has a record of the object. */
static bool has_state(const struct check *c, enum scope scope, uint32_t id)
{
	for (size_t i = 0; i < n_kinds; i++) {
		if (kinds[i]->task && kinds[i]->task->scope == scope &&
		    find(c, kinds[i]->record.tag, id))
			return true;
	}
	return false;
}

static int check_thread(struct check *c, const Thread *t, struct error *e)
{
	int rc = check_number("tid", t->id, e);

	if (rc < 0)
		return rc;
	if (!find(c, record_process.tag, t->process))
		return fail(e, 0, "there is no record of its process %u", t->process);
	if (!t->mm || !t->sighand)
		return fail(e, 0, "its memory or its signal actions have no number");
	if (!find(c, record_mm.tag, t->mm))
		return fail(e, 0, "there is no record of its memory %u", t->mm);
	if (!find(c, record_fdtable.tag, t->files))
		return fail(e, 0, "there is no record of its descriptors %u", t->files);
	if (!has_state(c, SCOPE_FS, t->fs))
		return fail(e, 0, "there is no record of its folders %u", t->fs);
	if (!has_state(c, SCOPE_SIGHAND, t->sighand))
		return fail(e, 0, "there is no record of its signal actions %u", t->sighand);
	*vec_add(&c->mm.list) = t->mm;
	*vec_add(&c->files.list) = t->files;
	*vec_add(&c->fs.list) = t->fs;
	*vec_add(&c->sighand.list) = t->sighand;
	c->n_threads++;
	return 0;
}

/* Every process but the root has a parent: what the root does not reach is a circle. */
static int check_whole(const struct check *c, struct error *e)
{
	struct order order;
	size_t reached;

	order_read(c->img, &order);
	reached = order.list.n;
	order_free(&order);
	if (!reached)
		return fail(e, 0, "there is no record of the root task %u", c->img->manifest->root);
	if (reached != c->n_processes)
		return fail(e, 0, "%zu processes do not descend from the root task",
			    c->n_processes - reached);
	if (c->n_listed != c->n_threads)
		return fail(e, 0, "%zu threads are not in the list of their process",
			    c->n_threads - c->n_listed);
	return 0;
}

static const Mm *memory_of_process(const struct check *c, const Process *p)
{
	const Thread *leader = p ? find(c, record_thread.tag, p->id) : NULL;

	return leader ? find(c, record_mm.tag, leader->mm) : NULL;
}

/* Pages of a parent: each reference leads upwards, and all processes descend from the root. */
static int check_same(const struct check *c, struct error *e)
{
	struct order order;
	int rc = 0;

	order_read(c->img, &order);
	vec_each(o, &order.list) {
		const Process *above = find(c, record_process.tag, o->process->parent);
		const Mm *mm = memory_of_process(c, o->process);

		/* Who has the memory of his parent: that one's is looked at in its turn. */
		rc = mm && mm != memory_of_process(c, above)
			     ? check_mm_same(mm, memory_of_process(c, above), e)
			     : 0;
		rc = within(e, rc, "%s %u", record_mm.tag, mm ? mm->id : 0);
		if (rc < 0)
			break;
	}
	order_free(&order);
	return rc;
}

/* --- descriptors ----------------------------------------------------------------------------- */

static int check_fdtable(const struct check *c, const FdTable *t, struct error *e)
{
	int64_t before = -1;

	for (size_t i = 0; i < t->n_fds; i++) {
		const Descriptor *d = t->fds[i];

		if (d->fd >= CHECK_MAX_FD)
			return fail(e, 0, "fd %u is out of range", d->fd);
		if (d->fd <= before)
			return fail(e, 0, "fd %u comes twice or out of order", d->fd);
		if (!find(c, record_description.tag, d->description))
			return fail(e, 0, "fd %u: there is no record of description %u", d->fd,
				    d->description);
		before = d->fd;
	}
	return 0;
}

/* What F_GETFL can show. O_CREAT and O_TRUNC above all would make a description's open a change. */
#define GETFL_FLAGS                                                                              \
	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT | O_NOATIME | \
	 O_DIRECTORY | O_NOFOLLOW | O_PATH | O_TMPFILE | KERNEL_O_LARGEFILE)

static int check_owner(const Owner *o, struct error *e)
{
	if (o->type != F_OWNER_TID && o->type != F_OWNER_PID && o->type != F_OWNER_PGRP)
		return fail(e, 0, "owner type %d is unknown", o->type);
	if (o->pid >= CHECK_MAX_TASK)
		return fail(e, 0, "owner %u is out of range", o->pid);
	if (o->signal > 64)
		return fail(e, 0, "signal %u is out of range", o->signal);
	return 0;
}

/* The shared memory that a record of a kind refers to. */
static uint32_t memory_of(const ProtobufCMessage *rec)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(rec->descriptor, "memory");

	return *(const uint32_t *)((const char *)rec + f->offset);
}

/* Who makes it; and those who are to have it do, once each. */
static int check_late(const struct check *c, const Description *d, struct error *e)
{
	const Late *l = d->late;

	if (!find(c, record_thread.tag, l->task))
		return fail(e, 0, "there is no task %u that makes it", l->task);
	for (size_t i = 0; i < l->n_tables; i++) {
		const FdTable *t = find(c, record_fdtable.tag, l->tables[i]);
		bool has = false;

		for (size_t k = 0; t && k < t->n_fds; k++)
			has |= t->fds[k]->description == d->id;
		for (size_t k = 0; k < i; k++)
			has &= l->tables[k] != l->tables[i];
		if (!has || !find(c, record_process.tag, l->tables[i]))
			return fail(e, 0, "process %u is to have it, and has no such descriptor",
				    l->tables[i]);
	}
	return 0;
}

static int check_description(struct check *c, const Description *d, struct error *e)
{
	const struct kind *k = kind_by_tag(d->kind);

	if (!d->id)
		return fail(e, 0, "a description cannot have this id");
	if (!k || !k->fd)
		return fail(e, 0, "'%s' is not a kind of descriptor", d->kind);
	if (!find(c, d->kind, d->id))
		return fail(e, 0, "there is no %s record of it", d->kind);
	if (d->flags & ~(uint32_t)GETFL_FLAGS)
		return fail(e, 0, "flags %#o, which no open file has",
			    d->flags & ~(uint32_t)GETFL_FLAGS);
	if (k->fd->is_shmem)
		*vec_add(&c->shmem.list) = memory_of(find(c, d->kind, d->id));
	if (!d->late != !k->fd->made_late)
		return fail(e, 0, d->late ? "it is not made by a task" : "nobody makes it");
	if (d->late) {
		int rc = check_late(c, d, e);

		if (rc < 0)
			return rc;
	}
	return d->owner ? check_owner(d->owner, e) : 0;
}

/* --- records of kinds ------------------------------------------------------------------------ */

static bool has_owner(const struct check *c, const struct task_ops *ops, uint32_t id)
{
	switch (ops->scope) {
	case SCOPE_THREAD:
		return find(c, record_thread.tag, id);
	case SCOPE_PROCESS:
		return find(c, record_process.tag, id);
	case SCOPE_MM:
		return find(c, record_mm.tag, id);
	case SCOPE_FS:
		return ids_has(&c->fs, id);
	case SCOPE_SIGHAND:
		return ids_has(&c->sighand, id);
	}
	return false;
}

/* A record that nothing leads to would be dropped in silence. */
static int check_of_kind(const struct check *c, const struct record *r, struct error *e)
{
	const struct kind *k = kind_by_tag(r->type->tag);
	const Description *d;

	if ((is_a(r, &record_mm) && !ids_has(&c->mm, r->id)) ||
	    (is_a(r, &record_fdtable) && !ids_has(&c->files, r->id)))
		return fail(e, 0, "no thread has it");
	if (!k)
		return 0;
	if (k->task)
		return has_owner(c, k->task, r->id) ? 0 : fail(e, 0, "it belongs to nothing");
	d = find(c, record_description.tag, r->id);
	if (!d || strcmp(d->kind, r->type->tag))
		return fail(e, 0, "it belongs to no description");
	return 0;
}

/* Without its last operation a task cannot get back into the program. */
static int check_can_leave(const struct check *c, const Thread *t, struct error *e)
{
	if (t->has_exit_status)
		return 0;
	for (size_t i = 0; i < n_kinds; i++) {
		const struct task_ops *ops = kinds[i]->task;

		if (ops && ops->emit_late && ops->late_stage == STAGE_LEAVE &&
		    ops->scope == SCOPE_THREAD && !find(c, kinds[i]->record.tag, t->id))
			return fail(e, 0, "there is no %s record of it", kinds[i]->record.tag);
	}
	return 0;
}

/* --- all ------------------------------------------------------------------------------------- */

static int check_memory(struct check *c, const Mm *mm, struct error *e)
{
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (mm->mappings[i]->has_memory)
			*vec_add(&c->shmem.list) = mm->mappings[i]->memory;
	}
	return check_mm(c->img, mm, e);
}

static int check_engine(struct check *c, const struct record *r, struct error *e)
{
	if (is_a(r, &record_process))
		return check_process(c, (const Process *)r->msg, e);
	if (is_a(r, &record_thread))
		return check_thread(c, (const Thread *)r->msg, e);
	if (is_a(r, &record_zombie))
		return check_zombie(c, (const Zombie *)r->msg, e);
	if (is_a(r, &record_description))
		return check_description(c, (const Description *)r->msg, e);
	if (is_a(r, &record_fdtable))
		return check_fdtable(c, (const FdTable *)r->msg, e);
	if (is_a(r, &record_mm))
		return check_memory(c, (const Mm *)r->msg, e);
	if (is_a(r, &record_shmem))
		return check_shmem(c->img, (const SharedMemory *)r->msg, e);
	return 0;
}

static int check_records(struct check *c, struct error *e)
{
	vec_each(r, &c->img->records) {
		int rc = check_values(r->msg, e);

		if (rc == 0)
			rc = check_engine(c, r, e);
		if (rc < 0)
			return within(e, rc, "%s %u", r->type->tag, r->id);
	}
	return 0;
}

static int check_owners(struct check *c, struct error *e)
{
	ids_sort(&c->mm);
	ids_sort(&c->files);
	ids_sort(&c->fs);
	ids_sort(&c->sighand);
	ids_sort(&c->shmem);
	vec_each(r, &c->img->records) {
		int rc = check_of_kind(c, r, e);

		if (rc == 0 && is_a(r, &record_shmem) && !ids_has(&c->shmem, r->id))
			rc = fail(e, 0, "nobody has it");

		if (rc == 0 && is_a(r, &record_thread))
			rc = check_can_leave(c, (const Thread *)r->msg, e);
		if (rc < 0)
			return within(e, rc, "%s %u", r->type->tag, r->id);
	}
	return 0;
}

int restore_check(const struct image *img, struct error *e)
{
	struct check c = { .img = img };
	int rc = check_values(&img->manifest->base, e);

	rc = within(e, rc, "manifest");
	if (rc == 0)
		rc = check_records(&c, e);
	if (rc == 0)
		rc = check_whole(&c, e);
	if (rc == 0)
		rc = check_same(&c, e);
	if (rc == 0)
		rc = check_owners(&c, e);
	vec_free(&c.mm.list);
	vec_free(&c.files.list);
	vec_free(&c.fs.list);
	vec_free(&c.sighand.list);
	vec_free(&c.shmem.list);
	return within(e, rc, "the image is broken");
}
