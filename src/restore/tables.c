/* SPDX-License-Identifier: MIT */
#include "restore/tables.h"

#include <sched.h>

/* In the region, for each table that processes share; of an fs the first only. */
enum {
	ARRIVED, /* others who will not touch it before its owner has filled it, or set it */
	FILLED,  /* 1: by its owner */
	DONE,    /* others who have fetched what they had to */
	WORDS
};

static const uint32_t n_words[TABLES] = {
	[TABLE_FILES] = WORDS,
	[TABLE_FS] = 1,
};

static const uint64_t flags[TABLES] = {
	[TABLE_FILES] = CLONE_FILES,
	[TABLE_FS] = CLONE_FS,
};

static bool is_shared(const struct rtable *t)
{
	return t->n_processes > 1;
}

int tables_find_words(struct restore *r, struct error *e)
{
	int rc = 0;

	for (enum table k = 0; k < TABLES; k++) {
		for (size_t i = 0; i < r->n_tables[k] && rc >= 0; i++)
			if (is_shared(&r->tables[k][i]))
				rc = restore_words(r, n_words[k], &r->tables[k][i].words, e);
	}
	return rc;
}

int tables_find_begun(struct restore *r, struct rprocess *p, struct error *e)
{
	return p->n_own[TABLE_FS] ? restore_words(r, 1, &p->begun, e) : 0;
}

static uint64_t word_of(const struct rtable *t, unsigned int which)
{
	return t->words + which * sizeof(uint32_t);
}

/* All but the owner. */
static uint32_t n_others(const struct rtable *t)
{
	return t->n_processes - 1 + t->n_passing;
}

/* --- births ---------------------------------------------------------------------------------------- */

uint64_t tables_clone_flags(const struct relative *x)
{
	uint64_t all = 0;

	for (enum table t = 0; t < TABLES; t++)
		all |= x->born_with[t] ? flags[t] : 0;
	return all;
}

uint64_t tables_own_flags(const struct rthread *th)
{
	uint64_t all = 0;

	for (enum table t = 0; t < TABLES; t++)
		all |= th->own[t] ? flags[t] : 0;
	return all;
}

void tables_plan_leave(struct restore *r, struct task_plan *t, const uint32_t left[TABLES])
{
	for (enum table k = 0; k < TABLES; k++) {
		const struct rtable *old = left[k] ? tree_table(r, k, left[k]) : NULL;

		if (!old)
			continue;
		plan_note(&t->plan, "leaves the %s of task %u to others",
			  k == TABLE_FILES ? "descriptors" : "folders", old->owner->rec->id);
		plan_call_is(&t->plan, 0, SYS_unshare, arg_num(flags[k]));
		plan_post(&t->plan, word_of(old, ARRIVED), n_others(old));
	}
}

void tables_plan_helper(struct restore *r, struct task_plan *helper)
{
	if (!is_shared(helper->process->threads[0].table[TABLE_FILES]))
		return;
	plan_note(&helper->plan, "what others had fetched into the table");
	plan_close_all(r, &helper->plan);
}

/* --- descriptors ----------------------------------------------------------------------------------- */

int tables_plan_files(struct restore *r, struct task_plan *t, struct error *e)
{
	const struct rthread *leader = &t->process->threads[0];
	const struct rtable *of = leader->table[TABLE_FILES];
	struct plan *p = &t->plan;
	int rc;

	if (!is_shared(of))
		return plan_files(r, p, of, e);
	if (of->owner != leader) {
		plan_note(p, "descriptors, which task %u puts in place", of->owner->rec->id);
		plan_post(p, word_of(of, ARRIVED), n_others(of));
		plan_wait(p, word_of(of, FILLED), 1);
		return 0;
	}
	plan_note(p, "until nobody else uses the descriptors");
	plan_wait(p, word_of(of, ARRIVED), n_others(of));
	plan_close_all(r, p);
	rc = plan_files(r, p, of, e);
	plan_note(p, "the descriptors are in place");
	plan_post(p, word_of(of, FILLED), 1);
	return rc;
}

int tables_plan_thread(struct restore *r, struct plan *p, const struct rthread *th, struct error *e)
{
	if (th->own[TABLE_FS]) {
		plan_note(p, "has folders of its own");
		plan_post(p, th->process->begun, th->process->n_own[TABLE_FS]);
	}
	if (!th->own[TABLE_FILES])
		return 0;
	plan_note(p, "descriptors of its own");
	plan_close_all(r, p);
	return plan_files(r, p, th->table[TABLE_FILES], e);
}

/* --- folders --------------------------------------------------------------------------------------- */

static bool is_leader(const struct rthread *th)
{
	return th == &th->process->threads[0];
}

/* Threads with folders of their own begin with a copy of those that a thread has before. */
void tables_plan_before_fs(struct restore *r, struct plan *p, const struct rthread *th)
{
	const struct rtable *fs = th->table[TABLE_FS];

	(void)r;
	if ((is_leader(th) || fs->owner == th) && th->process->n_own[TABLE_FS]) {
		plan_note(p, "until all threads with folders of their own are there");
		plan_wait(p, th->process->begun, th->process->n_own[TABLE_FS]);
	}
	if (is_shared(fs) && fs->owner == th) {
		plan_note(p, "until nobody else uses the folders");
		plan_wait(p, word_of(fs, ARRIVED), n_others(fs));
	}
}

/* Nothing is fetched and no path looked for any more. */
void tables_plan_behind_fs(struct restore *r, struct plan *p, const struct rthread *th)
{
	const struct rtable *fs = th->table[TABLE_FS], *files = th->table[TABLE_FILES];

	if (is_shared(fs) && is_leader(th) && fs->owner != th) {
		plan_note(p, "folders, which task %u sets", fs->owner->rec->id);
		plan_post(p, word_of(fs, ARRIVED), n_others(fs));
	}
	if (files->owner == th) {
		plan_note(p, "the way to cr's descriptors");
		if (is_shared(files))
			plan_wait(p, word_of(files, DONE), files->n_processes - 1);
		plan_call_is(p, 0, SYS_close, arg_num((uint64_t)r->self_pidfd));
	} else if (is_shared(files) && is_leader(th)) {
		plan_note(p, "has all of cr's descriptors");
		plan_post(p, word_of(files, DONE), files->n_processes - 1);
	}
}
