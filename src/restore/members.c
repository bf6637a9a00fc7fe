/* SPDX-License-Identifier: MIT */
#include "restore/members.h"

#include <sched.h>

/* In the region, for each memory that processes share. */
enum {
	READY, /* members that have forked their children */
	LAID,  /* 1: by the first */
	BORN,  /* 1: its siblings, if it has such */
	WORDS
};

static uint64_t word_of(const struct rprocess *p, unsigned int which)
{
	return p->memory->words + which * sizeof(uint32_t);
}

int members_find_words(struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_processes && rc >= 0; i++)
		if (r->processes[i].n_members)
			rc = restore_words(r, r->processes[i].relative->has_twins ? WORDS : BORN,
					   &r->processes[i].words, e);
	return rc;
}

struct rprocess *members_next(const struct restore *r, const struct rprocess *q)
{
	const struct rprocess *first = q->memory;

	for (size_t i = (size_t)(q - r->processes) + 1; i < first->members_end; i++)
		if (r->processes[i].memory == first)
			return &r->processes[i];
	return NULL;
}

uint64_t members_clone_flags(const struct relative *x)
{
	return (x->has_memory ? CLONE_VM : 0) | (x->has_actions ? CLONE_SIGHAND : 0);
}

void members_plan_siblings(struct task_plan *t)
{
	plan_note(&t->plan, "its siblings are there");
	plan_post(&t->plan, word_of(t->process, BORN), 1);
}

void members_plan_await_birth(struct plan *p, const struct rprocess *child)
{
	if (child->relative->twin)
		plan_wait(p, word_of(child, BORN), 1);
}

void members_plan_birth(struct restore *r, struct task_plan *t)
{
	const struct rprocess *p = t->process;

	if (!is_member(p) && !is_member(p->parent))
		return;
	/* Those that the first had fetched, if it was on its way already. */
	if (!p->relative->born_with[TABLE_FILES]) {
		plan_note(&t->plan, "descriptors of mapped files");
		plan_close_all(r, &t->plan);
	}
	if (is_member(p))
		return;
	plan_note(&t->plan, "memory that its parent shares with others");
	plan_clear_memory(r, t);
}

void members_plan_before(struct task_plan *t)
{
	const struct rprocess *p = t->process;

	if (is_member(p)) {
		plan_note(&t->plan, "memory, which task %u lays out", p->memory->rec->id);
		plan_post(&t->plan, word_of(p, READY), p->memory->n_members);
		plan_wait(&t->plan, word_of(p, LAID), 1);
	} else if (p->n_members) {
		plan_note(&t->plan, "until all that share the memory have their children");
		plan_wait(&t->plan, word_of(p, READY), p->n_members);
	}
}

void members_plan_behind(struct task_plan *t)
{
	if (!t->process->n_members)
		return;
	plan_note(&t->plan, "the memory is laid out");
	plan_post(&t->plan, word_of(t->process, LAID), 1);
}
