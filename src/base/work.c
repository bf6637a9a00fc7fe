/* SPDX-License-Identifier: MIT */
#include "base/work.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct team {
	const struct work *work;
	size_t next;   /* the first that nobody has begun */
	size_t failed; /* the lowest number of those that have failed; SIZE_MAX: none */
};

struct worker {
	struct team *team;
	unsigned int number;
	pthread_t thread;
	size_t failed; /* SIZE_MAX: none; it is the only one, since it is the last */
	int rc;
	struct error error; /* of that */
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
	const struct work *work = t->work;

	w->failed = SIZE_MAX;
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

/* Without as many threads as were wanted it takes longer, no more. */
static unsigned int start(struct worker *workers, unsigned int n)
{
	sigset_t all, before;
	unsigned int i = 1;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (i < n && pthread_create(&workers[i].thread, NULL, run, &workers[i]) == 0)
		i++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return i;
}

/* The caller itself is a worker. */
static int run_team(struct team *t, unsigned int n, struct error *e)
{
	struct worker workers[WORK_MAX];
	int rc = 0;

	for (unsigned int i = 0; i < n; i++) {
		workers[i].team = t;
		workers[i].number = i;
	}
	n = start(workers, n);
	run(&workers[0]);
	for (unsigned int i = 1; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < n; i++) {
		if (workers[i].failed == SIZE_MAX || workers[i].failed != t->failed)
			continue;
		*e = workers[i].error;
		rc = workers[i].rc;
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
	struct team t = { .work = w, .failed = SIZE_MAX };
	size_t n = w->grain ? w->n / w->grain : 1;

	width = width > WORK_MAX ? WORK_MAX : width;
	n = n < width ? n : width;
	return n < 2 ? run_alone(w, e) : run_team(&t, (unsigned int)n, e);
}
