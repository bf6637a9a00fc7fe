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

/* Those that have it from nobody. */
struct firsts {
	enum part which;
	vec(const struct relative *) list;
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

/* Each has another. */
static int check_firsts(const struct relatives *all, enum part which, struct error *e)
{
	struct firsts f = { .which = which };
	int rc = 0;

	for (size_t i = 0; i < all->n; i++)
		if (id_of(&all->v[i], which) && !is_like_parent(&all->v[i], which))
			*vec_add(&f.list) = &all->v[i];
	if (f.list.n > 1)
		qsort_r(f.list.v, f.list.n, sizeof(*f.list.v), by_id, &f);
	for (size_t i = 1; i < f.list.n && rc == 0; i++) {
		const struct relative *a = f.list.v[i - 1], *b = f.list.v[i];

		if (id_of(a, which) == id_of(b, which))
			rc = fail(e, 0,
				  "task %u: it shares its %s with process %u, but not with its own "
				  "parent: that cannot be made again",
				  b->id, names[which], a->id);
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
			x = x->parent;
		n += !counted[x - all->v];
		counted[x - all->v] = true;
	}
	return n;
}

int spaces_find(struct relatives *all, struct error *e)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < all->n && rc == 0; i++) {
		rc = find_one(&all->v[i], e);
		any = any || all->v[i].has_memory;
	}
	for (enum part which = 0; which < PARTS && rc == 0; which++)
		rc = check_firsts(all, which, e);
	if (rc == 0 && any && count_shared(all) > SPACES_MOST)
		rc = fail(e, 0,
			  "processes share more than %u different memories with each other, which "
			  "is not supported",
			  SPACES_MOST);
	return rc;
}
