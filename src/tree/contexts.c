/* SPDX-License-Identifier: MIT */
#include "tree/contexts.h"

static int fail_other(uint32_t id, uint32_t context, const char *maker, struct error *e)
{
	return fail(e, 0,
		    "task %u: it shares its I/O context with task %u (CLONE_IO), and not with %s, "
		    "which would have to make it: that cannot be made again",
		    id, context, maker);
}

/* A context has the number of the first task of the tree that has it. */
int contexts_find(struct relatives *all, struct error *e)
{
	for (size_t i = 0; i < all->n; i++) {
		struct relative *x = &all->v[i];

		if (!x->context || x->context == x->id)
			continue;
		if (!x->parent || x->parent->context != x->context)
			return fail_other(x->id, x->context, "the first thread of its parent", e);
		if (x->born_of)
			return fail(
				e, 0,
				"task %u: it shares its I/O context with task %u (CLONE_IO) and is in "
				"the session %u, whose leader has ended: that cannot be made again",
				x->id, x->context, x->session);
		x->has_context = true;
	}
	return 0;
}

static bool has_same_tables(const struct kin *a, const struct kin *b)
{
	return a->table[TABLE_FILES] == b->table[TABLE_FILES] &&
	       a->table[TABLE_FS] == b->table[TABLE_FS];
}

/* Who has it first. With the same tables the one before is made before, by nobody who comes behind. */
static struct kin *find_first(struct kin *v, const struct kin *k)
{
	while (v < k && v->context != k->context)
		v++;
	return v;
}

int contexts_find_threads(struct kin *v, size_t n, struct error *e)
{
	for (size_t i = 1; i < n; i++) {
		struct kin *k = &v[i], *first;

		if (!k->context)
			continue;
		first = find_first(v, k);
		if (first == k && k->context == k->id)
			continue;
		if (v[k->maker].context != k->context) {
			if (first == k || !has_same_tables(first, k))
				return fail_other(k->id, k->context,
						  "the thread that has its tables", e);
			k->maker = (uint32_t)(first - v);
		}
		k->has_context = true;
	}
	return 0;
}
