/* SPDX-License-Identifier: MIT */
#include "restore/runs.h"

#include <stdlib.h>
#include <string.h>

void runs_free(struct runs *r)
{
	vec_free(&r->list);
}

static uint64_t place_at(const struct run *x, uint64_t address)
{
	return x->store == RUN_ZERO ? 0 : x->place + (address - x->start);
}

void runs_add(struct runs *to, struct run x)
{
	struct run *last = to->list.n ? &to->list.v[to->list.n - 1] : NULL;

	if (last && last->end == x.start && last->store == x.store &&
	    place_at(last, x.start) == x.place && last->low == x.low && last->high == x.high)
		last->end = x.end;
	else
		*vec_add(&to->list) = x;
}

void runs_add_part(struct runs *to, const struct run *x, uint64_t start, uint64_t end)
{
	struct run part = *x;

	part.start = x->start > start ? x->start : start;
	part.end = x->end < end ? x->end : end;
	part.place = place_at(x, part.start);
	if (part.start < part.end)
		runs_add(to, part);
}

size_t runs_at(const struct runs *r, uint64_t address)
{
	size_t low = 0, high = r->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->list.v[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void runs_clip(const struct runs *from, uint64_t start, uint64_t end, struct runs *to)
{
	for (size_t i = runs_at(from, start); i < from->list.n && from->list.v[i].start < end; i++)
		runs_add_part(to, &from->list.v[i], start, end);
}

bool runs_cover(const struct runs *r, uint64_t start, uint64_t end)
{
	for (size_t i = runs_at(r, start); start < end; i++) {
		if (i == r->list.n || r->list.v[i].start > start)
			return false;
		start = r->list.v[i].end;
	}
	return true;
}

/* For plans, where nobody asks any more who else has it. */
static void add_anonymous(struct runs *to, const struct run *x, uint64_t start, uint64_t end)
{
	struct run part = *x;

	part.low = part.high = 0;
	runs_add_part(to, &part, start, end);
}

/* --- two lists --------------------------------------------------------------------------------- */

static bool is_same(const struct run *a, const struct run *b, uint64_t at)
{
	return a->store == b->store && a->store != RUN_ZERO && place_at(a, at) == place_at(b, at);
}

void runs_missing(const struct runs *want, const struct runs *have, struct runs *out)
{
	vec_each(w, &want->list) {
		uint64_t at = w->start;

		for (size_t i = runs_at(have, at); at < w->end; i++) {
			const struct run *h = i < have->list.n ? &have->list.v[i] : NULL;

			if (!h || h->start >= w->end) {
				add_anonymous(out, w, at, w->end);
				break;
			}
			add_anonymous(out, w, at, h->start);
			at = h->start > at ? h->start : at;
			if (!is_same(w, h, at))
				add_anonymous(out, w, at, h->end);
			at = h->end;
		}
	}
}

void runs_overlay(struct runs *have, const struct runs *over)
{
	struct runs out = { 0 };
	uint64_t at = 0;
	size_t i = 0;

	if (!over->list.n)
		return;
	vec_each(x, &over->list) {
		for (; i < have->list.n && have->list.v[i].start < x->start; i++) {
			runs_add_part(&out, &have->list.v[i], at, x->start);
			if (have->list.v[i].end > x->end)
				break;
		}
		while (i < have->list.n && have->list.v[i].end <= x->end)
			i++;
		runs_add(&out, *x);
		at = x->end;
	}
	for (; i < have->list.n; i++)
		runs_add_part(&out, &have->list.v[i], at, UINT64_MAX);
	runs_free(have);
	*have = out;
}

void runs_underlay(struct runs *have, const struct runs *under)
{
	struct runs out = { 0 };

	vec_each(x, &under->list)
		*vec_add(&out.list) = *x;
	runs_overlay(&out, have);
	runs_free(have);
	*have = out;
}

void runs_surplus(const struct runs *have, const struct runs *want, uint64_t start, uint64_t end,
		  struct spans *out)
{
	for (size_t w = runs_at(want, start); start < end; w++) {
		const struct run *x = w < want->list.n ? &want->list.v[w] : NULL;
		uint64_t stop = x && x->start < end ? x->start : end;
		struct span gap = { 0, 0 };

		for (size_t i = runs_at(have, start);
		     i < have->list.n && have->list.v[i].start < stop; i++) {
			const struct run *h = &have->list.v[i];

			if (!gap.end)
				gap.start = h->start > start ? h->start : start;
			gap.end = h->end < stop ? h->end : stop;
		}
		if (gap.start < gap.end)
			*vec_add(&out->list) = gap;
		if (!x || x->start >= end)
			return;
		start = x->end;
	}
}

/* --- what several have ------------------------------------------------------------------------- */

/* Runs of equal distance hold the same pages where they overlap. */
static uint64_t distance(const struct run *x)
{
	return x->place - x->start;
}

static int by_class(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->store != y->store)
		return x->store < y->store ? -1 : 1;
	if (distance(x) != distance(y))
		return distance(x) < distance(y) ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* Runs of one class that hang together: cut wherever one begins or ends, and counted piece by piece. */
static void count(const struct run *v, size_t n, struct runs *out)
{
	auto_free uint64_t *cuts = mem_alloc(2 * n * sizeof(*cuts));
	auto_free struct run *pieces = mem_alloc(2 * n * sizeof(*pieces));
	size_t n_cuts = 0, i = 0;

	for (size_t k = 0; k < n; k++) {
		cuts[2 * k] = v[k].start;
		cuts[2 * k + 1] = v[k].end;
	}
	qsort(cuts, 2 * n, sizeof(*cuts), by_address);
	for (size_t k = 0; k < 2 * n; k++)
		if (!k || cuts[k] != cuts[n_cuts - 1])
			cuts[n_cuts++] = cuts[k];
	for (size_t k = 0; k + 1 < n_cuts; k++)
		pieces[k] = (struct run){ .start = cuts[k],
					  .end = cuts[k + 1],
					  .place = cuts[k] + distance(v),
					  .store = v->store,
					  .low = UINT32_MAX };
	for (size_t k = 0; k < n; k++) {
		while (cuts[i] < v[k].start)
			i++;
		for (size_t j = i; cuts[j] < v[k].end; j++) {
			pieces[j].low = v[k].low < pieces[j].low ? v[k].low : pieces[j].low;
			pieces[j].high = v[k].low > pieces[j].high ? v[k].low : pieces[j].high;
		}
	}
	for (size_t k = 0; k + 1 < n_cuts; k++)
		if (pieces[k].low < pieces[k].high)
			runs_add(out, pieces[k]);
}

void runs_common(struct runs *all, struct runs *out)
{
	struct run *v = all->list.v;
	size_t n = all->list.n, end;

	if (n)
		qsort(v, n, sizeof(*v), by_class);
	for (size_t i = 0; i < n; i = end) {
		uint64_t reach = v[i].end;

		for (end = i + 1; end < n && v[end].store == v[i].store &&
				  distance(&v[end]) == distance(&v[i]) && v[end].start < reach;
		     end++)
			reach = v[end].end > reach ? v[end].end : reach;
		if (end - i > 1)
			count(v + i, end - i, out);
	}
}

/* The first of the same class that ends behind the begin of x, or what would be there. */
static size_t find_common(const struct runs *common, const struct run *x)
{
	size_t low = 0, high = common->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct run *c = &common->list.v[mid];
		bool before = c->store != x->store         ? c->store < x->store
			      : distance(c) != distance(x) ? distance(c) < distance(x)
							   : c->end <= x->start;

		if (before)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void runs_pick(const struct runs *own, const struct runs *common, struct runs *out)
{
	vec_each(x, &own->list) {
		for (size_t i = find_common(common, x); i < common->list.n; i++) {
			const struct run *c = &common->list.v[i];

			if (c->store != x->store || distance(c) != distance(x) ||
			    c->start >= x->end)
				break;
			runs_add_part(out, c, x->start, x->end);
		}
	}
}
