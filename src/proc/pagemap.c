/* SPDX-License-Identifier: MIT */
#include "proc/pagemap.h"

#include <errno.h>
#include <unistd.h>

#include "base/compat.h"

#define SCAN_REGIONS 256 /* at most 512, see pagemap.h */
#define READ_ENTRIES 4096

struct walk {
	uint64_t start, end; /* the run that may still grow; start == end: none */
	int (*found)(void *arg, uint64_t start, uint64_t end);
	void *arg;
};

static int flush(struct walk *w)
{
	int rc = w->start < w->end ? w->found(w->arg, w->start, w->end) : 0;

	w->start = w->end = 0;
	return rc;
}

static int add(struct walk *w, uint64_t start, uint64_t end)
{
	int rc = 0;

	if (w->end != start || w->start == w->end) {
		rc = flush(w);
		w->start = start;
	}
	w->end = end;
	return rc;
}

/* One call that finds out on the way what the kernel knows. */
static long scan(struct pagemap *p, struct pagemap_scan *arg, uint64_t unwanted)
{
	long n;

	if (!p->no_guard) {
		arg->category_inverted = arg->category_mask = unwanted | PAGE_IS_GUARD;
		n = sys_pagemap_scan(p->fd, arg);
		if (n != -EINVAL)
			return n;
	}
	arg->category_inverted = arg->category_mask = unwanted;
	n = sys_pagemap_scan(p->fd, arg);
	if (n >= 0)
		p->no_guard = true;
	return n;
}

static bool is_missing(long rc)
{
	return rc == -ENOTTY || rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS;
}

static int walk_by_scan(struct pagemap *p, uint64_t start, uint64_t end, bool private_file,
			struct walk *w, struct error *e)
{
	struct pagemap_region regions[SCAN_REGIONS];
	struct pagemap_scan arg = {
		.size = sizeof(arg),
		.start = start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = SCAN_REGIONS,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
	};
	int rc;

	while (arg.start < end) {
		long n = scan(p, &arg, PAGE_IS_PFNZERO | (private_file ? PAGE_IS_FILE : 0));

		if (arg.start == start && is_missing(n))
			return -ENOTTY;
		if (n < 0)
			return fail(e, (int)-n, "scan pages from %#llx on",
				    (unsigned long long)arg.start);
		for (long i = 0; i < n; i++) {
			rc = add(w, regions[i].start, regions[i].end);
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

static bool is_wanted(uint64_t entry, bool private_file)
{
	if (!(entry & (PM_PRESENT | PM_SWAP)) || entry & PM_GUARD)
		return false;
	return !private_file || !(entry & PM_FILE);
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

static int walk_by_read(struct pagemap *p, uint64_t start, uint64_t end, bool private_file,
			struct walk *w, struct error *e)
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
			int rc = is_wanted(entries[n], private_file) ? add(w, start, start + page)
								     : 0;

			if (rc < 0)
				return rc;
		}
	}
	return flush(w);
}

int pagemap_walk(struct pagemap *p, uint64_t start, uint64_t end, bool private_file,
		 int (*found)(void *arg, uint64_t start, uint64_t end), void *arg, struct error *e)
{
	struct walk w = { .found = found, .arg = arg };
	int rc;

	if (!p->no_scan && !p->force_read) {
		rc = walk_by_scan(p, start, end, private_file, &w, e);
		if (rc != -ENOTTY)
			return rc;
		p->no_scan = true;
	}
	return walk_by_read(p, start, end, private_file, &w, e);
}
