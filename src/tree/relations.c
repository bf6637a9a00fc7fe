/* SPDX-License-Identifier: MIT */
#include "tree/relations.h"

#include <stdlib.h>

/* --- who there is -------------------------------------------------------------------------------- */

/* By number, for a search; pointers, since the list itself stays where it is. */
struct by_id {
	vec(struct relative *) list;
};

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = (*(struct relative *const *)a)->id, y = (*(struct relative *const *)b)->id;

	return x < y ? -1 : x > y;
}

static struct relative *by_number(const struct by_id *index, uint32_t id)
{
	struct relative key = { .id = id }, *k = &key, **found;

	if (!index->list.n)
		return NULL;
	found = bsearch(&k, index->list.v, index->list.n, sizeof(k), compare_ids);
	return found ? *found : NULL;
}

static void add_ended(struct relative *x)
{
	x->next = x->parent->ended;
	x->parent->ended = x;
}

/* --- sessions ------------------------------------------------------------------------------------ */

static bool leads_session(const struct relative *x)
{
	return x->session == x->id;
}

/* The one that it must find itself in when it is forked; a leader can come from anywhere. */
static uint32_t needed(const struct relative *x)
{
	return leads_session(x) ? x->born : x->session;
}

static int fail_session(const struct relative *x, struct error *e)
{
	return fail(
		e, 0,
		"task %u: its session %u is neither its own, nor its parent's, nor the one that "
		"its parent came from; the leader of that session has ended, which is not supported",
		x->id, needed(x));
}

/* Children come behind their parents: what they need is known before their parent's turn. */
static int find_early(struct relatives *all, struct error *e)
{
	for (size_t i = all->n; i-- > 0;) {
		struct relative *x = &all->v[i], *up = x->parent;
		uint32_t need = needed(x);

		if (!up || !need || need == up->session)
			continue;
		/* Where the root came from is not in the tree. */
		if (!up->parent || !leads_session(up) || (up->born && up->born != need))
			return fail_session(x, e);
		up->born = need;
		x->is_early = true;
	}
	return 0;
}

/* --- groups ---------------------------------------------------------------------------------------- */

/* The group that it has when it is forked is the one that cr has given to the root. */
static bool is_born_outside(const struct relative *x)
{
	while (x->parent) {
		bool early = x->is_early;

		x = x->parent;
		if (!early && (x->how == GROUP_OWN || x->how == GROUP_ABOVE))
			return false;
	}
	return true;
}

static struct relative *make_leader(struct relatives *all, const struct relative *of)
{
	struct relative *l = &all->v[all->n++];

	*l = (struct relative){ .id = of->group,
				.group = of->group,
				.session = of->session,
				.parent = of->parent,
				.is_early = of->is_early,
				.how = GROUP_OWN,
				.is_made = true };
	add_ended(l);
	return l;
}

static bool is_above(const struct relative *l, const struct relative *x)
{
	while (x && x != l)
		x = x->parent;
	return x != NULL;
}

static int join(struct relative *l, struct relative *x, struct error *e)
{
	if (l->session != x->session)
		return fail(e, 0, "task %u: its process group %u is in another session", x->id,
			    x->group);
	if (l->group != l->id)
		return fail(e, 0,
			    "task %u: the leader of its process group %u has left it, which is not "
			    "supported",
			    x->id, x->group);
	x->leader = l;
	x->how = is_above(l, x) ? GROUP_ABOVE : GROUP_JOINED;
	l->is_awaited = l->is_awaited || x->how == GROUP_JOINED;
	return 0;
}

/* A group without a leader in the tree: that of the root task, or one whose leader is gone. */
static int find_group(struct relatives *all, const struct by_id *index, struct by_id *made,
		      struct relative *x, struct error *e)
{
	const struct relative *root = &all->v[0];
	struct relative *l;

	if (x->group == x->id) {
		x->how = GROUP_OWN;
		return 0;
	}
	l = by_number(index, x->group);
	if (l)
		return join(l, x, e);
	if (x == root || x->group == root->group) {
		x->how = is_born_outside(x) ? GROUP_INHERITED : GROUP_OUTSIDE;
		return 0;
	}
	for (size_t i = 0; i < made->list.n && !l; i++)
		if (made->list.v[i]->id == x->group)
			l = made->list.v[i];
	if (!l) {
		l = make_leader(all, x);
		*vec_add(&made->list) = l;
	}
	all->n_joined++;
	return join(l, x, e);
}

static int find_groups(struct relatives *all, const struct by_id *index, struct error *e)
{
	struct by_id made = { 0 };
	size_t n = all->n;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = find_group(all, index, &made, &all->v[i], e);
	for (size_t i = 0; i < all->n; i++)
		all->n_led += all->v[i].is_awaited;
	vec_free(&made.list);
	return rc;
}

int relations_find(struct relatives *all, struct error *e)
{
	struct by_id index = { 0 };
	int rc = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct relative *x = &all->v[i];

		if (x->has_ended)
			add_ended(x);
		*vec_add(&index.list) = x;
	}
	qsort(index.list.v, index.list.n, sizeof(*index.list.v), compare_ids);
	for (size_t i = 1; i < index.list.n && rc == 0; i++)
		if (index.list.v[i]->id == index.list.v[i - 1]->id)
			rc = fail(e, 0, "task %u: it is there twice", index.list.v[i]->id);
	if (rc == 0)
		rc = find_early(all, e);
	if (rc == 0)
		rc = find_groups(all, &index, e);
	vec_free(&index.list);
	return rc;
}
