/* SPDX-License-Identifier: MIT */
/* What the first task has from cr: memory that is cleared, the executable. Pure. */
#include "restore/internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/compat.h"

static bool overlaps(uint64_t a, uint64_t a_end, uint64_t b, uint64_t b_end)
{
	return a < b_end && b < a_end;
}

/* --- what cr has mapped -------------------------------------------------------------------------- */

static int range_order(const void *a, const void *b)
{
	const struct host_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

void plan_clear_memory(struct restore *r, struct task_plan *t)
{
	const struct host *h = &r->host;
	struct host_range *keep =
		arena_alloc(&r->arena, (h->n_own + h->n_vvar + 3) * sizeof(*keep));
	uint64_t at = h->lowest;
	size_t n = 0;

	keep[n++] = (struct host_range){ r->hole.start, r->hole.start + r->region_size };
	keep[n++] = h->vdso;
	for (size_t i = 0; i < h->n_vvar; i++)
		keep[n++] = h->vvar[i];
	for (size_t i = 0; i < h->n_own; i++)
		keep[n++] = (struct host_range){ h->own[i].start, h->own[i].end };
	qsort(keep, n, sizeof(*keep), range_order);
	keep[n++] = (struct host_range){ h->highest, h->highest };
	for (size_t i = 0; i < n; i++) {
		if (keep[i].start > at)
			plan_call_is(&t->plan, 0, SYS_munmap, arg_num(at),
				     arg_num(keep[i].start - at));
		if (keep[i].end > at)
			at = keep[i].end;
	}
}

/*
 * Nobody needs what the executable holds any more, the code that runs being the copy in the hole: so
 * neighbours become one range without access, which is replaced in one step and without a copy. Where
 * a test has chosen the way, the ranges stay what they are.
 */
static size_t join(struct cr_rst_range *v, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		v[i].prot = PROT_NONE;
		if (out && v[out - 1].end == v[i].start)
			v[out - 1].end = v[i].end;
		else
			v[out++] = v[i];
	}
	return out;
}

struct cr_rst_range *plan_own_left(struct restore *r, const Mm *mm, size_t *n)
{
	vec(struct cr_rst_range) left = { 0 };
	struct cr_rst_range *out;

	for (size_t i = 0; i < r->host.n_own; i++) {
		struct cr_rst_range rest = r->host.own[i];

		for (size_t k = 0; k < mm->n_mappings && rest.start < rest.end; k++) {
			const Mapping *m = mm->mappings[k];

			if (!overlaps(rest.start, rest.end, m->start, m->end))
				continue;
			if (m->start > rest.start) {
				struct cr_rst_range *head = vec_add(&left);

				*head = rest;
				head->end = m->start;
			}
			if (m->end < rest.end)
				rest.offset += m->end - rest.start;
			rest.start = m->end < rest.end ? m->end : rest.end;
		}
		if (rest.start < rest.end)
			*vec_add(&left) = rest;
	}
	*n = r->host.ways ? left.n : join(left.v, left.n);
	out = arena_copy(&r->arena, left.v, *n * sizeof(*left.v));
	vec_free(&left);
	return out;
}
