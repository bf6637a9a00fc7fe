/* SPDX-License-Identifier: MIT */
/* Contents of memory: read in large pieces, sifted, stored. */
#include "dump/chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/ends.h"
#include "base/fd.h"
#include "base/work.h"
#include "dump/equal.h"
#include "dump/pages.h"
#include "dump/same.h"
#include "remote/memory.h"

#define PAGE 4096u
#define MAX_RUNS 1024u           /* UIO_MAXIOV */
#define PART_LEAST (8ull << 20)  /* less is not worth a thread */
#define PART_PACKED (2ull << 20) /* likewise, of pages that are compressed */
#define PARTS_EACH 2u            /* for each worker: who is slower has less to do */

void chunks_free(struct chunks *c)
{
	vec_free(&c->runs);
	vec_free(&c->list);
	vec_free(&c->held);
}

/* --- what there is to do ----------------------------------------------------------------------- */

static struct chunk *chunk_for(struct chunks *c, struct dump_process *p)
{
	struct chunk *last = c->list.n ? &c->list.v[c->list.n - 1] : NULL;

	if (last && last->process == p && last->bytes < CHUNKS_READ && last->n < MAX_RUNS)
		return last;
	last = vec_add(&c->list);
	last->process = p;
	last->first = c->runs.n;
	return last;
}

void chunks_add(struct chunks *c, struct dump_process *p, struct page_run run)
{
	c->asks = c->asks || run.others == SAME_MAYBE;
	c->bytes += run.length;
	while (run.length) {
		struct chunk *to = chunk_for(c, p);
		uint64_t room = CHUNKS_READ - to->bytes;
		struct page_run part = run;

		if (part.length > room)
			part.length = room;
		*vec_add(&c->runs) = part;
		to->n++;
		to->bytes += part.length;
		run.start += part.length;
		run.length -= part.length;
	}
}

void chunks_add_held(struct chunks *c, struct held_pages held)
{
	*vec_add(&c->held) = held;
}

/* --- reading ----------------------------------------------------------------------------------- */

/* A part of the chunks, all of which go into one store. */
struct part {
	struct chunks *c;
	struct chunk *chunks;
	size_t n;
	uint32_t store;
	vec(struct page_extent) found;
	struct equal_walk equal;
};

struct reader {
	struct part *part;
	struct chunk *chunk; /* that is read */
	const struct page_run *runs;
	struct memory memory; /* of its process; mem: -1: not open */
	char *buffer;
	struct iovec iov[MAX_RUNS];
};

/* The runs from the first on that lie one behind the other. */
static struct iovec join(const struct reader *r, size_t first, size_t *end, bool *is_shared)
{
	struct iovec all = { r->iov[first].iov_base, 0 };

	*is_shared = false;
	for (*end = first; *end < r->chunk->n; ++*end) {
		if ((char *)all.iov_base + all.iov_len != r->iov[*end].iov_base)
			break;
		all.iov_len += r->iov[*end].iov_len;
		*is_shared = *is_shared || r->runs[*end].others != SAME_ALONE;
	}
	return all;
}

/* What is shared, and what hangs together with it, by itself; the rest by as few calls as possible. */
static int read_runs(struct reader *r, struct error *e)
{
	const struct memory *m = &r->memory;
	char *to = r->buffer, *from = to;
	size_t first = 0, end, n = r->chunk->n;
	int64_t rc = 0;

	for (size_t i = 0; i < n; i++)
		r->iov[i] =
			(struct iovec){ (void *)(uintptr_t)r->runs[i].start, r->runs[i].length };
	for (size_t i = 0; i < n && rc >= 0; i = end) {
		bool is_shared;
		struct iovec all = join(r, i, &end, &is_shared);

		if (is_shared && first < i)
			rc = memory_read_runs(m, r->iov + first, i - first, from, e);
		if (is_shared && rc >= 0)
			rc = memory_read_shared(m, &all, to, e);
		to += all.iov_len;
		if (is_shared) {
			first = end;
			from = to;
		}
	}
	if (rc >= 0 && first < n)
		rc = memory_read_runs(m, r->iov + first, n - first, from, e);
	return rc < 0 ? (int)rc : 0;
}

/* --- sifting ----------------------------------------------------------------------------------- */

bool page_is_zero(const char *page)
{
	static const char zeros[64];

	return !memcmp(page, zeros, sizeof(zeros)) && !memcmp(page, page + 64, PAGE - 64);
}

/* Whether y goes on where x ends, and the same way. */
static bool is_continued(const struct page_extent *x, const struct page_extent *y)
{
	if (x->mapping != y->mapping || x->start + x->length != y->start || x->sort != y->sort)
		return false;
	return x->sort != PAGES_DATA ||
	       (x->store == y->store && x->offset + x->length == y->offset);
}

