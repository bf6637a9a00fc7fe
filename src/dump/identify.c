/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors are the same open file description. Only what no process outside the tree can
 * change meanwhile makes the key that they are sorted by (a position can move at any time); kcmp's
 * order decides among equal keys. What a child has under the number of its parent's is nearly always
 * inherited: one call finds that out, and the sorting is of the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/str.h"
#include "dump/internal.h"

struct sorting {
	struct dump_fd **fds; /* that are not inherited from another table */
	size_t n;
	int rc; /* of the first kcmp that failed */
};

static int by_number(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* All anonymous descriptors share one inode; their texts are fixed, those of files are not. */
static int by_sort(const char *a, const char *b)
{
	return str_starts(a, "anon_inode:") && str_starts(b, "anon_inode:") ? strcmp(a, b) : 0;
}

static int by_key(const struct fd_view *a, const struct fd_view *b)
{
	const uint32_t fixed = O_ACCMODE | O_PATH;
	int c = by_number(a->st.st_dev, b->st.st_dev);

	if (!c)
		c = by_number(a->st.st_ino, b->st.st_ino);
	if (!c)
		c = by_number(a->info.mnt_id, b->info.mnt_id);
	if (!c)
		c = by_number(a->info.flags & fixed, b->info.flags & fixed);
	return c ? c : by_sort(a->link, b->link);
}

/* 1 less and 2 greater, by the kernel's own order of descriptions. */
static int compare(const void *pa, const void *pb, void *arg)
{
	const struct dump_fd *a = *(struct dump_fd *const *)pa, *b = *(struct dump_fd *const *)pb;
	struct sorting *s = arg;
	int c = by_key(&a->view, &b->view);

	if (c || a == b || s->rc < 0)
		return c;
	c = sys_kcmp(a->view.tid, b->view.tid, KCMP_FILE, (unsigned long)a->view.fd,
		     (unsigned long)b->view.fd);
	if (c < 0 || c > 2)
		s->rc = c < 0 ? c : -EINVAL;
	return c == 0 ? 0 : c == 1 ? -1 : 1;
}

/* From where a task has got its table, as a copy; NULL: from outside. A thread may have it from another than the
 * speaker of its process, which only costs time. */
static const struct dump_thread *table_before(const struct dump_thread *t)
{
	const struct dump_process *from =
		t == speaker_of(t->process) ? t->process->parent : t->process;

	return from ? speaker_of(from)->table[TABLE_FILES] : NULL;
}

/* Those of the table before come first in the order of the tree, and have their place already. */
static void find_inherited(const struct dump_thread *t, struct sorting *s)
{
	const struct dump_thread *before = table_before(t);
	size_t k = 0;

	vec_each(f, &t->fds) {
		struct dump_fd *of_parent;

		f->like = NULL;
		while (before && k < before->fds.n && before->fds.v[k].view.fd < f->view.fd)
			k++;
		if (!before || before == t || k == before->fds.n)
			continue;
		of_parent = &before->fds.v[k];
		if (of_parent->view.fd == f->view.fd && compare(&of_parent, &f, s) == 0)
			f->like = of_parent;
	}
}

static void add_table(struct sorting *s, struct dump_thread *t)
{
	find_inherited(t, s);
	vec_each(f, &t->fds)
		if (!f->like)
			s->fds[s->n++] = f;
}

static int sort_fds(struct dump *d, struct sorting *s, struct error *e)
{
	size_t n = 0;

	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			n += stands_for(*t, TABLE_FILES) ? (*t)->fds.n : 0;
	s->fds = arena_alloc(&d->arena, (n + 1) * sizeof(*s->fds));
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES))
				add_table(s, *t);
	qsort_r(s->fds, s->n, sizeof(*s->fds), compare, s);
	if (s->rc < 0)
		return fail(e, -s->rc, "compare descriptors (kcmp)");
	return 0;
}

/* --- descriptions -------------------------------------------------------------------------------- */

/* The table before has come first. */
static void follow(struct dump_thread *t)
{
	vec_each(f, &t->fds)
		if (f->like)
			f->description = f->like->description;
}

/* A mark for all descriptors of a description; it becomes one when its number is known. */
static void group(struct dump *d, struct sorting *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (i && compare(&s->fds[i - 1], &s->fds[i], s) == 0)
			s->fds[i]->description = s->fds[i - 1]->description;
		else
			s->fds[i]->description = arena_alloc(&d->arena, sizeof(struct description));
	}
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES))
				follow(*t);
}

static void number_table(struct dump *d, struct dump_thread *t)
{
	vec_each(f, &t->fds) {
		struct description *desc = f->description;

		if (!desc->view.id) {
			*vec_add(&d->descriptions) = desc;
			desc->view = f->view;
			desc->view.id = (uint32_t)d->descriptions.n;
			desc->kind = f->kind;
			desc->thread = t;
			d->n_late += f->kind->fd->made_late;
		}
		f->view.id = desc->view.id;
	}
}

/* In the order in which the processes, their threads and their descriptors come. */
static void number(struct dump *d)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES))
				number_table(d, *t);
}

/* Of the leader, if it lives; that of a thread there is since 6.9. */
static int pidfd_of(struct dump_thread *t)
{
	if (t == speaker_of(t->process))
		return t->process->pidfd;
	if (t->pidfd < 0)
		t->pidfd = sys_pidfd_open(t->tid, PIDFD_THREAD);
	return t->pidfd;
}

static int duplicate(struct description *desc, struct error *e)
{
	struct fd_view *v = &desc->view;

	int pidfd = pidfd_of(desc->thread);

	v->dup = sys_pidfd_getfd(pidfd, v->fd);
	if (v->dup == -EBADF && pidfd < 0)
		return fail(
			e, 0,
			"task %d: fd %d: this kernel gives no descriptor of a thread that has a table of its "
			"own, or whose process' first thread has exited (PIDFD_THREAD, since 6.9)",
			v->pid, v->fd);
	if (v->dup < 0)
		return fail(e, -v->dup, "task %d: fd %d: duplicate (pidfd_getfd)", v->pid, v->fd);
	return 0;
}

int identify_descriptions(struct dump *d, struct error *e)
{
	struct sorting s = { 0 };
	int rc = sort_fds(d, &s, e);

	if (rc < 0)
		return rc;
	group(d, &s);
	number(d);
	for (size_t i = 0; i < d->descriptions.n && rc >= 0; i++)
		rc = duplicate(d->descriptions.v[i], e);
	return rc;
}

/* Before the subject runs on: a duplicate would keep the other end of a pipe from seeing the end. */
void identify_close(struct dump *d)
{
	vec_each(p, &d->descriptions) {
		if ((*p)->view.dup >= 0)
			close((*p)->view.dup);
		(*p)->view.dup = -1;
	}
}
