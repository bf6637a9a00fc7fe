/* SPDX-License-Identifier: MIT */
/* Several workers give what one would give: everything done once, and of failures the first. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/work.h"
#include "tap.h"

#define MANY 2000

struct room {
	unsigned int times[MANY]; /* that each was done */
	bool fails[MANY];
	unsigned int workers[WORK_MAX]; /* how much each has done */
	bool unblocked; /* some signal is not blocked in a worker that is not the caller */
	pthread_t caller;
	size_t meet; /* so many workers wait for each other at first; 0: nobody does */
	size_t met;
};

static void note_mask(struct room *r)
{
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	if (!sigismember(&set, SIGINT) || !sigismember(&set, SIGUSR1) ||
	    !sigismember(&set, SIGCHLD))
		r->unblocked = true;
}

static int each(void *arg, unsigned int worker, size_t i, struct error *e)
{
	struct room *r = arg;

	if (i < r->meet) {
		__atomic_add_fetch(&r->met, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&r->met, __ATOMIC_SEQ_CST) < r->meet)
			sched_yield();
	}
	if (!pthread_equal(pthread_self(), r->caller))
		note_mask(r);
	r->times[i]++;
	r->workers[worker]++;
	return r->fails[i] ? fail(e, EIO, "thing %zu", i) : 0;
}

static int run(struct room *r, size_t n, size_t grain, unsigned int width, struct error *e)
{
	struct work w = { each, r, n, grain };

	r->caller = pthread_self();
	return work_over(&w, width, e);
}

/* All were done once, and by so many workers. */
static void check(const struct room *r, size_t n, unsigned int workers)
{
	unsigned int used = 0, sum = 0;

	for (size_t i = 0; i < n; i++)
		if (r->times[i] != 1)
			CU_FAIL("not once");
	for (unsigned int i = 0; i < WORK_MAX; i++) {
		used += r->workers[i] > 0;
		sum += r->workers[i];
	}
	CU_ASSERT_EQUAL(sum, n);
	CU_ASSERT_EQUAL(used, workers);
}

static void nothing_to_do(void)
{
	struct room r = { 0 };
	struct error e = { .text = "as it was" };

	CU_ASSERT_EQUAL(run(&r, 0, 1, 4, &e), 0);
	check(&r, 0, 0);
	CU_ASSERT_STRING_EQUAL(e.text, "as it was");
}

static void little_is_done_by_the_caller(void)
{
	struct room one = { 0 }, few = { 0 }, narrow = { 0 };
	struct error e;

	CU_ASSERT_EQUAL(run(&one, 1, 1, 4, &e), 0);
	check(&one, 1, 1);
	CU_ASSERT_EQUAL(run(&few, 19, 10, 4, &e), 0);
	check(&few, 19, 1);
	CU_ASSERT_EQUAL(few.workers[0], 19);
	CU_ASSERT_EQUAL(run(&narrow, MANY, 1, 1, &e), 0);
	check(&narrow, MANY, 1);
}

/* They wait for each other, so that each gets something. */
static void many_are_shared(void)
{
	struct room r = { .meet = 4 }, most = { .meet = WORK_MAX }, grain = { .meet = 3 };
	struct error e;

	CU_ASSERT_EQUAL(run(&r, MANY, 1, 4, &e), 0);
	check(&r, MANY, 4);
	CU_ASSERT_FALSE(r.unblocked);
	CU_ASSERT_EQUAL(run(&most, MANY, 1, 100, &e), 0);
	check(&most, MANY, WORK_MAX);
	CU_ASSERT_EQUAL(run(&grain, 39, 13, 4, &e), 0);
	check(&grain, 39, 3);
}

static void the_mask_of_the_caller_stays(void)
{
	struct room r = { 0 };
	sigset_t before, after;
	struct error e;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	CU_ASSERT_EQUAL(run(&r, MANY, 1, 3, &e), 0);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int s = 1; s < NSIG; s++)
		CU_ASSERT_EQUAL(sigismember(&before, s), sigismember(&after, s));
}

/* Those before it are all done, and what is behind it is not begun any more, but for what is under way. */
static void fails_with(unsigned int width)
{
	struct room r = { .fails = { [700] = true, [703] = true, [1500] = true } };
	struct error e;

	CU_ASSERT_EQUAL(run(&r, MANY, 1, width, &e), -EIO);
	CU_ASSERT_STRING_EQUAL(e.text, "thing 700: Input/output error");
	for (size_t i = 0; i <= 700; i++)
		if (r.times[i] != 1)
			CU_FAIL("not once");
	CU_ASSERT_EQUAL(r.times[MANY - 1], 0);
}