/* Of the chunk that is read. */
static void find_extent(struct reader *r, struct page_extent x)
{
	struct part *p = r->part;
	struct page_extent *last = r->chunk->n_found ? &p->found.v[p->found.n - 1] : NULL;

	if (last && is_continued(last, &x)) {
		last->length += x.length;
		return;
	}
	*vec_add(&p->found) = x;
	r->chunk->n_found++;
}

/* Gives whether the one page is stored for this holder already. */
static bool take_place(struct reader *r, uint64_t at, uint32_t mapping, uint32_t holder)
{
	struct same_piece piece = { .sort = PAGES_ZERO };

	if (holder)
		piece = same_place(r->part->c->d->same, r->chunk->process, holder, at, PAGE);
	if (piece.sort == PAGES_ZERO)
		return false;
	find_extent(r, (struct page_extent){ .start = at,
					     .length = PAGE,
					     .offset = piece.offset,
					     .store = piece.store,
					     .mapping = mapping,
					     .sort = piece.sort });
	return true;
}

/* Whose contents the pages have, where that is asked. */
static int compare(struct reader *r, uint32_t *holders, struct error *e)
{
	uint64_t at[SAME_MOST];
	bool any = false;
	size_t n = 0;

	_Static_assert(SAME_MOST == CHUNKS_READ / PAGE, "all that is read at once");
	for (size_t i = 0; i < r->chunk->n; i++) {
		for (uint64_t k = 0; k < r->runs[i].length; k += PAGE, n++) {
			holders[n] = 0;
			at[n] = 0;
			if (r->runs[i].others != SAME_MAYBE || page_is_zero(r->buffer + n * PAGE))
				continue;
			at[n] = r->runs[i].start + k;
			any = true;
		}
	}
	return any ? same_compare(r->part->c->d->same, at, r->buffer, n, holders, e) : 0;
}

/*
 * Pages of zeros and those that the image has already are left out, what stays moves together and will lie at
 * `place`. Gives how many bytes stay. A new page of anonymous memory is zero anyway; one of a file has the
 * file's contents.
 */
static size_t sift(struct reader *r, const uint32_t *holder, uint64_t place)
{
	const struct vma *maps = r->chunk->process->maps.list.v;
	char *from = r->buffer, *to = r->buffer;

	for (size_t i = 0; i < r->chunk->n; i++) {
		const struct page_run *run = &r->runs[i];
		bool is_file = pages_have_file(&maps[run->mapping]);

		for (uint64_t k = 0; k < run->length; k += PAGE, from += PAGE, holder++) {
			struct page_extent x = { .start = run->start + k,
						 .length = PAGE,
						 .mapping = run->mapping,
						 .sort = PAGES_ZERO };

			if (page_is_zero(from)) {
				if (is_file)
					find_extent(r, x);
				continue;
			}
			if (take_place(r, x.start, x.mapping, *holder))
				continue;
			x.sort = PAGES_DATA;
			x.store = r->part->store;
			x.offset = place + (uint64_t)(to - r->buffer);
			if (!equal_find(&r->part->equal, from, &x.store, &x.offset)) {
				if (to != from)
					memcpy(to, from, PAGE);
				to += PAGE;
			}
			find_extent(r, x);
		}
	}
	return (size_t)(to - r->buffer);
}

static int open_memory(struct reader *r, struct error *e)
{
	const struct dump_process *p = r->chunk->process;

	fd_cleanup(&r->memory.mem);
	r->memory = memory_of(r->part->c->d, p, openat(p->dir, "mem", O_RDONLY | O_CLOEXEC));
	return r->memory.mem < 0 ? fail(e, errno, "open mem") : 0;
}

static int save_chunk(struct reader *r, struct error *e)
{
	struct dump *d = r->part->c->d;
	uint32_t holders[SAME_MOST];
	size_t kept;
	int rc;

	if (deadline_is_over(d->deadline))
		return fail(e, ETIMEDOUT, "save the memory of process %d",
			    speaker_id(r->chunk->process));
	rc = ends_check(e, DUMP_ENDED);
	if (rc >= 0)
		rc = read_runs(r, e);
	if (rc >= 0)
		rc = compare(r, holders, e);
	if (rc < 0)
		return rc;
	kept = sift(r, holders, image_next_place(d->writer, r->part->store));
	return kept ? image_put_pages(d->writer, r->part->store, r->buffer, kept, e) : 0;
}

static int save_part(void *parts, unsigned int worker, size_t k, struct error *e)
{
	struct part *p = (struct part *)parts + k;
	auto_free struct reader *r = mem_realloc(NULL, sizeof(*r));
	auto_free char *buffer = mem_realloc(NULL, CHUNKS_READ);
	const struct dump_process *of = NULL;
	int rc = 0;

	(void)worker;
	r->part = p;
	r->buffer = buffer;
	r->memory.mem = -1;
	for (size_t i = 0; i < p->n && rc >= 0; i++) {
		r->chunk = &p->chunks[i];
		r->runs = &p->c->runs.v[r->chunk->first];
		if (of != r->chunk->process)
			rc = open_memory(r, e);
		of = r->chunk->process;
		if (rc >= 0)
			rc = save_chunk(r, e);
		rc = within(e, rc, "task %d", of->pid);
	}
	fd_cleanup(&r->memory.mem);
	return rc;
}

