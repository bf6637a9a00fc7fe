/* SPDX-License-Identifier: MIT */
#include "tree/tables.h"

#include <stdlib.h>

static const char *const names[TABLES] = {
	[TABLE_FILES] = "descriptor table",
	[TABLE_FS] = "working folder",
};

/* --- which way each goes ------------------------------------------------------------------------ */

/* A table of a process, or one that has members below and above it. */
struct share {
	uint32_t table;
	uint32_t n;    /* members that have been met */
	uint32_t next; /* of the same process: index + 1 */
};

struct ways {
	struct relatives *all;
	enum table which;
	vec(struct share) sizes; /* tables that several have, ascending; n: how many */
	vec(struct share) shares;
	uint32_t *first; /* for each process: index + 1 */
};

static int by_table(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->table < y->table ? -1 : x->table > y->table;
}

static void count_members(struct ways *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->all->n; i++) {
		uint32_t table = w->all->v[i].table[w->which];

		if (table)
			*vec_add(&w->sizes) = (struct share){ .table = table, .n = 1 };
	}
	if (w->sizes.n)
		qsort(w->sizes.v, w->sizes.n, sizeof(*w->sizes.v), by_table);
	for (size_t i = 0, end; i < w->sizes.n; i = end) {
		for (end = i + 1; end < w->sizes.n && w->sizes.v[end].table == w->sizes.v[i].table;)
			end++;
		if (end - i < 2)
			continue;
		w->sizes.v[n].table = w->sizes.v[i].table;
		w->sizes.v[n].n = (uint32_t)(end - i);
		n++;
	}
	w->sizes.n = n;
}

static const struct share *size_of(const struct ways *w, uint32_t table)
{
	const struct share key = { .table = table };

	if (!w->sizes.n || !table)
		return NULL;
	return bsearch(&key, w->sizes.v, w->sizes.n, sizeof(key), by_table);
}

static void put(struct ways *w, size_t at, uint32_t table, uint32_t n)
{
	for (uint32_t k = w->first[at]; k; k = w->shares.v[k - 1].next) {
		if (w->shares.v[k - 1].table != table)
			continue;
		w->shares.v[k - 1].n += n;
		return;
	}
	*vec_add(&w->shares) = (struct share){ table, n, w->first[at] };
	w->first[at] = (uint32_t)w->shares.n;
}

static int fail_both(const struct ways *w, const struct relative *x, uint32_t a, uint32_t b,
		     struct error *e)
{
	return fail(
		e, 0,
		"task %u: it would have to be born with two of one sort, the %s of process %u and "
		"that of process %u, which it or processes below it share with others: that "
		"cannot be made again",
		x->id, names[w->which], a < b ? a : b, a < b ? b : a);
}

/* What a process has with others that do not descend from it comes to it at its birth. */
static int find_way(struct ways *w, size_t i, struct error *e)
{
	struct relative *x = &w->all->v[i];

	if (size_of(w, x->table[w->which]))
		put(w, i, x->table[w->which], 1);
	for (uint32_t k = w->first[i]; k; k = w->shares.v[k - 1].next) {
		struct share s = w->shares.v[k - 1];

		if (s.n == size_of(w, s.table)->n)
			continue;
		if (x->born_with[w->which])
			return fail_both(w, x, x->born_with[w->which], s.table, e);
		x->born_with[w->which] = s.table;
		put(w, (size_t)(x->parent - w->all->v), s.table, s.n);
	}
	if (x->born_with[w->which] && x->born_of)
		return fail(e, 0,
			    "task %u: it shares its %s with others and is in the session %u, whose "
			    "leader has ended: that cannot be made again",
			    x->id, names[w->which], x->session);
	return 0;
}

/* Children stand behind their parents. */
static int find_ways(struct relatives *all, enum table which, bool *any, struct error *e)
{
	struct ways w = { .all = all, .which = which };
	int rc = 0;

	count_members(&w);
	if (w.sizes.n > TABLES_MOST)
		rc = fail(
			e, 0,
			"processes share more than %u different %ss with each other, which is not "
			"supported",
			TABLES_MOST, names[which]);
	if (w.sizes.n)
		w.first = mem_alloc(all->n * sizeof(*w.first));
	for (size_t i = all->n; i-- > 0 && rc == 0 && w.sizes.n;) {
		*any = true;
		/* Leaders that are made stand behind all, and have none. */
		rc = all->v[i].table[which] ? find_way(&w, i, e) : 0;
	}
	free(w.first);
	vec_free(&w.sizes);
	vec_free(&w.shares);
	return rc;
}

/* --- in which order children are forked ----------------------------------------------------------- */

