/* SPDX-License-Identifier: MIT */
/* Operations that fill memory with what the image holds of it. Pure. */
#include "restore/plan_memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/compat.h"

#define MAX_IOV 1024u         /* UIO_MAXIOV */
#define MAX_READ (1ull << 30) /* the kernel reads at most 2 GiB less a page at once */

/* One page of zeros, and from there upwards each page from the one below it. */
static void emit_zero(struct plan *p, uint64_t start, uint64_t length)
{
	uint64_t at = plan_data(p, NULL, 4096);

	plan_op(p, CR_RST_COPY, 0, PLAN_ARGS(arg_num(start), arg_data(at), arg_num(4096)),
		CR_RST_WANT_OK, 0);
	if (length > 4096)
		plan_op(p, CR_RST_COPY, 0,
			PLAN_ARGS(arg_num(start + 4096), arg_num(start), arg_num(length - 4096)),
			CR_RST_WANT_OK, 0);
}

/* All readers of a process fetch the one descriptor that cr has opened for it. */
static uint32_t fetch_store(struct reader *rd, uint32_t store)
{
	struct memory *mem = rd->mem;
	uint32_t *slot = &mem->slot_of_store[store], *known = &rd->fetch_of_store[store];

	if (!*slot)
		*slot = slot_add(mem->r, (struct slot){ .sort = SLOT_STORE, .id = store }) + 1;
	if (!*known)
		*known = restore_emit_fetch(mem->r, rd->plan, *slot - 1) + 1;
	return *known - 1;
}

/* Gathers runs that lie one behind the other in the store into one call; gives how many. */
static size_t emit_read(struct reader *rd, const struct run *x, size_t n_runs)
{
	uint32_t fetch = fetch_store(rd, x->store);
	struct iovec iov[MAX_IOV];
	uint64_t bytes = 0, next = x->place;
	size_t n = 0;

	while (n < MAX_IOV && n < n_runs) {
		const struct run *y = &x[n];
		uint64_t size = y->end - y->start;

		if (y->store != x->store || y->place != next || (n && bytes + size > MAX_READ))
			break;
		iov[n++] = (struct iovec){ (void *)(uintptr_t)y->start, size };
		bytes += size;
		next += size;
	}
	plan_op(rd->plan, CR_RST_READV, 0,
		PLAN_ARGS(arg_result(fetch), arg_data(plan_data(rd->plan, iov, n * sizeof(*iov))),
			  arg_num(n), arg_num(x->place)),
		CR_RST_WANT_OK, 0);
	return n;
}

static int by_place(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->store != y->store)
		return x->store < y->store ? -1 : 1;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* In the order of the image: what several processes have lies among the pages of the first of them. */
struct run *contents_by_place(struct memory *mem, const struct runs *runs)
{
	size_t n = runs->list.n;
	struct run *v = n ? arena_copy(&mem->r->arena, runs->list.v, n * sizeof(*v)) : NULL;

	if (n)
		qsort(v, n, sizeof(*v), by_place);
	return v;
}

void contents_read(struct reader *rd, const struct run *v, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (v[i].store == RUN_ZERO) {
			emit_zero(rd->plan, v[i].start, v[i].end - v[i].start);
			i++;
			continue;
		}
		i += emit_read(rd, &v[i], n - i);
	}
}

void contents_populate(struct plan *p, uint64_t start, uint64_t end)
{
	if (end - start > 4096)
		plan_call_any(p, SYS_madvise, arg_num(start), arg_num(end - start),
			      arg_num(MADV_POPULATE_WRITE));
}

/*
 * Stretches of pages are made present at once: a fault for each that is read in takes several times as long.
 * A single page is not worth a call.
 */
static void populate_mapping(struct memory *mem, const Mapping *m, const struct runs *runs)
{
	struct plan *p = &mem->t->plan;
	uint64_t start = 0, end = 0;

	for (size_t k = runs_at(runs, m->start); k < runs->list.n; k++) {
		const struct run *x = &runs->list.v[k];

		if (x->start >= m->end)
			break;
		if (x->start != end) {
			contents_populate(p, start, end);
			start = x->start < m->start ? m->start : x->start;
		}
		end = x->end < m->end ? x->end : m->end;
	}
	contents_populate(p, start, end);
}

/* By the leader alone. */
static void plan_few(struct memory *mem, const struct runs *runs)
{
	struct reader own = readers_leader(mem);

	for (size_t i = 0; i < mem->mm->n_mappings; i++)
		if (!mem->is_present[i])
			populate_mapping(mem, mem->mm->mappings[i], runs);
	contents_read(&own, contents_by_place(mem, runs), runs->list.n);
}

/*
 * Huge pages that were not moved in: the kernel makes them of what is there, or does not, and the memory is
 * right either way.
 */
static void plan_collapse(struct memory *mem, const struct runs *moved)
{
	const Mm *mm = mem->mm;

	for (size_t i = 0; i < mm->n_huge; i++) {
		uint64_t start = mm->huge[i]->start, end = start + mm->huge[i]->length;
		size_t k = runs_at(moved, start);

		if ((k < moved->list.n && moved->list.v[k].start < end) ||
		    !readers_may_collapse(mem, start))
			continue;
		plan_call_any(&mem->t->plan, SYS_madvise, arg_num(start), arg_num(end - start),
			      arg_num(MADV_COLLAPSE));
	}
}

void plan_contents(struct memory *mem, const struct runs *runs, bool is_last)
{
	struct runs moved = { 0 }, rest = { 0 };
	const struct runs *here;

	plan_note(&mem->t->plan, "contents");
	if (mem->is_much && is_last)
		readers_find_blocks(mem, runs, &moved, &rest);
	here = mem->is_much && is_last ? &rest : runs;
	if (!mem->is_much || !readers_plan_rest(mem, here))
		plan_few(mem, here);
	if (moved.list.n)
		readers_plan_blocks(mem, &moved);
	if (is_last) {
		plan_note(&mem->t->plan, "huge pages");
		plan_collapse(mem, &moved);
	}
	runs_free(&moved);
	runs_free(&rest);
}