/* --- all of it --------------------------------------------------------------------------------- */

size_t chunks_parts(struct dump *d, uint64_t bytes, bool quiet)
{
	uint64_t n = bytes / (d->opt->pack.how ? PART_PACKED : PART_LEAST), most;
	unsigned int width;

	if (n < 2)
		return 1;
	if (quiet)
		dump_step_back(d);
	width = gather_width(d);
	most = width < 2 ? 1 : PARTS_EACH * width;
	most = most < IMAGE_STORES ? most : IMAGE_STORES;
	return n < most ? n : most;
}

static void cut(struct chunks *c, struct part *parts, size_t n)
{
	size_t i = 0;
	uint64_t done = 0;

	for (size_t k = 0; k < n; k++) {
		parts[k].c = c;
		parts[k].equal.of = c->d->equal;
		parts[k].store = (uint32_t)k;
		parts[k].chunks = c->list.v + i;
		for (; i < c->list.n && (k + 1 == n || done < c->bytes / n * (k + 1)); i++) {
			done += c->list.v[i].bytes;
			parts[k].n++;
		}
	}
}

static int save_parts(struct chunks *c, struct part *parts, size_t n, struct error *e)
{
	unsigned int width = n > 1 ? gather_width(c->d) : 1;
	struct work w = { .each = save_part, .arg = parts, .n = n, .grain = 1 };

	cut(c, parts, n);
	if (n > 1)
		fd_make_room(width);
	return work_over(&w, width, e);
}

static int by_start(const void *a, const void *b)
{
	const struct page_extent *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void add_extent(struct page_list *l, struct page_extent x)
{
	struct page_extent *last = l->list.n ? &l->list.v[l->list.n - 1] : NULL;

	if (last && is_continued(last, &x))
		last->length += x.length;
	else
		*vec_add(&l->list) = x;
}

/* What others have comes before what had to be read. */
static void sort_extents(struct page_list *l)
{
	struct page_extent *to = l->list.v;

	if (!l->list.n)
		return;
	qsort(l->list.v, l->list.n, sizeof(*l->list.v), by_start);
	for (size_t i = 1; i < l->list.n; i++) {
		if (is_continued(to, &l->list.v[i]))
			to->length += l->list.v[i].length;
		else
			*++to = l->list.v[i];
	}
	l->list.n = (size_t)(to - l->list.v) + 1;
}

/* Where the holder has them. What was not stored for it are zeros for everybody. */
static void place_held(struct chunks *c, const struct held_pages *h)
{
	const struct vma *v = &h->process->maps.list.v[h->mapping];
	uint64_t at = h->start, end = at + h->length;

	while (at < end) {
		struct same_piece piece =
			same_place(c->d->same, h->process, h->holder, at, end - at);

		if (piece.sort != PAGES_ZERO || pages_have_file(v))
			add_extent(&h->process->pages, (struct page_extent){ .start = at,
									     .length = piece.length,
									     .offset = piece.offset,
									     .store = piece.store,
									     .mapping = h->mapping,
									     .sort = piece.sort });
		at += piece.length;
	}
}

/* Parents come before their children, and holders before those that have their pages. */
static void place_all(struct chunks *c, const struct part *part)
{
	size_t i = 0, held = 0, found = 0;

	for (; c->first < c->d->n_paged; c->first++) {
		struct dump_process *p = c->d->processes.v[c->first];
		bool any = false;

		for (; i < c->list.n && c->list.v[i].process == p; i++) {
			for (; &c->list.v[i] >= part->chunks + part->n; part++)
				found = 0;
			for (size_t k = 0; k < c->list.v[i].n_found; k++)
				add_extent(&p->pages, part->found.v[found++]);
		}
		for (; held < c->held.n && c->held.v[held].process == p; held++, any = true)
			place_held(c, &c->held.v[held]);
		if (any)
			sort_extents(&p->pages);
	}
}

int chunks_settle(struct chunks *c, struct error *e)
{
	struct part parts[IMAGE_STORES] = { 0 };
	size_t n = c->asks ? 1 : chunks_parts(c->d, c->bytes, c->quiet);
	int rc = c->list.n ? save_parts(c, parts, n, e) : 0;

	timeline_read(c->d->opt->times, c->bytes);
	if (rc >= 0)
		place_all(c, parts);
	for (size_t k = 0; k < n; k++) {
		timeline_left_out(c->d->opt->times, parts[k].equal.bytes_left_out);
		vec_free(&parts[k].found);
	}
	c->runs.n = c->list.n = c->held.n = 0;
	c->bytes = 0;
	c->asks = false;
	return rc;
}
