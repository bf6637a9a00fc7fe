/* SPDX-License-Identifier: MIT */
/* Which pages carry information: a walk through the page tables of one process. */
#include "dump/pages.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "dump/same.h"
#include "proc/pagemap.h"

#define PAGE 4096u
#define MAX_HOLE (256u * PAGE) /* that is walked through; kernels before 6.7 tell of every page */

struct walker {
	struct dump *d;
	struct chunks *to;
	struct dump_process *process;
	uint32_t mapping; /* that the walk has come to */
	uint64_t limit;   /* up to here something can be read ahead */
	struct error *error;
};

/* Pages that differ from the file are the mapping's own. */
bool pages_have_file(const struct vma *v)
{
	enum mapping_sort sort = mapping_sort(v);

	return sort == MAPPING_FILE || sort == MAPPING_SHMEM;
}

static int add_pages(struct walker *w, uint64_t start, uint64_t end)
{
	uint64_t stop;
	int64_t rc = 0;

	for (; start < end && rc >= 0; start = stop) {
		stop = end;
		if (w->d->same)
			rc = same_holder(w->d->same, start, end, w->limit, &stop, w->error);
		if (rc == SAME_ALONE || rc == SAME_SHARED || rc == SAME_MAYBE)
			chunks_add(w->to, w->process,
				   (struct page_run){ start, stop - start, w->mapping,
						      (uint32_t)rc });
		else if (rc > 0)
			chunks_add_held(w->to, (struct held_pages){ w->process, start, stop - start,
								    w->mapping, (uint32_t)rc });
	}
	return rc < 0 ? (int)rc : 0;
}

/* Guards have no contents; they are put up again. */
static void add_guard(struct walker *w, uint64_t start, uint64_t end)
{
	*vec_add(&w->process->pages.guards) = (struct page_guard){ start, end - start };
}

/* A run can go on from one mapping into the next. */
static int found(void *arg, uint64_t start, uint64_t end, bool guard)
{
	struct walker *w = arg;
	const struct vma *v = w->process->maps.list.v;
	int rc = 0;

	while (start < end && rc >= 0) {
		uint64_t stop;

		while (v[w->mapping].end <= start)
			w->mapping++;
		stop = end < v[w->mapping].end ? end : v[w->mapping].end;
		if (guard)
			add_guard(w, start, stop);
		else
			rc = add_pages(w, start, stop);
		start = stop;
	}
	return rc;
}

/* What is looked for in a mapping; -1: nothing, it has neither pages of its own nor guards. */
static int what_of(const struct vma *v)
{
	enum mapping_sort sort = mapping_sort(v);

	if (sort != MAPPING_ANON && !pages_have_file(v))
		return -1;
	if (v->shared)
		return PAGEMAP_GUARDS;
	return pages_have_file(v) ? PAGEMAP_PRIVATE_FILE : PAGEMAP_PAGES;
}

/*
 * Without PAGEMAP_SCAN a hole has an entry for each of its pages: of a reservation of terabytes, which
 * has none, not one is read. Rss does not count pages of hugetlbfs.
 */
static bool is_void(const struct pagemap *p, const struct vma *v)
{
	return p->no_scan && !v->rss && !v->swap && !(v->flags & VMF(ht));
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
static uint64_t limit_at(const struct walker *w, size_t i)
{
	const struct vma *v = w->process->maps.list.v;
	uint64_t limit = v[i].end;

	while (++i < w->process->maps.list.n && v[i].start - limit <= MAX_HOLE)
		if (has_pages(&v[i]))
			limit = v[i].end;
	return limit;
}

/* Neighbours of one sort are walked by one call. */
static int walk_all(struct walker *w, struct pagemap *pagemap, struct error *e)
{
	const struct vma *v = w->process->maps.list.v;
	size_t n = w->process->maps.list.n, last;
	int rc = 0;

	for (size_t i = 0; i < n && rc >= 0; i = last + 1) {
		int what = what_of(&v[i]);

		last = i;
		if (what < 0 || is_void(pagemap, &v[i]))
			continue;
		while (last + 1 < n && is_neighbour(&v[last], &v[last + 1]) &&
		       !is_void(pagemap, &v[last + 1]))
			last++;
		w->mapping = (uint32_t)i;
		if (v[last].end > w->limit)
			w->limit = limit_at(w, last);
		rc = pagemap_walk(pagemap, v[i].start, v[last].end, (enum pagemap_what)what, found,
				  w, e);
	}
	return rc < 0 ? rc : 0;
}

static int found_huge(void *arg, uint64_t start, uint64_t end, bool guard)
{
	struct walker *w = arg;

	if (!guard)
		*vec_add(&w->process->pages.huge) = (struct page_guard){ start, end - start };
	return 0;
}

/* So that they can be huge again. */
static int find_huge(struct walker *w, struct pagemap *pagemap, struct error *e)
{
	int rc = 0;

	vec_each(v, &w->process->maps.list) {
		if (rc >= 0 && v->huge && mapping_sort(v) == MAPPING_ANON && !v->shared)
			rc = pagemap_walk(pagemap, v->start, v->end, PAGEMAP_HUGE, found_huge, w,
					  e);
	}
	return rc;
}

static size_t index_of(const struct dump *d, const struct dump_process *p)
{
	size_t i = 0;

	while (d->processes.v[i] != p)
		i++;
	return i;
}

int pages_find(struct dump *d, struct dump_process *p, struct chunks *to, struct error *e)
{
	auto_fd map = openat(p->dir, "pagemap", O_RDONLY | O_CLOEXEC);
	struct walker w = { .d = d, .to = to, .process = p, .error = e };
	struct pagemap pagemap = { .fd = map };
	int rc;

	if (map < 0)
		return fail(e, errno, "open pagemap");
	if (d->same)
		same_begin(d->same, index_of(d, p), map);
	rc = walk_all(&w, &pagemap, e);
	return rc < 0 ? rc : find_huge(&w, &pagemap, e);
}
