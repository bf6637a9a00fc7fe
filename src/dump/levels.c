/* SPDX-License-Identifier: MIT */
/* The tree before the freeze, level by level: what lies as far below the root is looked at by several workers. */
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "dump/internal.h"

/* Processes that are as far below the root. */
struct level {
	vec(struct dump_process *) processes;
	vec(struct dump_thread *) threads;
};

static void level_free(struct level *l)
{
	vec_free(&l->processes);
	vec_free(&l->threads);
}

/* The other threads, which are not open yet. */
static int list_threads(struct dump *d, void *level, size_t i, struct error *e)
{
	struct dump_process *p = ((struct level *)level)->processes.v[i];
	int speaker = speaker_id(p), rc;
	struct pids tids = { 0 };

	if (speaker_of(p)->status.threads <= 1)
		return finding_note(d, &p->found, 0, e);
	rc = proc_threads(p->dir, &tids, e);
	for (size_t k = 0; k < tids.list.n && rc >= 0; k++) {
		struct dump_thread *t;

		if (tids.list.v[k] == p->pid || tids.list.v[k] == speaker)
			continue;
		t = arena_alloc(&d->arena, sizeof(*t));
		*t = (struct dump_thread){
			.process = p, .tid = tids.list.v[k], .dir = -1, .pidfd = -1
		};
		*vec_add(&p->threads) = t;
	}
	vec_free(&tids.list);
	return finding_note(d, &p->found, rc, e);
}

/* -ESRCH: there is no such thread any more. */
static int list_children(struct dump *d, void *level, size_t i, struct error *e)
{
	struct dump_thread *t = ((struct level *)level)->threads.v[i];
	int rc = 0;

	if (t->dir < 0) {
		rc = thread_open(t->process, t->tid, e);
		t->dir = rc < 0 ? -1 : rc;
	}
	if (rc >= 0)
		rc = proc_task_children(t->dir, &t->children, e);
	return finding_note(d, &t->found, rc, e);
}

static int open_child(struct dump *d, void *level, size_t i, struct error *e)
{
	struct dump_process *p = ((struct level *)level)->processes.v[i];

	return finding_note(d, &p->found, process_open(d, p, e), e);
}

int discover_has_ended(const struct dump_process *p, struct error *e)
{
	return fail(
		e, ESRCH,
		"process %d has ended, or runs another program, since it was looked at; try again",
		p->pid);
}

/* Whether the threads are those that were listed; what has ended meanwhile has no children either. */
static int take_threads(struct dump *d, struct level *l, struct error *e)
{
	int failed = gather_over(d, l->processes.n, GRAIN_THREADS, list_threads, l, e), rc = 0;

	if (failed < 0)
		return failed;
	vec_each(p, &l->processes) {
		rc = finding_take(&(*p)->found, e);
		if (rc == -ESRCH && *p != d->processes.v[0])
			continue;
		if (rc == -ESRCH)
			return discover_has_ended(*p, e);
		if (rc < 0)
			return rc;
		vec_each(t, &(*p)->threads)
			*vec_add(&l->threads) = *t;
	}
	return gather_over(d, l->threads.n, GRAIN_THREADS, list_children, l, e);
}

static int compare_pids(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Threads that have ended are left out. */
static int take_children(struct dump *d, struct dump_process *p, struct level *below,
			 struct error *e)
{
	struct pids pids = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < p->threads.n; i++) {
		struct dump_thread *t = p->threads.v[i];
		int rc = t->found.is_there ? finding_take(&t->found, e) : 0;

		if (rc == -ESRCH) {
			fd_cleanup(&t->dir);
			continue;
		}
		if (rc < 0)
			return rc;
		p->threads.v[n++] = t;
		vec_each(pid, &t->children.list)
			*vec_add(&pids.list) = *pid;
		vec_free(&t->children.list);
	}
	p->threads.n = n;
	if (n > 1 && pids.list.n > 1)
		qsort(pids.list.v, pids.list.n, sizeof(*pids.list.v), compare_pids);
	vec_each(pid, &pids.list)
		*vec_add(&below->processes) = process_new(d, *pid, p);
	vec_free(&pids.list);
	return 0;
}

/* In the list of all; a failure of one closes those behind it. */
static int add_processes(struct dump *d, struct level *l, struct error *e)
{
	size_t n = 0;
	int rc = 0;

	vec_each(it, &l->processes) {
		struct dump_process *p = *it;
		bool is_open = p->found.is_there && p->found.rc >= 0;
		int found = rc < 0 ? rc : finding_take(&p->found, e);

		if (found < 0 && found != -ESRCH)
			rc = found;
		if (found == 1)
			zombie_add(d, p->parent, &speaker_of(p)->stat);
		if (is_open && found)
			process_close(p);
		if (found)
			continue;
		*vec_add(&d->processes) = p;
		l->processes.v[n++] = p;
	}
	l->processes.n = n;
	return rc;
}

/* *l becomes the level below. */
static int descend(struct dump *d, struct level *l, struct error *e)
{
	struct level below = { 0 };
	int rc = take_threads(d, l, e);

	for (size_t i = 0; i < l->processes.n && rc >= 0; i++)
		rc = take_children(d, l->processes.v[i], &below, e);
	level_free(l);
	*l = below;
	if (rc < 0)
		return rc;
	/* What has failed in there is found again, in order. */
	(void)!gather_over(d, l->processes.n, GRAIN_PROCESSES, open_child, l, e);
	return add_processes(d, l, e);
}

int discover_tree(struct dump *d, int pid, struct error *e)
{
	struct level l = { 0 };
	struct dump_process *root;
	int rc = process_add(d, pid, &root, e);

	if (rc >= 0)
		*vec_add(&l.processes) = root;
	while (rc >= 0 && l.processes.n)
		rc = descend(d, &l, e);
	level_free(&l);
	return rc;
}
