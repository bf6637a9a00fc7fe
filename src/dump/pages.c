/* SPDX-License-Identifier: MIT */
/* Contents of memory: only pages that carry information, in large reads and large writes. */
#include "dump/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/ends.h"
#include "base/fd.h"
#include "dump/same.h"
#include "proc/pagemap.h"
#include "remote/memory.h"

#define PAGE 4096u
#define CHUNK (512u << 10)
#define MAX_RUNS 1024u         /* UIO_MAXIOV */
#define MAX_HOLE (256u * PAGE) /* that is walked through; kernels before 6.7 tell of every page */

struct reader {
	struct dump *d;
	struct page_list *out;
	const struct maps *maps;
	int pid, mem;
	char *buffer;
	struct iovec runs[MAX_RUNS];
	uint32_t mapping_of[MAX_RUNS];
	uint32_t others[MAX_RUNS]; /* SAME_ALONE, SAME_SHARED or SAME_MAYBE */
	size_t n_runs, bytes;      /* gathered, not read yet */
	uint32_t mapping;          /* that the walk has come to */
	uint64_t limit;            /* up to here something can be read ahead */
	struct error *error;
};

bool page_is_zero(const char *page)
{
	static const char zeros[64];

	return !memcmp(page, zeros, sizeof(zeros)) && !memcmp(page, page + 64, PAGE - 64);
}

/* Whether y goes on where x ends, and the same way. */
static bool is_continued(const struct page_extent *x, const struct page_extent *y)
{
	return x->mapping == y->mapping && x->start + x->length == y->start && x->sort == y->sort &&
	       (x->sort != PAGES_DATA || x->offset + x->length == y->offset);
}

static void add_extent(struct reader *r, struct page_extent x)
{
	struct page_extent *last = r->out->list.n ? &r->out->list.v[r->out->list.n - 1] : NULL;

	if (last && is_continued(last, &x))
		last->length += x.length;
	else
		*vec_add(&r->out->list) = x;
}

