/* SPDX-License-Identifier: MIT */
#include "tree/space.h"

#include <stdlib.h>

enum part {
	MEMORY,
	ACTIONS,
	PARTS
};

static const char *const names[PARTS] = {
	[MEMORY] = "memory",
	[ACTIONS] = "table of signal actions",
};

static uint32_t id_of(const struct relative *x, enum part which)
{
	return which == MEMORY ? x->memory : x->actions;
}

static bool is_like_parent(const struct relative *x, enum part which)
{
	return x->parent && id_of(x, which) && id_of(x->parent, which) == id_of(x, which);
}

/* Those that do not have it from their parents. */
struct firsts {
	enum part which;
	vec(struct relative *) list;
};

static int by_id(const void *a, const void *b, void *firsts)
{
	const struct relative *x = *(const struct relative *const *)a;
	const struct relative *y = *(const struct relative *const *)b;
	enum part which = ((const struct firsts *)firsts)->which;

	if (id_of(x, which) != id_of(y, which))
		return id_of(x, which) < id_of(y, which) ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Whether what the sibling is born with is what x is to be born with, at that moment. */
static bool is_born_alike(const struct relative *first, const struct relative *x)
{
	for (enum table t = 0; t < TABLES; t++)
		if (x->left_before[t] ||
		    (x->born_with[t] && x->born_with[t] != first->born_with[t]))
			return false;
	return first->is_early == x->is_early && !first->born_of && !x->born_of &&
	       (!x->has_context || first->has_context);
}

/* A sibling is what its maker is: CLONE_PARENT takes the signal of its end, too. */
static int become_twin(struct relative *first, struct relative *x, struct error *e)
{
	if (!x->parent || first->parent != x->parent)
		return fail(
			e, 0,
			"task %u: it shares its memory with process %u, but not with its own parent, "
			"and is no child of that one's parent either: that cannot be made again",
			x->id, first->id);
	if (x->exit_signal != first->exit_signal || !is_born_alike(first, x))
		return fail(
			e, 0,
			"task %u: it shares its memory with process %u, a child of the same "
			"parent, which has other memory, but not the session, the descriptors, "
			"folders or I/O context that this one is born with, or the signal of its "
			"end: that cannot be made again",
			x->id, first->id);
	first->has_twins = x->has_memory = true;
	x->twin = first;
	return 0;
}

/* Signal actions come with the memory. */
static int follow_twin(const struct relative *first, struct relative *x, struct error *e)
{
	if (x->twin != first)
		return fail(
			e, 0,
			"task %u: it shares its %s with process %u, but not with the one that has "
			"to make it: that cannot be made again",
			x->id, names[ACTIONS], first->id);
	x->has_actions = true;
	return 0;
}

/* Each has another, or that of a sibling. */
static int check_firsts(const struct relatives *all, enum part which, struct error *e)
{
	struct relative *first = NULL;
	struct firsts f = { .which = which };
	int rc = 0;

	for (size_t i = 0; i < all->n; i++)
		if (id_of(&all->v[i], which) && !is_like_parent(&all->v[i], which))
			*vec_add(&f.list) = &all->v[i];
	if (f.list.n > 1)
		qsort_r(f.list.v, f.list.n, sizeof(*f.list.v), by_id, &f);
	for (size_t i = 0; i < f.list.n && rc == 0; i++) {
		struct relative *x = f.list.v[i];

		if (!first || id_of(first, which) != id_of(x, which))
			first = x;
		else
			rc = which == MEMORY ? become_twin(first, x, e) : follow_twin(first, x, e);
	}
	vec_free(&f.list);
	return rc;
}

static int find_one(struct relative *x, struct error *e)
{
	x->has_memory = is_like_parent(x, MEMORY);
	x->has_actions = is_like_parent(x, ACTIONS);
	if (x->has_actions && !x->has_memory)
		return fail(e, 0,
			    "task %u: it shares its signal actions with process %u, and not its "
			    "memory: no process can do that",
			    x->id, x->parent->id);
	if (x->has_memory && x->born_of)
		return fail(
			e, 0,
			"task %u: it shares its memory with process %u and is in the session %u, whose "
			"leader has ended: that cannot be made again",
			x->id, x->parent->id, x->session);
	return 0;
}

static uint32_t count_shared(const struct relatives *all)
{
	auto_free bool *counted = mem_alloc(all->n * sizeof(*counted));
	uint32_t n = 0;

	/* Those who have it stand behind the first, each behind its parent. */
	for (size_t i = 0; i < all->n; i++) {
		const struct relative *x = &all->v[i];

		if (!x->has_memory)
			continue;
		while (x->has_memory)
			x = x->twin ? x->twin : x->parent;
		n += !counted[x - all->v];
		counted[x - all->v] = true;
	}
	return n;
}

int spaces_find(struct relatives *all, struct error *e)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < all->n && rc == 0; i++)
		rc = find_one(&all->v[i], e);
	for (enum part which = 0; which < PARTS && rc == 0; which++)
		rc = check_firsts(all, which, e);
	for (size_t i = 0; i < all->n; i++)
		any = any || all->v[i].has_memory;
	if (rc == 0 && any && count_shared(all) > SPACES_MOST)
		rc = fail(e, 0,
			  "processes share more than %u different memories with each other, which "
			  "is not supported",
			  SPACES_MOST);
	return rc;
}