#define RANK_LAST UINT32_MAX

struct child {
	struct relative *x;
	uint32_t rank[TABLES];
};

struct children {
	vec(struct child) list;
};

static int by_parent(const void *a, const void *b)
{
	const struct relative *x = ((const struct child *)a)->x, *y = ((const struct child *)b)->x;

	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_rank(const void *a, const void *b)
{
	const struct child *x = a, *y = b;

	if (x->x->is_early != y->x->is_early)
		return x->x->is_early ? -1 : 1;
	for (enum table t = 0; t < TABLES; t++)
		if (x->rank[t] != y->rank[t])
			return x->rank[t] < y->rank[t] ? -1 : 1;
	return x->x < y->x ? -1 : x->x > y->x;
}

static int by_born_with(const void *a, const void *b, void *table)
{
	const struct relative *x = ((const struct child *)a)->x, *y = ((const struct child *)b)->x;
	enum table t = *(const enum table *)table;

	if (x->born_with[t] != y->born_with[t])
		return x->born_with[t] < y->born_with[t] ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* What the parent was born with comes first, its own last, others in the order in which they first come up: by
 * the first child that has it. */
static void rank(const struct relative *up, struct child *v, size_t n, enum table t)
{
	uint32_t first = 0;

	qsort_r(v, n, sizeof(*v), by_born_with, &t);
	for (size_t i = 0; i < n; i++) {
		uint32_t table = v[i].x->born_with[t];

		if (!i || table != v[i - 1].x->born_with[t])
			first = (uint32_t)(v[i].x - up);
		v[i].rank[t] = !table || table == up->born_with[t] ? 0
			       : table == up->table[t]             ? RANK_LAST
								   : first;
	}
}

static int fail_order(const struct relative *up, enum table t, uint32_t table, struct error *e)
{
	return fail(
		e, 0,
		"task %u: it would have to leave the %s of process %u and come back to it, for "
		"itself or for its children, who share it and others: that cannot be made again",
		up->id, names[t], table);
}

static bool has_come(const struct child *v, size_t n, enum table t, uint32_t table)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].x->born_with[t] == table)
			return true;
	return false;
}

/* What the parent has while it forks one after the other. */
static int follow(struct relative *up, struct child *v, size_t n, enum table t, struct error *e)
{
	uint32_t now = up->born_with[t], own = up->table[t];

	for (size_t i = 0; i < n; i++) {
		uint32_t next = v[i].x->born_with[t];

		if (!next || next == now)
			continue;
		if (has_come(v, i, t, next) || next == up->born_with[t])
			return fail_order(up, t, next, e);
		v[i].x->left_before[t] = now;
		now = next;
	}
	if (!now || now == own)
		return 0;
	if (own == up->born_with[t] || has_come(v, n, t, own))
		return fail_order(up, t, own, e);
	up->left_at_last[t] = now;
	return 0;
}

static int order_children(struct child *v, size_t n, struct error *e)
{
	struct relative *up = v[0].x->parent;
	int rc = 0;

	for (enum table t = 0; t < TABLES; t++)
		rank(up, v, n, t);
	qsort(v, n, sizeof(*v), by_rank);
	for (size_t i = 0; i < n; i++)
		v[i].x->rank = (uint32_t)i + 1;
	for (enum table t = 0; t < TABLES && rc == 0; t++)
		rc = follow(up, v, n, t, e);
	return rc;
}

static bool is_born_with_any(const struct relative *x)
{
	return x->born_with[TABLE_FILES] || x->born_with[TABLE_FS];
}

/* Those without children that matter: what they were born with was for themselves. */
static int order_all(struct relatives *all, struct error *e)
{
	struct children c = { 0 };
	int rc = 0;

	for (size_t i = 0; i < all->n; i++)
		if (is_born_with_any(&all->v[i]))
			*vec_add(&c.list) = (struct child){ .x = &all->v[i] };
	if (c.list.n)
		qsort(c.list.v, c.list.n, sizeof(*c.list.v), by_parent);
	for (size_t i = 0, end; i < c.list.n && rc == 0; i = end) {
		for (end = i + 1;
		     end < c.list.n && c.list.v[end].x->parent == c.list.v[i].x->parent;)
			end++;
		rc = order_children(&c.list.v[i], end - i, e);
	}
	vec_free(&c.list);
	return rc;
}

int tables_find(struct relatives *all, struct error *e)
{
	bool any = false;
	int rc = 0;

	for (enum table t = 0; t < TABLES && rc == 0; t++)
		rc = find_ways(all, t, &any, e);
	return rc < 0 || !any ? rc : order_all(all, e);
}

