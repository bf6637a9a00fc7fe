/* SPDX-License-Identifier: MIT */
#include "base/work.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

struct worker {
	struct team *team;
	unsigned int number;
	pthread_t thread;
	size_t failed; /* SIZE_MAX: none; it is the only one, since it is the last */
	int rc;
	struct error error; /* of that */
};

struct team {
	struct work work;
	size_t next;   /* the first that nobody has begun */
	size_t failed; /* the lowest number of those that have failed; SIZE_MAX: none */
	unsigned int n;
	struct worker workers[WORK_MAX]; /* [0]: the caller, who has no thread */
};

unsigned int work_width(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	n = CPU_COUNT(&set);
	return n < 1 ? 1 : (unsigned int)n > WORK_MAX ? WORK_MAX : (unsigned int)n;
}

/* Whoever has a lower number was begun before, so the lowest failure is always found. */
static void note_failure(struct team *t, size_t i)
{
	size_t lowest = __atomic_load_n(&t->failed, __ATOMIC_RELAXED);

	while (i < lowest && !__atomic_compare_exchange_n(&t->failed, &lowest, i, false,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		continue;
}

static void *run(void *worker)
{
	struct worker *w = worker;
	struct team *t = w->team;
	const struct work *work = &t->work;

	for (;;) {
		size_t i = __atomic_fetch_add(&t->next, 1, __ATOMIC_RELAXED);

		if (i >= work->n || i > __atomic_load_n(&t->failed, __ATOMIC_RELAXED))
			return NULL;
		w->rc = work->each(work->arg, w->number, i, &w->error);
		if (w->rc >= 0)
			continue;
		w->failed = i;
		note_failure(t, i);
		return NULL;
	}
}

/* Without as many threads as were wanted it takes longer, no more. n: of the workers, the caller included. */
static void start(struct team *t, const struct work *w, unsigned int n)
{
	sigset_t all, before;

	*t = (struct team){ .work = *w, .failed = SIZE_MAX, .n = 1 };
	for (unsigned int i = 0; i < n; i++) {
		t->workers[i].team = t;
		t->workers[i].number = i;
		t->workers[i].failed = SIZE_MAX;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (t->n < n &&
	       pthread_create(&t->workers[t->n].thread, NULL, run, &t->workers[t->n]) == 0)
		t->n++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The caller itself is a worker. */
static int finish(struct team *t, struct error *e)
{
	int rc = 0;

	run(&t->workers[0]);
	for (unsigned int i = 1; i < t->n; i++)
		pthread_join(t->workers[i].thread, NULL);
	for (unsigned int i = 0; i < t->n; i++) {
		if (t->workers[i].failed == SIZE_MAX || t->workers[i].failed != t->failed)
			continue;
		*e = t->workers[i].error;
		rc = t->workers[i].rc;
	}
	return rc;
}

static int run_alone(const struct work *w, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < w->n && rc >= 0; i++)
		rc = w->each(w->arg, 0, i, e);
	return rc < 0 ? rc : 0;
}

int work_over(const struct work *w, unsigned int width, struct error *e)
{
	struct team t;
	size_t n = w->grain ? w->n / w->grain : 1;

	width = width > WORK_MAX ? WORK_MAX : width;
	n = n < width ? n : width;
	if (n < 2)
		return run_alone(w, e);
	start(&t, w, (unsigned int)n);
	return finish(&t, e);
}

struct team *work_begin(const struct work *w, unsigned int width)
{
	struct team *t = mem_alloc(sizeof(*t));

	start(t, w, width < WORK_MAX ? width + 1 : WORK_MAX);
	return t;
}

bool work_has_failed(const struct team *t)
{
	return __atomic_load_n(&t->failed, __ATOMIC_RELAXED) != SIZE_MAX;
}

int work_end(struct team *t, bool give_up, struct error *e)
{
	int rc;

	if (give_up)
		__atomic_store_n(&t->next, t->work.n, __ATOMIC_RELAXED);
	rc = finish(t, e);
	free(t);
	return rc;
}
