/* SPDX-License-Identifier: MIT */
/* Contents of memory: only pages that carry information, in large reads and large writes. */
#include "dump/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/ends.h"
#include "base/fd.h"
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
	size_t n_runs, bytes; /* gathered, not read yet */
	uint32_t mapping;     /* that the walk has come to */
	struct error *error;
};

bool page_is_zero(const char *page)
{
	static const char zeros[64];

	return !memcmp(page, zeros, sizeof(zeros)) && !memcmp(page, page + 64, PAGE - 64);
}

static void add_extent(struct reader *r, uint64_t start, uint32_t mapping, bool is_data,
		       uint64_t offset)
{
	struct page_extent *last = r->out->list.n ? &r->out->list.v[r->out->list.n - 1] : NULL;

	if (last && last->mapping == mapping && last->start + last->length == start &&
	    last->is_data == is_data && (!is_data || last->offset + last->length == offset)) {
		last->length += PAGE;
		return;
	}
	*vec_add(&r->out->list) = (struct page_extent){
		.start = start,
		.length = PAGE,
		.offset = offset,
		.mapping = mapping,
		.is_data = is_data,
	};
}

/* Pages that differ from the file are the mapping's own. */
static bool has_file(const struct vma *v)
{
	enum mapping_sort sort = mapping_sort(v);

	return sort == MAPPING_FILE || sort == MAPPING_SHMEM;
}

/* Pages of zeros are left out, what stays moves together. Gives how many bytes stay. A new page of
 * anonymous memory is zero anyway; one of a file has the file's contents. */
static size_t sift(struct reader *r)
{
	char *from = r->buffer, *to = r->buffer;

	for (size_t i = 0; i < r->n_runs; i++) {
		uint64_t at = (uint64_t)(uintptr_t)r->runs[i].iov_base;
		uint32_t mapping = r->mapping_of[i];
		bool is_file = has_file(&r->maps->list.v[mapping]);

		for (size_t k = 0; k < r->runs[i].iov_len; k += PAGE, from += PAGE) {
			if (!page_is_zero(from)) {
				if (to != from)
					memcpy(to, from, PAGE);
				add_extent(r, at + k, mapping, true,
					   r->d->stored + (uint64_t)(to - r->buffer));
				to += PAGE;
			} else if (is_file) {
				add_extent(r, at + k, mapping, false, 0);
			}
		}
	}
	return (size_t)(to - r->buffer);
}

static int flush(struct reader *r, struct error *e)
{
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
	rc = memory_read_runs(r->pid, r->mem, r->runs, r->n_runs, r->buffer, e);
	if (rc < 0)
		return (int)rc;
	kept = sift(r);
	r->n_runs = r->bytes = 0;
	if (!kept)
		return 0;
	rc = image_put_pages(r->d->writer, 0, r->buffer, kept, &offset, e);
	if (rc >= 0 && offset != r->d->stored)
		return fail(e, 0, "the page store has grown by itself");
	r->d->stored += kept;
	return (int)rc;
}

static int add_run(struct reader *r, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t n = end - start < CHUNK - r->bytes ? end - start : CHUNK - r->bytes;

		r->mapping_of[r->n_runs] = r->mapping;
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

/* A run can go on from one mapping into the next. */
static int found(void *arg, uint64_t start, uint64_t end)
{
	struct reader *r = arg;
	const struct vma *v = r->maps->list.v;
	int rc = 0;

	while (start < end && rc >= 0) {
		uint64_t stop;

		while (v[r->mapping].end <= start)
			r->mapping++;
		stop = end < v[r->mapping].end ? end : v[r->mapping].end;
		rc = add_run(r, start, stop);
		start = stop;
	}
	return rc;
}

static bool has_pages(const struct vma *v)
{
	return !v->shared && (mapping_sort(v) == MAPPING_ANON || has_file(v));
}

static bool is_neighbour(const struct vma *a, const struct vma *b)
{
	return has_pages(b) && mapping_sort(a) == mapping_sort(b) && b->start - a->end <= MAX_HOLE;
}

/* Neighbours of one sort are walked by one call. */
static int walk_all(struct reader *r, struct pagemap *pagemap, struct error *e)
{
	const struct vma *v = r->maps->list.v;
	size_t n = r->maps->list.n, last;
	int rc = 0;

	for (size_t i = 0; i < n && rc >= 0; i = last + 1) {
		last = i;
		if (!has_pages(&v[i]))
			continue;
		while (last + 1 < n && is_neighbour(&v[last], &v[last + 1]))
			last++;
		r->mapping = (uint32_t)i;
		rc = pagemap_walk(pagemap, v[i].start, v[last].end, has_file(&v[i]), found, r, e);
	}
	return rc < 0 ? rc : flush(r, e);
}

static int open_in(const struct dump_process *p, const char *name, struct error *e)
{
	int fd = openat(p->dir, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail(e, errno, "open %s", name) : fd;
}

int pages_save(struct dump *d, struct dump_process *p, struct page_list *out, struct error *e)
{
	auto_free struct reader *r = mem_realloc(NULL, sizeof(*r));
	auto_free char *buffer = mem_realloc(NULL, CHUNK);
	auto_fd map = open_in(p, "pagemap", e);
	auto_fd mem = map < 0 ? -1 : open_in(p, "mem", e);
	struct pagemap pagemap = { .fd = map };

	if (map < 0 || mem < 0)
		return map < 0 ? map : mem;
	r->d = d;
	r->out = out;
	r->maps = &p->maps;
	r->pid = speaker_id(p);
	r->mem = mem;
	r->buffer = buffer;
	r->error = e;
	r->n_runs = r->bytes = 0;
	return walk_all(r, &pagemap, e);
}