static void the_first_failure_wins(void)
{
	for (unsigned int i = 0; i < 50; i++)
		for (unsigned int width = 1; width <= 4; width++)
			fails_with(width);
}

/* Two threads, and the caller when it waits. */
static void beside_the_caller(void)
{
	struct room r = { .meet = 3 }, bad = { .fails = { [700] = true } }, none = { 0 };
	struct work w = { each, &r, MANY, 1 };
	struct error e = { .text = "as it was" };
	struct team *t;

	r.caller = bad.caller = none.caller = pthread_self();
	CU_ASSERT_EQUAL(work_end(work_begin(&w, 2), false, &e), 0);
	check(&r, MANY, 3);
	CU_ASSERT_FALSE(r.unblocked);
	CU_ASSERT_STRING_EQUAL(e.text, "as it was");
	w.arg = &bad;
	t = work_begin(&w, 1);
	while (!work_has_failed(t))
		sched_yield();
	CU_ASSERT_EQUAL(work_end(t, false, &e), -EIO);
	CU_ASSERT_STRING_EQUAL(e.text, "thing 700: Input/output error");
	CU_ASSERT_EQUAL(bad.workers[0], 0);
	w.arg = &none;
	t = work_begin(&w, 100);
	CU_ASSERT_EQUAL(work_end(t, true, &e), 0);
	CU_ASSERT_EQUAL(none.workers[0], 0);
}

/* Both fail, the later one first. */
static int fail_late(void *arg, unsigned int worker, size_t i, struct error *e)
{
	size_t *failed = arg;

	(void)worker;
	if (i > 1)
		return 0;
	while (i == 0 && !__atomic_load_n(failed, __ATOMIC_SEQ_CST))
		sched_yield();
	__atomic_store_n(failed, 1, __ATOMIC_SEQ_CST);
	return fail(e, 0, "thing %zu", i);
}

static void whoever_fails_first(void)
{
	size_t failed = 0;
	struct work w = { fail_late, &failed, 4, 1 };
	struct error e;

	CU_ASSERT_TRUE(work_over(&w, 2, &e) < 0);
	CU_ASSERT_STRING_EQUAL(e.text, "thing 0");
}

static void as_wide_as_there_are_processors(void)
{
	cpu_set_t before, one;
	int first = 0;

	CU_ASSERT_FATAL(sched_getaffinity(0, sizeof(before), &before) == 0);
	CU_ASSERT(work_width() >= 1 && work_width() <= WORK_MAX);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	CU_ASSERT_FATAL(sched_setaffinity(0, sizeof(one), &one) == 0);
	CU_ASSERT_EQUAL(work_width(), 1);
	CU_ASSERT_FATAL(sched_setaffinity(0, sizeof(before), &before) == 0);
}

/* --- what workers leave behind ----------------------------------------------------------------- */

static void an_arena_takes_another(void)
{
	struct arena a = { 0 }, b = { 0 }, empty = { 0 };
	char *mine = arena_strdup(&a, "mine"), *other = arena_strdup(&b, "other");
	char *large = arena_alloc(&b, 1 << 20);

	strcpy(large, "large");
	arena_take(&a, &b);
	CU_ASSERT_PTR_NULL(b.blocks);
	arena_take(&a, &empty);
	CU_ASSERT_STRING_EQUAL(mine, "mine");
	CU_ASSERT_STRING_EQUAL(other, "other");
	CU_ASSERT_STRING_EQUAL(large, "large");
	arena_take(&empty, &a);
	CU_ASSERT_STRING_EQUAL(other, "other");
	arena_free(&empty);
}

static void room_for_descriptors(void)
{
	int before = dup(0), after;

	CU_ASSERT_FATAL(before >= 0);
	close(before);
	fd_make_room(500);
	fd_make_room((size_t)1 << 40);
	after = dup(0);
	CU_ASSERT_EQUAL(after, before);
	close(after);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "nothing to do", nothing_to_do },
		{ "little is done by the caller", little_is_done_by_the_caller },
		{ "many are shared, each is done once", many_are_shared },
		{ "the signal mask of the caller stays", the_mask_of_the_caller_stays },
		{ "the first failure wins, whatever the number", the_first_failure_wins },
		{ "beside the caller", beside_the_caller },
		{ "the first by number, not by time", whoever_fails_first },
		{ "as wide as there are processors", as_wide_as_there_are_processors },
		{ "an arena takes another", an_arena_takes_another },
		{ "room for descriptors", room_for_descriptors },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = { { "work", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };

	return tap_run(suites);
}
