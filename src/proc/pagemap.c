/* SPDX-License-Identifier: MIT */
#include "proc/pagemap.h"

#include <errno.h>
#include <unistd.h>

#include "base/compat.h"

#define SCAN_REGIONS 256 /* at most 512, see pagemap.h */
#define READ_ENTRIES 4096

struct walk {
	uint64_t start, end; /* the run that may still grow; start == end: none */
	bool guard;          /* of guards */
	enum pagemap_what what;
	pagemap_found *found;
	void *arg;
};

static int flush(struct walk *w)
{
	int rc = w->start < w->end ? w->found(w->arg, w->start, w->end, w->guard) : 0;

	w->start = w->end = 0;
	return rc;
}

static int add(struct walk *w, uint64_t start, uint64_t end, bool guard)
{
	int rc = 0;

	if (w->end != start || w->start == w->end || w->guard != guard) {
		rc = flush(w);
		w->start = start;
		w->guard = guard;
	}
	w->end = end;
	return rc;
}

/* Guards count as swapped; which of those they are is told only if the kernel knows the word. */
static void set_categories(struct pagemap_scan *arg, enum pagemap_what what, bool no_guard)
{
	uint64_t guard = no_guard ? PAGE_IS_SWAPPED : PAGE_IS_GUARD;

	arg->category_mask = arg->category_inverted = what == PAGEMAP_GUARDS ? 0
						      : what == PAGEMAP_PRIVATE_FILE
							      ? PAGE_IS_PFNZERO | PAGE_IS_FILE
							      : PAGE_IS_PFNZERO;
	if (what == PAGEMAP_HUGE)
		arg->category_mask |= PAGE_IS_HUGE;
	arg->category_anyof_mask =
		what == PAGEMAP_GUARDS ? guard : PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
	arg->return_mask = guard;
}

/* One call that finds out on the way what the kernel knows. */
static long scan(struct pagemap *p, struct pagemap_scan *arg, enum pagemap_what what)
{
	long n;

	if (!p->no_guard) {
		set_categories(arg, what, false);
		n = sys_pagemap_scan(p->fd, arg);
		if (n != -EINVAL)
			return n;
	}
	set_categories(arg, what, true);
	n = sys_pagemap_scan(p->fd, arg);
	if (n >= 0)
		p->no_guard = true;
	return n;
}

static bool is_missing(long rc)
{
	return rc == -ENOTTY || rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS;
}

static int add_entries(struct pagemap *p, uint64_t start, uint64_t end, struct walk *w,
		       struct error *e);

/* Where the ioctl does not tell guards from what is swapped, the entries do (6.15). */
static int add_region(struct pagemap *p, const struct pagemap_region *x, struct walk *w,
		      struct error *e)
{
	if (p->no_guard && x->categories)
		return add_entries(p, x->start, x->end, w, e);
	return add(w, x->start, x->end, x->categories);
}

static int walk_by_scan(struct pagemap *p, uint64_t start, uint64_t end, struct walk *w,
			struct error *e)
{
	struct pagemap_region regions[SCAN_REGIONS];
	struct pagemap_scan arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = SCAN_REGIONS,
	};
	int rc;

	while (arg.start < end) {
		long n = scan(p, &arg, w->what);

		if (arg.start == start && is_missing(n))
			return -ENOTTY;
		if (n < 0)
			return fail(e, (int)-n, "scan pages from %#llx on",
				    (unsigned long long)arg.start);
		for (long i = 0; i < n; i++) {
			rc = add_region(p, &regions[i], w, e);
			if (rc < 0)
				return rc;
		}
		if (arg.walk_end <= arg.start)
			return fail(e, 0, "scan pages: no progress at %#llx",
				    (unsigned long long)arg.start);
		arg.start = arg.walk_end;
	}
	return flush(w);
}

static bool is_wanted(uint64_t entry, enum pagemap_what what)
{
	if (entry & PM_GUARD)
		return true;
	if (!(entry & (PM_PRESENT | PM_SWAP)) || what == PAGEMAP_GUARDS)
		return false;
	return what != PAGEMAP_PRIVATE_FILE || !(entry & PM_FILE);
}

int pagemap_read(const struct pagemap *p, uint64_t start, size_t n, uint64_t *entries,
		 struct error *e)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (;;) {
		ssize_t got = pread(p->fd, entries, n * 8, (off_t)(start / page * 8));

		if (got >= 0)
			return (int)(got / 8);
		if (errno != EINTR)
			return fail(e, errno, "read pagemap at %#llx", (unsigned long long)start);
	}
}

static int add_entries(struct pagemap *p, uint64_t start, uint64_t end, struct walk *w,
		       struct error *e)
{
	uint64_t entries[READ_ENTRIES], page = (uint64_t)sysconf(_SC_PAGESIZE);

	while (start < end) {
		uint64_t left = (end - start) / page;
		size_t n = left < READ_ENTRIES ? (size_t)left : READ_ENTRIES;
		int got = pagemap_read(p, start, n, entries, e);

		if (got < 0)
			return got;
		if (!got) /* behind the end of what a task can have */
			break;
		for (n = 0; n < (size_t)got; n++, start += page) {
			int rc = is_wanted(entries[n], w->what)
					 ? add(w, start, start + page, entries[n] & PM_GUARD)
					 : 0;

			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

int pagemap_walk(struct pagemap *p, uint64_t start, uint64_t end, enum pagemap_what what,
		 pagemap_found *found, void *arg, struct error *e)
{
	struct walk w = { .what = what, .found = found, .arg = arg };
	int rc;

	if (!p->no_scan && !p->force_read) {
		rc = walk_by_scan(p, start, end, &w, e);
		if (rc != -ENOTTY)
			return rc;
		p->no_scan = true;
	}
	/* Kernels without the ioctl have no guards either, and the entries do not tell huge pages. */
	if (what == PAGEMAP_HUGE || (what == PAGEMAP_GUARDS && !p->force_read))
		return 0;
	rc = add_entries(p, start, end, &w, e);
	return rc < 0 ? rc : flush(&w);
}
