/* SPDX-License-Identifier: MIT */
/* The pages of one object of shared memory, by several workers where there are many. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/ends.h"
#include "base/fd.h"
#include "base/work.h"
#include "dump/equal.h"
#include "dump/pages.h"
#include "dump/shmem.h"

#define PAGE 4096u
#define CHUNK CHUNKS_READ

struct piece {
	uint64_t at;
	size_t n;
};
struct shared_pages {
	struct dump *d;
	int fd;
	uint64_t size, bytes;
	vec(struct piece) pieces;
};
/* Pieces that go into one store. */
struct part {
	struct shared_pages *of;
	const struct piece *pieces;
	size_t n;
	uint32_t store;
	vec(struct page_extent) found;
	struct equal_walk equal;
};

static void add_run(struct shared_pages *o, uint64_t at, uint64_t end)
{
	o->bytes += end - at;
	for (; at < end; at += CHUNK)
		*vec_add(&o->pieces) = (struct piece){ at, end - at < CHUNK ? end - at : CHUNK };
}

static int find_pages(struct shared_pages *o, struct error *e)
{
	for (uint64_t at = 0; at < o->size;) {
		off_t data = lseek(o->fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return 0;
		hole = data < 0 ? -1 : lseek(o->fd, data, SEEK_HOLE);
		if (hole < 0)
			return fail(e, errno, "look for its pages (lseek)");
		add_run(o, (uint64_t)data & ~(uint64_t)(PAGE - 1), (uint64_t)hole);
		at = (uint64_t)hole;
	}
	return 0;
}

static void add_page(struct part *p, struct page_extent x)
{
	struct page_extent *last = p->found.n ? &p->found.v[p->found.n - 1] : NULL;

	if (last && last->start + last->length == x.start && last->store == x.store &&
	    last->offset + last->length == x.offset)
		last->length += x.length;
	else
		*vec_add(&p->found) = x;
}

/* Pages of zeros become holes, those that the image has already are left out. n: whole pages. */
static int put(struct part *p, uint64_t at, char *buffer, size_t n, struct error *e)
{
	uint64_t place = image_next_place(p->of->d->writer, p->store);
	char *to = buffer;

	for (char *from = buffer; from < buffer + n; from += PAGE, at += PAGE) {
		struct page_extent x = { .start = at,
					 .length = PAGE,
					 .offset = place + (uint64_t)(to - buffer),
					 .store = p->store };

		if (page_is_zero(from))
			continue;
		if (!equal_find(&p->equal, from, &x.store, &x.offset)) {
			if (to != from)
				memcpy(to, from, PAGE);
			to += PAGE;
		}
		add_page(p, x);
	}
	if (to == buffer)
		return 0;
	return image_put_pages(p->of->d->writer, p->store, buffer, (size_t)(to - buffer), e);
}

static int save_piece(struct part *p, const struct piece *piece, char *buffer, struct error *e)
{
	const struct shared_pages *o = p->of;
	size_t n = piece->n, whole = (n + PAGE - 1) & ~(size_t)(PAGE - 1);
	int rc;

	if (deadline_is_over(o->d->deadline))
		return fail(e, ETIMEDOUT, "save its pages");
	rc = ends_check(e, DUMP_ENDED);
	if (rc < 0)
		return rc;
	/* What is behind the end of a file is nobody's. */
	if (n > o->size - piece->at)
		n = o->size - piece->at;
	rc = fd_pread_full(o->fd, buffer, n, (off_t)piece->at);
	if (rc < 0)
		return fail(e, -rc, "read its pages");
	memset(buffer + n, 0, whole - n);
	return put(p, piece->at, buffer, whole, e);
}

static int save_part(void *parts, unsigned int worker, size_t k, struct error *e)
{
	struct part *p = (struct part *)parts + k;
	auto_free char *buffer = mem_realloc(NULL, CHUNK);
	int rc = 0;

	(void)worker;
	for (size_t i = 0; i < p->n && rc >= 0; i++)
		rc = save_piece(p, &p->pieces[i], buffer, e);
	return rc;
}

static int save_parts(struct shared_pages *o, struct part *parts, size_t n, struct error *e)
{
	struct work w = { .each = save_part, .arg = parts, .n = n, .grain = 1 };
	size_t each = (o->pieces.n + n - 1) / n, at = 0;

	for (size_t k = 0; k < n; k++) {
		size_t left = o->pieces.n - at;

		parts[k].of = o;
		parts[k].equal.of = o->d->equal;
		parts[k].store = (uint32_t)k;
		parts[k].pieces = o->pieces.v + at;
		parts[k].n = left < each ? left : each;
		at += parts[k].n;
	}
	return work_over(&w, n > 1 ? gather_width(o->d) : 1, e);
}

static void list_extents(struct dump *d, const struct part *parts, size_t n, SharedMemory *m)
{
	size_t most = 0;

	for (size_t k = 0; k < n; k++)
		most += parts[k].found.n;
	m->extents = arena_alloc(&d->arena, most * sizeof(*m->extents));
	for (size_t k = 0; k < n; k++) {
		vec_each(from, &parts[k].found) {
			Extent *x = arena_alloc(&d->arena, sizeof(*x));

			extent__init(x);
			x->start = from->start;
			x->length = from->length;
			x->sort = EXTENT__SORT__DATA;
			x->has_store = x->has_offset = true;
			x->store = from->store;
			x->offset = from->offset;
			m->extents[m->n_extents++] = x;
		}
	}
}

int shmem_save_pages(struct dump *d, int fd, SharedMemory *m, struct error *e)
{
	struct shared_pages o = { .d = d, .fd = fd, .size = m->size };
	struct part parts[IMAGE_STORES] = { 0 };
	size_t n = 0;
	int rc = find_pages(&o, e);

	if (rc >= 0 && o.pieces.n) {
		n = chunks_parts(d, o.bytes, true);
		rc = save_parts(&o, parts, n, e);
	}
	timeline_read(d->opt->times, o.bytes);
	if (rc >= 0)
		list_extents(d, parts, n, m);
	for (size_t k = 0; k < n; k++) {
		timeline_left_out(d->opt->times, parts[k].equal.bytes_left_out);
		vec_free(&parts[k].found);
	}
	vec_free(&o.pieces);
	return rc;
}
