/* SPDX-License-Identifier: MIT */
/* pagemap: which pages have contents, by PAGEMAP_SCAN and by reading. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "proc/maps.h"
#include "proc/pagemap.h"
#include "tap.h"

struct runs {
	uint64_t base;
	struct buf text;
	int stop_after;
};

static int note_run(void *arg, uint64_t start, uint64_t end, bool guard)
{
	struct runs *r = arg;

	buf_printf(&r->text, "%s%d+%d ", guard ? "guard " : "", (int)((start - r->base) / 4096),
		   (int)((end - start) / 4096));
	return r->stop_after-- == 0 ? -ECANCELED : 0;
}

/* The runs of pages as text; "scan", the same without its word for guards, and "read" must agree. */
static void check_runs(void *p, size_t pages, enum pagemap_what what, const char *want)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t start = (uint64_t)(uintptr_t)p;

	for (int way = 0; way < 3; way++) {
		struct pagemap map = { .fd = fd, .no_guard = way == 1, .force_read = way == 2 };
		struct runs r = { .base = start, .stop_after = -1 };
		struct error e = { 0 };

		buf_grow(&r.text, 0);
		CU_ASSERT_EQUAL(pagemap_walk(&map, start, start + pages * 4096, what, note_run, &r,
					     &e),
				0);
		CU_ASSERT_STRING_EQUAL(r.text.p, want);
		buf_free(&r.text);
	}
}

static void pages_with_contents(void)
{
	char *p = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 64 * 4096, MADV_NOHUGEPAGE);
	check_runs(p, 64, PAGEMAP_PAGES, "");
	p[0] = p[5 * 4096] = p[6 * 4096] = p[63 * 4096] = 1;
	check_runs(p, 64, PAGEMAP_PAGES, "0+1 5+2 63+1 ");
	check_runs(p, 64, PAGEMAP_PRIVATE_FILE, "0+1 5+2 63+1 ");
	check_runs(p + 6 * 4096, 2, PAGEMAP_PAGES, "0+1 ");
	madvise(p + 5 * 4096, 4096, MADV_DONTNEED);
	check_runs(p, 64, PAGEMAP_PAGES, "0+1 6+1 63+1 ");
	munmap(p, 64 * 4096);
}

/* More runs than one call of the kernel reports, and one run over the border of a batch. */
static void more_runs_than_a_batch(void)
{
	char *p =
		mmap(NULL, 3000 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	auto_buf want = { 0 };

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 3000 * 4096, MADV_NOHUGEPAGE);
	for (int i = 0; i < 2000; i += 2) {
		p[i * 4096] = 1;
		buf_printf(&want, "%d+1 ", i);
	}
	memset(p + 2100 * 4096, 1, 900 * 4096);
	buf_printf(&want, "2100+900 ");
	check_runs(p, 3000, PAGEMAP_PAGES, want.p);
	munmap(p, 3000 * 4096);
}

static void pages_of_a_private_file(void)
{
	int fd = memfd_create("t-proc", MFD_CLOEXEC);
	volatile char *p;

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 8 * 4096), 0);
	CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 0), 1);
	p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CU_ASSERT_FATAL(p != MAP_FAILED);
	(void)p[0]; /* in memory, and the file's */
	p[3 * 4096] = 1;
	check_runs((void *)p, 8, PAGEMAP_PRIVATE_FILE, "3+1 ");
	munmap((void *)p, 8 * 4096);
	close(fd);
}

static void guards(void)
{
	char *p = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *s = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(p != MAP_FAILED && s != MAP_FAILED);
	madvise(p, 16 * 4096, MADV_NOHUGEPAGE);
	memset(p, 1, 6 * 4096);
	memset(s, 1, 6 * 4096);
	if (madvise(p + 4096, 2 * 4096, MADV_GUARD_INSTALL) < 0 ||
	    madvise(s + 4096, 2 * 4096, MADV_GUARD_INSTALL) < 0) {
		puts("# this kernel has no guard regions, or in private memory only");
		return;
	}
	CU_ASSERT_EQUAL(madvise(p + 9 * 4096, 4096, MADV_GUARD_INSTALL), 0);
	check_runs(p, 16, PAGEMAP_PAGES, "0+1 guard 1+2 3+3 guard 9+1 ");
	check_runs(p, 16, PAGEMAP_GUARDS, "guard 1+2 guard 9+1 ");
	check_runs(s, 16, PAGEMAP_GUARDS, "guard 1+2 ");
	munmap(p, 16 * 4096);
	munmap(s, 16 * 4096);
}

