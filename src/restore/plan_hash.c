/* SPDX-License-Identifier: MIT */
/*
 * Blocks of the page stores that one reader reads as a whole, piece by piece, are checked by it, as soon as it has
 * each piece and the processor has it at hand still: for cr it would be a second reading. All others are cr's
 * (check_pages.c). Pure.
 */
#include "restore/plan_memory.h"

#define KIB 1024u /* what CR_RST_HASH takes */

void hashing_begin(struct hashing *h, struct reader *rd, const struct run *v, size_t n)
{
	*h = (struct hashing){ .reader = rd, .v = v, .n = n };
}

static uint64_t length(const struct run *x)
{
	return x->end - x->start;
}

/* Whether all up to `end`, of the same store, comes one behind the other, from run i on. */
static bool reaches(const struct hashing *h, size_t i, uint64_t end)
{
	uint64_t next = h->v[i].place + length(&h->v[i]);
	uint32_t store = h->v[i].store;

	while (next < end) {
		if (++i == h->n || h->v[i].store != store || h->v[i].place != next)
			return false;
		next += length(&h->v[i]);
	}
	return true;
}

/* The first block that begins in the rest of run i, from `from` on; false: none that is read as a whole. */
static bool find_block(struct hashing *h, size_t i, uint64_t from)
{
	const struct image *img = &h->reader->mem->r->img;
	uint32_t store = h->v[i].store;
	uint64_t stop = h->v[i].place + length(&h->v[i]), xxh3;
	uint64_t size = image_block(img, store, &xxh3, from);

	for (uint64_t at = size ? (from + size - 1) / size * size : stop; at < stop; at += size) {
		uint64_t left = img->store_sizes[store] - at;

		h->end = at + (left < size ? left : size);
		if ((h->end - at) % KIB || !reaches(h, i, h->end))
			continue;
		h->store = store;
		h->begin = h->next = at;
		(void)image_block(img, store, &h->xxh3, at);
		return true;
	}
	h->end = 0;
	return false;
}

static void note_checked(const struct hashing *h)
{
	struct restore *r = h->reader->mem->r;
	uint64_t xxh3, size = image_block(&r->img, h->store, &xxh3, h->begin);
	size_t first = 0;

	for (uint32_t i = 0; i < h->store; i++)
		first += image_blocks(&r->img, i);
	r->is_checked[first + h->begin / size] = true;
}

static void emit(struct hashing *h, uint64_t address, uint64_t bytes)
{
	struct plan *p = h->reader->plan;
	bool first = h->next == h->begin, last = h->next + bytes == h->end;

	if (!h->sums)
		h->sums = plan_data(p, NULL, 64) + 1;
	plan_op(p, CR_RST_HASH, 0,
		PLAN_ARGS(arg_data(h->sums - 1), arg_num(address), arg_num(bytes),
			  arg_num((first ? CR_RST_HASH_FIRST : 0) | (last ? CR_RST_HASH_LAST : 0)),
			  arg_num(h->end - h->begin)),
		CR_RST_WANT_EXACT, last ? (int64_t)h->xxh3 : 0);
	if (last)
		note_checked(h);
	h->next += bytes;
	if (last)
		h->end = 0;
}

/* Run i, which begins at this address now. */
static void go_on_with(struct hashing *h, size_t i, uint64_t address)
{
	const struct run *x = &h->v[i];
	uint64_t at = x->place, stop = x->place + length(x);

	while (at < stop && (h->end || find_block(h, i, at))) {
		uint64_t to = h->end < stop ? h->end : stop;

		at = h->next;
		emit(h, address + (at - x->place), to - at);
		at = to;
	}
}

void hashing_go_on(struct hashing *h, const struct run *x, size_t n)
{
	if (!h->reader->mem->r->checks_beside)
		return;
	for (size_t i = 0; i < n; i++)
		if (x[i].store != RUN_ZERO)
			go_on_with(h, h->at++, x[i].start);
}