static int by_start(const void *a, const void *b)
{
	const struct page_extent *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
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

/* Pages that differ from the file are the mapping's own. */
static bool has_file(const struct vma *v)
{
	enum mapping_sort sort = mapping_sort(v);

	return sort == MAPPING_FILE || sort == MAPPING_SHMEM;
}

/* Gives whether the one page is stored for this holder already. */
static bool take_place(struct reader *r, uint64_t at, uint32_t mapping, uint32_t holder)
{
	struct same_piece piece = { .sort = PAGES_ZERO };

	if (holder)
		piece = same_place(r->d->same, holder, at, PAGE);
	if (piece.sort == PAGES_ZERO)
		return false;
	add_extent(r, (struct page_extent){ at, PAGE, piece.offset, mapping, piece.sort });
	return true;
}

/* Whose contents the pages have, where that is asked. */
static int compare(struct reader *r, uint32_t *holders, struct error *e)
{
	uint64_t at[SAME_MOST];
	bool any = false;
	size_t n = 0;

	_Static_assert(SAME_MOST == CHUNK / PAGE, "all that is read at once");
	for (size_t i = 0; i < r->n_runs; i++) {
		for (size_t k = 0; k < r->runs[i].iov_len; k += PAGE, n++) {
			holders[n] = 0;
			at[n] = 0;
			if (r->others[i] != SAME_MAYBE || page_is_zero(r->buffer + n * PAGE))
				continue;
			at[n] = (uint64_t)(uintptr_t)r->runs[i].iov_base + k;
			any = true;
		}
	}
	return any ? same_compare(r->d->same, at, r->buffer, n, holders, e) : 0;
}

/* Pages of zeros and those that others have are left out, what stays moves together. Gives how many bytes
 * stay. A new page of anonymous memory is zero anyway; one of a file has the file's contents. */
static size_t sift(struct reader *r, const uint32_t *holder)
{
	char *from = r->buffer, *to = r->buffer;

	for (size_t i = 0; i < r->n_runs; i++) {
		uint64_t at = (uint64_t)(uintptr_t)r->runs[i].iov_base;
		uint32_t mapping = r->mapping_of[i];
		bool is_file = has_file(&r->maps->list.v[mapping]);

		for (size_t k = 0; k < r->runs[i].iov_len; k += PAGE, from += PAGE, holder++) {
			struct page_extent x = { at + k, PAGE, 0, mapping, PAGES_ZERO };

			if (page_is_zero(from)) {
				if (is_file)
					add_extent(r, x);
				continue;
			}
			if (take_place(r, at + k, mapping, *holder))
				continue;
			if (to != from)
				memcpy(to, from, PAGE);
			x.sort = PAGES_DATA;
			x.offset = r->d->stored + (uint64_t)(to - r->buffer);
			add_extent(r, x);
			to += PAGE;
		}
	}
	return (size_t)(to - r->buffer);
}

/* The runs from the first on that lie one behind the other. */
static struct iovec join(const struct reader *r, size_t first, size_t *end, bool *is_shared)
{
	struct iovec all = { r->runs[first].iov_base, 0 };

	*is_shared = false;
	for (*end = first; *end < r->n_runs; ++*end) {
		if ((char *)all.iov_base + all.iov_len != r->runs[*end].iov_base)
			break;
		all.iov_len += r->runs[*end].iov_len;
		*is_shared = *is_shared || r->others[*end] != SAME_ALONE;
	}
	return all;
}

/* What is shared, and what hangs together with it, by itself; the rest by as few calls as possible. */
static int read_runs(struct reader *r, struct error *e)
{
	char *to = r->buffer, *from = to;
	size_t first = 0, end;
	int64_t rc = 0;

	for (size_t i = 0; i < r->n_runs && rc >= 0; i = end) {
		bool is_shared;
		struct iovec all = join(r, i, &end, &is_shared);

		if (is_shared && first < i)
			rc = memory_read_runs(r->pid, r->mem, r->runs + first, i - first, from, e);
		if (is_shared && rc >= 0)
			rc = memory_read_shared(r->mem, &all, to, e);
		to += all.iov_len;
		if (is_shared) {
			first = end;
			from = to;
		}
	}
	if (rc >= 0 && first < r->n_runs)
		rc = memory_read_runs(r->pid, r->mem, r->runs + first, r->n_runs - first, from, e);
	return rc < 0 ? (int)rc : 0;
}

static int flush(struct reader *r, struct error *e)
{
	uint32_t holders[SAME_MOST];
	uint64_t offset;
	size_t kept;
	int64_t rc;

	if (!r->n_runs)
		return 0;
	if (deadline_is_over(r->d->deadline))
		return fail(e, ETIMEDOUT, "save the memory of process %d", r->pid);
	rc = ends_check(e, DUMP_ENDED);
	if (rc < 0)
		return (int)rc;
	rc = read_runs(r, e);
	if (rc < 0)
		return (int)rc;
	rc = compare(r, holders, e);
	if (rc < 0)
		return (int)rc;
	kept = sift(r, holders);
	r->n_runs = r->bytes = 0;
	if (!kept)
		return 0;
	rc = image_put_pages(r->d->writer, 0, r->buffer, kept, &offset, e);
	if (rc >= 0 && offset != r->d->stored)
		return fail(e, 0, "the page store has grown by itself");
	r->d->stored += kept;
	return (int)rc;
}

static int add_run(struct reader *r, uint64_t start, uint64_t end, uint32_t others)
{
	while (start < end) {
		size_t n = end - start < CHUNK - r->bytes ? end - start : CHUNK - r->bytes;

		r->mapping_of[r->n_runs] = r->mapping;
		r->others[r->n_runs] = others;
		r->runs[r->n_runs++] = (struct iovec){ (void *)(uintptr_t)start, n };
		r->bytes += n;
		start += n;
		if (r->bytes == CHUNK || r->n_runs == MAX_RUNS) {
			int rc = flush(r, r->error);

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

/* Pages that a holder has as well are where its are, unless those were not stored. */
static int add_held(struct reader *r, uint32_t holder, uint64_t start, uint64_t end)
{
	int rc = 0;

	while (start < end && rc >= 0) {
		struct same_piece piece = same_place(r->d->same, holder, start, end - start);

		if (piece.sort == PAGES_ZERO)
			rc = add_run(r, start, start + piece.length, SAME_SHARED);
		else
			add_extent(r, (struct page_extent){ start, piece.length, piece.offset,
							    r->mapping, piece.sort });
		start += piece.length;
	}
	return rc;
}

static int add_pages(struct reader *r, uint64_t start, uint64_t end)
{
	uint64_t stop;
	int64_t rc = 0;

	if (!r->d->same)
		return add_run(r, start, end, SAME_ALONE);
	for (; start < end && rc >= 0; start = stop) {
		stop = end;
		rc = same_holder(r->d->same, start, end, r->limit, &stop, r->error);
		if (rc == SAME_ALONE || rc == SAME_SHARED || rc == SAME_MAYBE)
			rc = add_run(r, start, stop, (uint32_t)rc);
		else if (rc > 0)
			rc = add_held(r, (uint32_t)rc, start, stop);
	}
	return (int)rc;
}

/* Guards have no contents; they are put up again. */
static void add_guard(struct reader *r, uint64_t start, uint64_t end)
{
	*vec_add(&r->out->guards) = (struct page_guard){ start, end - start };
}

/* A run can go on from one mapping into the next. */
static int found(void *arg, uint64_t start, uint64_t end, bool guard)
{
	struct reader *r = arg;
	const struct vma *v = r->maps->list.v;
	int rc = 0;

	while (start < end && rc >= 0) {
		uint64_t stop;

		while (v[r->mapping].end <= start)
			r->mapping++;
		stop = end < v[r->mapping].end ? end : v[r->mapping].end;
		if (guard)
			add_guard(r, start, stop);
		else
			rc = add_pages(r, start, stop);
		start = stop;
	}
	return rc;
}

/* What is looked for in a mapping; -1: nothing, it has neither pages of its own nor guards. */
static int what_of(const struct vma *v)
{
	enum mapping_sort sort = mapping_sort(v);

	if (sort != MAPPING_ANON && !has_file(v))
		return -1;
	if (v->shared)
		return PAGEMAP_GUARDS;
	return has_file(v) ? PAGEMAP_PRIVATE_FILE : PAGEMAP_PAGES;
}

/*
 * Without PAGEMAP_SCAN a hole has an entry for each of its pages: of a reservation of terabytes, which
 * has none, not one is read.
 */
static bool is_void(const struct pagemap *p, const struct vma *v)
{
	return p->no_scan && !v->rss && !v->swap;
}

static bool is_neighbour(const struct vma *a, const struct vma *b)
{
	return what_of(a) == what_of(b) && mapping_sort(a) == mapping_sort(b) &&
	       b->start - a->end <= MAX_HOLE;
}

static bool has_pages(const struct vma *v)
{
	int what = what_of(v);

	return what == PAGEMAP_PAGES || what == PAGEMAP_PRIVATE_FILE;
}

/* The end of the last mapping with pages that follows so closely that both are read at once. */
static uint64_t limit_at(const struct reader *r, size_t i)
{
	const struct vma *v = r->maps->list.v;
	uint64_t limit = v[i].end;

	while (++i < r->maps->list.n && v[i].start - limit <= MAX_HOLE)
		if (has_pages(&v[i]))
			limit = v[i].end;
	return limit;
}

/* Neighbours of one sort are walked by one call. */
static int walk_all(struct reader *r, struct pagemap *pagemap, struct error *e)
{
	const struct vma *v = r->maps->list.v;
	size_t n = r->maps->list.n, last;
	int rc = 0;

	for (size_t i = 0; i < n && rc >= 0; i = last + 1) {
		int what = what_of(&v[i]);

		last = i;
		if (what < 0 || is_void(pagemap, &v[i]))
			continue;
		while (last + 1 < n && is_neighbour(&v[last], &v[last + 1]) &&
		       !is_void(pagemap, &v[last + 1]))
			last++;
		r->mapping = (uint32_t)i;
		if (v[last].end > r->limit)
			r->limit = limit_at(r, last);
		rc = pagemap_walk(pagemap, v[i].start, v[last].end, (enum pagemap_what)what, found,
				  r, e);
	}
	return rc < 0 ? rc : flush(r, e);
}

static int open_in(const struct dump_process *p, const char *name, struct error *e)
{
	int fd = openat(p->dir, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail(e, errno, "open %s", name) : fd;
}

/* All is set but the buffer. */
static void begin(struct reader *r, struct dump *d, struct dump_process *p, struct error *e)
{
	r->d = d;
	r->out = &p->pages;
	r->maps = &p->maps;
	r->pid = speaker_id(p);
	r->error = e;
	r->n_runs = r->bytes = 0;
	r->limit = 0;
}

static size_t index_of(const struct dump *d, const struct dump_process *p)
{
	size_t i = 0;

	while (d->processes.v[i] != p)
		i++;
	return i;
}

int pages_save(struct dump *d, struct dump_process *p, struct error *e)
{
	auto_free struct reader *r = mem_realloc(NULL, sizeof(*r));
	auto_free char *buffer = mem_realloc(NULL, CHUNK);
	auto_fd map = open_in(p, "pagemap", e);
	auto_fd mem = map < 0 ? -1 : open_in(p, "mem", e);
	struct pagemap pagemap = { .fd = map };
	int rc;

	if (map < 0 || mem < 0)
		return map < 0 ? map : mem;
	begin(r, d, p, e);
	r->mem = mem;
	r->buffer = buffer;
	if (d->same)
		same_begin(d->same, index_of(d, p), map);
	rc = walk_all(r, &pagemap, e);
	if (rc >= 0 && d->same)
		sort_extents(&p->pages);
	return rc;
}
