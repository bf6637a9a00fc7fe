/* SPDX-License-Identifier: MIT */
/*
 * Much of a dump is reading what /proc says of one task after the other. Several workers gather that, each in
 * a copy of struct dump of its own; what becomes of it is judged by the one thread there is otherwise, in the
 * order of the tree: messages and images are the same whatever the number of workers.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/work.h"
#include "dump/internal.h"

#define MOST_OPEN 3 /* descriptors that stay open for a thing, and more that do not */

struct gathering {
	struct dump *of[WORK_MAX]; /* worker by worker */
	gather_each *each;
	void *arg;
};

static int call(void *gathering, unsigned int worker, size_t i, struct error *e)
{
	struct gathering *g = gathering;

	return g->each(g->of[worker], g->arg, i, e);
}

static int work(struct dump *d, struct gathering *g, size_t n, size_t grain, struct error *e)
{
	struct work w = { call, g, n, grain };
	int rc;

	fd_make_room(MOST_OPEN * n);

	for (unsigned int i = 0; i < d->width; i++) {
		g->of[i] = mem_alloc(sizeof(*d));
		*g->of[i] = *d;
		g->of[i]->whole = d;
		g->of[i]->arena = (struct arena){ .is_cold = true };
	}
	rc = work_over(&w, d->width, e);
	for (unsigned int i = 0; i < d->width; i++) {
		arena_take(&d->arena, &g->of[i]->arena);
		free(g->of[i]);
	}
	return rc;
}

unsigned int gather_width(struct dump *d)
{
	if (!d->width && d->opt && d->opt->jobs)
		d->width = (unsigned int)d->opt->jobs;
	else if (!d->width)
		d->width = work_width();
	return d->width;
}

bool gather_helps(struct dump *d, size_t n, size_t grain)
{
	return n >= 2 * grain && !d->report && gather_width(d) > 1;
}

bool gather_is_much(const struct dump *d)
{
	size_t n = 0;

	vec_each(p, &d->processes)
		n += (*p)->threads.n;
	return d->processes.n >= 2 * GRAIN_PROCESSES || n >= 2 * GRAIN_THREADS;
}

int gather_over(struct dump *d, size_t n, size_t grain, gather_each *each, void *arg,
		struct error *e)
{
	struct gathering g = { { d }, each, arg };
	struct work alone = { call, &g, n, grain };

	return gather_helps(d, n, grain) ? work(d, &g, n, grain, e) : work_over(&alone, 1, e);
}

int finding_note(struct dump *d, struct finding *f, int rc, const struct error *e)
{
	f->is_there = true;
	f->rc = rc;
	f->error = rc < 0 ? arena_copy(&d->arena, e, sizeof(*e)) : NULL;
	return rc == -ESRCH ? 0 : rc;
}

int finding_take(struct finding *f, struct error *e)
{
	f->is_there = false;
	if (f->rc < 0)
		*e = *f->error;
	return f->rc;
}

struct dump_thread **gather_threads(struct dump *d, size_t *n)
{
	struct dump_thread **list;
	size_t k = 0;

	*n = 0;
	vec_each(p, &d->processes)
		*n += (*p)->threads.n;
	list = arena_alloc(&d->arena, *n * sizeof(struct dump_thread *));
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			list[k++] = *t;
	return list;
}