/* --- threads --------------------------------------------------------------------------------------- */

/* All threads with one pair of tables, the first of which stands for them. */
struct pair {
	struct kin *kin;
	size_t at[TABLES]; /* places in `had` */
};

struct pairs {
	vec(struct pair) list;
	struct kin **
		had; /* for each table the thread that has it first; NULL: none has been made yet */
};

static int compare_kin(const struct kin *x, const struct kin *y, enum table first)
{
	enum table second = first == TABLE_FILES ? TABLE_FS : TABLE_FILES;

	if (x->table[first] != y->table[first])
		return x->table[first] < y->table[first] ? -1 : 1;
	if (x->table[second] != y->table[second])
		return x->table[second] < y->table[second] ? -1 : 1;
	return x < y ? -1 : x > y;
}

static int by_pair(const void *a, const void *b)
{
	return compare_kin(*(struct kin *const *)a, *(struct kin *const *)b, TABLE_FILES);
}

static int by_fs(const void *a, const void *b)
{
	return compare_kin(((const struct pair *)a)->kin, ((const struct pair *)b)->kin, TABLE_FS);
}

static int by_place(const void *a, const void *b)
{
	const struct kin *x = ((const struct pair *)a)->kin, *y = ((const struct pair *)b)->kin;

	return x < y ? -1 : x > y;
}

/* The first pair is that of v[0]. */
static void find_pairs(struct kin *v, size_t n, struct pairs *all)
{
	struct kin **order = mem_alloc(n * sizeof(*order));
	size_t n_tables = 0;

	for (size_t i = 0; i < n; i++)
		order[i] = &v[i];
	qsort(order, n, sizeof(*order), by_pair);
	for (size_t i = 0; i < n; i++) {
		struct pair *p = all->list.n ? &all->list.v[all->list.n - 1] : NULL;

		if (p && p->kin->table[TABLE_FILES] == order[i]->table[TABLE_FILES]) {
			if (p->kin->table[TABLE_FS] == order[i]->table[TABLE_FS]) {
				order[i]->maker = (uint32_t)(p->kin - v);
				continue;
			}
		} else {
			n_tables++;
		}
		p = vec_add(&all->list);
		p->kin = order[i];
		p->at[TABLE_FILES] = n_tables - 1;
		order[i]->maker = (uint32_t)(order[i] - v);
	}
	free(order);
	qsort(all->list.v, all->list.n, sizeof(*all->list.v), by_fs);
	for (size_t i = 0; i < all->list.n; i++) {
		struct pair *p = &all->list.v[i];

		n_tables += !i || p[-1].kin->table[TABLE_FS] != p->kin->table[TABLE_FS];
		p->at[TABLE_FS] = n_tables - 1;
	}
	qsort(all->list.v, all->list.n, sizeof(*all->list.v), by_place);
	all->had = mem_alloc(n_tables * sizeof(*all->had));
}

/* `alone`: though nobody has anything of it. 1: made; 0: not yet. */
static int make(const struct kin *first, struct pairs *all, struct pair *p, bool alone,
		struct error *e)
{
	struct kin **files = &all->had[p->at[TABLE_FILES]], **fs = &all->had[p->at[TABLE_FS]];
	const struct kin *maker = *files ? *files : *fs ? *fs : first;

	if (*files && *fs)
		return fail(
			e, 0,
			"thread %u: it shares its %s with thread %u and its %s with thread %u, who "
			"have not both in common: that cannot be made again",
			p->kin->id, names[TABLE_FILES], (*files)->id, names[TABLE_FS], (*fs)->id);
	if (!*files && !*fs && !alone)
		return 0;
	p->kin->maker = (uint32_t)(maker - first);
	p->kin->own[TABLE_FILES] = !*files;
	p->kin->own[TABLE_FS] = !*fs;
	*files = *files ? *files : p->kin;
	*fs = *fs ? *fs : p->kin;
	return 1;
}

int tables_find_threads(struct kin *v, size_t n, struct error *e)
{
	struct pairs all = { 0 };
	bool alone = true;
	int rc = 0;

	find_pairs(v, n, &all);
	/* v[0] first, which is alone; then whoever hangs together with those that are made. */
	while (all.list.n && rc >= 0) {
		size_t left = 0;

		for (size_t i = 0; i < all.list.n && rc >= 0; i++) {
			rc = make(v, &all, &all.list.v[i], alone, e);
			if (rc == 0)
				all.list.v[left++] = all.list.v[i];
			alone = alone && rc == 0;
		}
		alone = left == all.list.n;
		all.list.n = left;
	}
	vec_free(&all.list);
	free(all.had);
	return rc < 0 ? rc : 0;
}