/* Bytes of the mapping that are in memory, without the zero page. */
static uint64_t resident(const volatile void *p)
{
	auto_fd proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct arena a = { 0 };
	struct maps m = { 0 };
	struct error e = { 0 };
	const struct vma *v;
	uint64_t rss;

	CU_ASSERT_EQUAL_FATAL(smaps_read(proc, &a, &m, &e), 0);
	v = maps_find(&m, (uint64_t)(uintptr_t)p);
	CU_ASSERT_FATAL(v != NULL);
	rss = v->rss;
	maps_free(&m);
	arena_free(&a);
	return rss;
}

/* A kernel may be told to have none (guests of some hypervisors): then a page that was only read is
 * like any other. */
static void the_zero_page_does_not_count(void)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *p =
		mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pagemap map = { .fd = fd };
	struct runs r = { .base = (uint64_t)(uintptr_t)p, .stop_after = -1 };
	struct error e = { 0 };
	bool is_zero_page;
	uint64_t before;

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise((void *)p, 4 * 4096, MADV_NOHUGEPAGE);
	before = resident(p);
	(void)p[0];
	is_zero_page = resident(p) == before;
	p[4096] = 1;
	CU_ASSERT_EQUAL(pagemap_walk(&map, r.base, r.base + 4 * 4096, PAGEMAP_PAGES, note_run, &r,
				     &e),
			0);
	CU_ASSERT_STRING_EQUAL(r.text.p, is_zero_page && !map.no_scan ? "1+1 " : "0+2 ");
	buf_free(&r.text);
	munmap((void *)p, 4 * 4096);
}

static void a_walk_is_stopped_by_found(void)
{
	auto_fd fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *p = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(p != MAP_FAILED);
	madvise(p, 8 * 4096, MADV_NOHUGEPAGE);
	p[0] = p[2 * 4096] = p[4 * 4096] = 1;
	for (int force = 0; force < 2; force++) {
		struct pagemap map = { .fd = fd, .force_read = force };
		struct runs r = { .base = (uint64_t)(uintptr_t)p, .stop_after = 1 };
		struct error e = { 0 };

		CU_ASSERT_EQUAL(pagemap_walk(&map, r.base, r.base + 8 * 4096, PAGEMAP_PAGES,
					     note_run, &r, &e),
				-ECANCELED);
		CU_ASSERT_STRING_EQUAL(r.text.p, "0+1 2+1 ");
		buf_free(&r.text);
	}
	munmap(p, 8 * 4096);
}

static void a_bad_pagemap_is_an_error(void)
{
	for (int force = 0; force < 2; force++) {
		struct pagemap map = { .fd = -1, .force_read = force };
		struct error e = { 0 };

		CU_ASSERT_EQUAL(pagemap_walk(&map, 4096, 8192, PAGEMAP_PAGES, note_run, NULL, &e),
				-EBADF);
		CU_ASSERT(e.text[0]);
	}
}

static CU_TestInfo pagemap_tests[] = {
	{ "pages with contents", pages_with_contents },
	{ "more runs than a batch", more_runs_than_a_batch },
	{ "pages of a private file mapping", pages_of_a_private_file },
	{ "guards", guards },
	{ "the zero page does not count", the_zero_page_does_not_count },
	{ "found stops the walk", a_walk_is_stopped_by_found },
	{ "a bad descriptor is an error", a_bad_pagemap_is_an_error },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "pagemap", NULL, NULL, NULL, NULL, pagemap_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
