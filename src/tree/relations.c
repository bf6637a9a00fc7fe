/* SPDX-License-Identifier: MIT */
#include "tree/relations.h"

#include <stdlib.h>

#include "tree/contexts.h"
#include "tree/space.h"
#include "tree/tables.h"

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
	if (!x->parent)
		return fail(e, 0, "task %u: its session %u cannot be begun outside the tree", x->id,
			    x->session);
	return fail(
		e, 0,
		"task %u: its session %u is neither its own, nor its parent's, nor the one that its "
		"parent came from, and it cannot be born again of a leader that has ended: that would "
		"have to be a child of task %u too",
		x->id, needed(x), x->parent->id);
}

static struct relative *add_made(struct relatives *all, struct by_id *made, struct relative x)
{
	struct relative *l = &all->v[all->n++];

	*l = x;
	l->is_made = true;
	if (l->parent)
		add_ended(l);
	*vec_add(&made->list) = l;
	return l;
}

static struct relative *find_made(const struct by_id *made, uint32_t id)
{
	for (size_t i = 0; i < made->list.n; i++)
		if (made->list.v[i]->id == id)
			return made->list.v[i];
	return NULL;
}

/* A sibling is what its maker is: CLONE_PARENT takes the signal of its end, too. */
static int bear(struct relatives *all, const struct by_id *index, struct by_id *made,
		struct relative *x, struct error *e)
{
	uint32_t session = needed(x);
	struct relative *l = by_number(index, session);

	if (!l)
		l = find_made(made, session);
	if (!l)
		l = add_made(all, made,
			     (struct relative){ .id = session,
						.group = session,
						.session = session,
						.exit_signal = x->exit_signal,
						.parent = x->parent });
	if (l->parent != x->parent || l->session != l->id)
		return fail_session(x, e);
	if (l->exit_signal != x->exit_signal)
		return fail(e, 0,
			    "task %u: its end is told by signal %u, that of others of its session, "
			    "whose leader has ended, by signal %u; that cannot be made again",
			    x->id, x->exit_signal, l->exit_signal);
	x->born_of = l;
	return 0;
}

static bool has_gone(const struct by_id *index, const struct relative *x)
{
	const struct relative *l = by_number(index, needed(x));

	return l ? l->has_ended : leads_session(x) ? x->born_is_gone : x->session_is_gone;
}

/* Forked before its parent begins a session of its own. A zombie that led its session can only make it. */
static bool be_early(const struct by_id *index, struct relative *x)
{
	struct relative *up = x->parent, *l = by_number(index, needed(x));

	/* Where the root came from is not in the tree. */
	if (!up || !up->parent || !leads_session(up) || (up->born && up->born != needed(x)) ||
	    (l && l->has_ended && l->parent == up))
		return false;
	up->born = needed(x);
	up->born_is_gone = has_gone(index, x);
	x->is_early = true;
	return true;
}

/* Children come behind their parents: what they need is known before their parent's turn. */
static int find_births(struct relatives *all, const struct by_id *index, struct by_id *made,
		       struct error *e)
{
	for (size_t i = all->n; i-- > 0;) {
		struct relative *x = &all->v[i], *up = x->parent;
		uint32_t need = needed(x);
		int rc;

		if (!need || (up && need == up->session) || be_early(index, x))
			continue;
		if (has_gone(index, x))
			rc = bear(all, index, made, x, e);
		else
			rc = up ? fail_session(x, e) : 0;
		if (rc < 0)
			return rc;
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

/* Beside its first member, or below the root. */
static struct relative *make_leader(struct relatives *all, struct by_id *made, struct relative *of)
{
	struct relative l = { .id = of->group,
			      .group = of->group,
			      .session = of->session,
			      .parent = of->parent ? of->parent : of,
			      .how = GROUP_OWN };

	if (of->parent) {
		l.is_early = of->is_early;
		l.born_of = of->born_of;
		l.exit_signal = l.born_of ? l.born_of->exit_signal : 0;
	}
	return add_made(all, made, l);
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
	bool is_outside = (x == root || x->group == root->group) && !root->born_of;

	if (x->group == x->id) {
		x->how = GROUP_OWN;
		return 0;
	}
	l = by_number(index, x->group);
	if (l)
		return join(l, x, e);
	if (is_outside) {
		x->how = is_born_outside(x) ? GROUP_INHERITED : GROUP_OUTSIDE;
		return 0;
	}
	l = find_made(made, x->group);
	if (!l)
		l = make_leader(all, made, x);
	all->n_joined++;
	return join(l, x, e);
}

static int find_groups(struct relatives *all, const struct by_id *index, struct by_id *made,
		       struct error *e)
{
	size_t n = all->n;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = find_group(all, index, made, &all->v[i], e);
	for (size_t i = 0; i < all->n; i++)
		all->n_led += all->v[i].is_awaited;
	return rc;
}

int relations_find(struct relatives *all, struct error *e)
{
	struct by_id index = { 0 }, made = { 0 };
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
		rc = find_births(all, &index, &made, e);
	if (rc == 0)
		rc = find_groups(all, &index, &made, e);
	if (rc == 0)
		rc = tables_find(all, e);
	if (rc == 0)
		rc = contexts_find(all, e);
	if (rc == 0)
		rc = spaces_find(all, e);
	vec_free(&made.list);
	vec_free(&index.list);
	return rc;
}
