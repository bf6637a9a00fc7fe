/* SPDX-License-Identifier: MIT */
/* Finding an address range that is free in every address space of the tree and in cr. */
#include "restore/internal.h"

#include <stdlib.h>
#include <string.h>

#include "proc/maps.h"

static int by_start(const void *a, const void *b)
{
	const struct host_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

uint64_t hole_find(const struct host_range *taken, size_t n, uint64_t lowest, uint64_t highest,
		   uint64_t size, uint64_t guard)
{
	struct host_range *sorted = mem_alloc((n + 1) * sizeof(*sorted));
	uint64_t at = lowest, best = 0;

	if (n)
		memcpy(sorted, taken, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), by_start);
	sorted[n] = (struct host_range){ highest, highest };
	/* The highest one: low addresses are precious to programs that map there by number. */
	for (size_t i = 0; i <= n; i++) {
		uint64_t end = sorted[i].start > guard ? sorted[i].start - guard : 0;

		if (i == n)
			end = highest;
		if (end > highest)
			end = highest;
		if (end > at && end - at >= size)
			best = end - size;
		if (sorted[i].end > at)
			at = sorted[i].end;
	}
	free(sorted);
	return best & ~4095ull;
}

/*
 * A mapping with what lies free below it, if it grows: a fault there makes it grow, as far as its limit
 * lets it, and the last act of a helper is a fault in the hole.
 */
static struct host_range range_of(const Mm *mm, size_t k)
{
	const Mapping *m = mm->mappings[k];

	if (!(m->flags & VMF(gd)))
		return (struct host_range){ m->start, m->end };
	return (struct host_range){ k ? mm->mappings[k - 1]->end : 0, m->end };
}

int hole_of_tree(struct restore *r, uint64_t size, struct error *e)
{
	/* Stacks keep stack_guard_gap free below them: 256 pages, unless the kernel was told otherwise. */
	const uint64_t guard = 256 * 4096;
	vec(struct host_range) taken = { 0 };
	uint64_t at;

	for (size_t i = 0; i < r->host.n_mapped; i++)
		*vec_add(&taken) = r->host.mapped[i];
	for (size_t i = 0; i < r->n_processes; i++) {
		const Mm *mm = r->processes[i].mm;

		for (size_t k = 0; k < mm->n_mappings; k++)
			*vec_add(&taken) = range_of(mm, k);
	}
	at = hole_find(taken.v, taken.n, r->host.lowest, r->host.highest, size, guard);
	vec_free(&taken);
	if (!at)
		return fail(e, 0, "no hole of %llu bytes is free in all address spaces",
			    (unsigned long long)size);
	r->hole = (struct host_range){ at, at + size };
	return 0;
}
