/* SPDX-License-Identifier: MIT */
/* Who has which pages from whom: lists of runs, held against pages one by one, and small families. */
#include <stdlib.h>

#include "plan-room.h"
#include "restore/runs.h"

#define PAGES 40u
#define PAGE 4096ull

/* --- lists of runs ----------------------------------------------------------------------------- */

/* Place + 1 of each page; 0: none, ZERO: of zeros. */
#define ZERO 1000
typedef int pages[PAGES];

static void from_pages(const int *v, struct runs *r)
{
	for (size_t i = 0; i < PAGES; i++)
		if (v[i])
			runs_add(r, (struct run){
					    .start = i * PAGE,
					    .end = (i + 1) * PAGE,
					    .place = v[i] == ZERO ? 0 : (uint64_t)(v[i] - 1) * PAGE,
					    .store = v[i] == ZERO ? RUN_ZERO : 0 });
}

static void to_pages(const struct runs *r, int *v)
{
	uint64_t after = 0;

	memset(v, 0, sizeof(pages));
	vec_each(x, &r->list) {
		CU_ASSERT(x->start < x->end && x->start >= after);
		after = x->end;
		for (uint64_t at = x->start; at < x->end; at += PAGE)
			v[at / PAGE] = x->store == RUN_ZERO
					       ? ZERO
					       : (int)((x->place + at - x->start) / PAGE) + 1;
	}
}

static void make_pages(int *v)
{
	for (unsigned int i = 0; i < PAGES; i++) {
		int how = rand() % 8;

		v[i] = how < 2 ? 0 : how < 6 ? (int)i + 1 : how < 7 ? rand() % 9 + 60 : ZERO;
		if (i && rand() % 2)
			v[i] = v[i - 1] && v[i - 1] != ZERO ? v[i - 1] + 1 : v[i - 1];
	}
}

static void check_surplus(const struct runs *a, const struct runs *b, const int *x, const int *y)
{
	struct spans out = { 0 };
	pages in = { 0 };

	runs_surplus(a, b, 3 * PAGE, 30 * PAGE, &out);
	vec_each(s, &out.list)
		for (uint64_t at = s->start; at < s->end; at += PAGE)
			in[at / PAGE] = 1;
	for (unsigned int i = 0; i < PAGES; i++) {
		bool must = i >= 3 && i < 30 && x[i] && !y[i];

		CU_ASSERT(!must || in[i]);
		CU_ASSERT(!in[i] || !y[i]);
		CU_ASSERT(!in[i] || (i >= 3 && i < 30));
	}
	vec_free(&out.list);
}

static void check_common(const int *x, const int *y, const int *z)
{
	const int *each[3] = { x, y, z };
	struct runs all = { 0 }, common = { 0 }, own = { 0 }, mine = { 0 };

	for (uint32_t i = 0; i < 3; i++) {
		struct runs one = { 0 };

		from_pages(each[i], &one);
		vec_each(r, &one.list) {
			struct run with = *r;

			with.low = i;
			if (r->store != RUN_ZERO)
				*vec_add(&all.list) = with;
		}
		runs_free(&one);
	}
	runs_common(&all, &common);
	from_pages(x, &own);
	runs_pick(&own, &common, &mine);
	for (size_t i = 0; i < PAGES; i++) {
		size_t at = runs_at(&mine, i * PAGE);
		bool found = at < mine.list.n && mine.list.v[at].start <= i * PAGE;
		bool with_y = x[i] == y[i], with_z = x[i] == z[i];
		bool is = x[i] && x[i] != ZERO && (with_y || with_z);

		CU_ASSERT_EQUAL(found, is);
		if (found && is) {
			CU_ASSERT_EQUAL(mine.list.v[at].low, 0);
			CU_ASSERT_EQUAL(mine.list.v[at].high, with_z ? 2u : 1u);
		}
	}
	runs_free(&all);
	runs_free(&common);
	runs_free(&own);
	runs_free(&mine);
}

static void runs_are_pages(void)
{
	srand(1);
	for (int turn = 0; turn < 3000; turn++) {
		struct runs a = { 0 }, b = { 0 }, c = { 0 }, missing = { 0 };
		pages x, y, z, got;

		make_pages(x);
		make_pages(y);
		make_pages(z);
		from_pages(x, &a);
		from_pages(y, &b);
		from_pages(x, &c);
		runs_missing(&a, &b, &missing);
		to_pages(&missing, got);
		for (size_t i = 0; i < PAGES; i++)
			CU_ASSERT_EQUAL(got[i], x[i] == y[i] && x[i] != ZERO ? 0 : x[i]);
		check_surplus(&a, &b, x, y);
		check_common(x, y, z);
		runs_overlay(&a, &b);
		to_pages(&a, got);
		for (size_t i = 0; i < PAGES; i++)
			CU_ASSERT_EQUAL(got[i], y[i] ? y[i] : x[i]);
		runs_underlay(&c, &b);
		to_pages(&c, got);
		for (size_t i = 0; i < PAGES; i++)
			CU_ASSERT_EQUAL(got[i], x[i] ? x[i] : y[i]);
		CU_ASSERT_EQUAL(runs_cover(&a, 2 * PAGE, 4 * PAGE),
				(x[2] || y[2]) && (x[3] || y[3]));
		runs_free(&a);
		runs_free(&b);
		runs_free(&c);
		runs_free(&missing);
	}
}

/* --- families ---------------------------------------------------------------------------------- */

#define HEAP 0x500000ull /* 16 pages, of which 0, 1 and 5 have contents */

static Mm *mm_of(struct restore *r, uint32_t pid)
{
	return (Mm *)(uintptr_t)restore_record(r, "MMSP", pid);
}

static Mapping *heap_of(struct restore *r, uint32_t pid)
{
	return mm_of(r, pid)->mappings[2];
}

/* 100 has the children 110 and 120, 110 the child 130; all have the same pages. */
static void make_family(struct restore *r)
{
	make(r, true);
	put_process(r, 120, 100, 1);
	put_process(r, 130, 110, 1);
	put_index(r);
}

static struct sharing *of(struct restore *r, uint32_t pid)
{
	return tree_process(r, pid)->sharing;
}

static void decide(struct restore *r)
{
	struct error e = { 0 };
	int rc = tree_build(r, &e);

	if (rc == 0)
		rc = planner_run(r, &e);
	if (rc < 0)
		printf("# %s\n", e.text);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
}

static bool has_run(const struct runs *r, uint64_t start, uint64_t n, uint64_t place)
{
	bool found = false;

	vec_each(x, &r->list)
		found = found ||
			(x->start == start && x->end == start + n * PAGE && x->place == place);
	return found;
}

static void all_have_the_same(void)
{
	struct restore r;

	make_family(&r);
	decide(&r);
	CU_ASSERT(of(&r, 110)->is_heir && of(&r, 120)->is_heir && of(&r, 130)->is_heir);
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP, 2, 0x1000));
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP + 5 * PAGE, 1, 0x3000));
	CU_ASSERT_EQUAL(of(&r, 120)->before.list.n, 0);
	CU_ASSERT_EQUAL(of(&r, 130)->before.list.n, 0);
	/* What lies where cr does is everybody's own business. */
	CU_ASSERT_EQUAL(of(&r, 120)->fill.list.n, 1);
	CU_ASSERT_EQUAL(of(&r, 100)->fill.list.n, 1);
	CU_ASSERT_EQUAL(of(&r, 120)->drop.list.n, 0);
	unmake(&r);
}

/* The image names the parent in place of a store. */
static void references_are_followed(void)
{
	struct restore r;

	make_family(&r);
	for (uint32_t pid = 110; pid <= 130; pid += 10) {
		Mm *mm = mm_of(&r, pid);

		for (size_t i = 0; i < mm->n_extents; i++) {
			mm->extents[i]->sort = EXTENT__SORT__SAME;
			mm->extents[i]->mm = pid == 130 ? 110 : 100;
			mm->extents[i]->offset = 0;
		}
	}
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 130)->own, HEAP, 2, 0x1000));
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP, 2, 0x1000));
	CU_ASSERT_EQUAL(of(&r, 130)->before.list.n, 0);
	unmake(&r);
}

/* The parent has written since, the children have not: theirs first, then its own. */
static void parent_has_newer(void)
{
	struct restore r;

	make_family(&r);
	mm_of(&r, 100)->extents[1]->offset = 0x20000;
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP, 2, 0x1000));
	CU_ASSERT_EQUAL(of(&r, 120)->before.list.n, 0);
	CU_ASSERT(has_run(&of(&r, 100)->fill, HEAP, 2, 0x20000));
	unmake(&r);
}

/* It has written between the forks: each child gets what there was. */
static void children_of_two_days(void)
{
	struct restore r;

	make_family(&r);
	put_process(&r, 140, 100, 1);
	put_index(&r);
	mm_of(&r, 100)->extents[1]->offset = 0x20000;
	mm_of(&r, 140)->extents[1]->offset = 0x20000;
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP, 2, 0x1000));
	CU_ASSERT_EQUAL(of(&r, 120)->before.list.n, 0);
	CU_ASSERT(has_run(&of(&r, 140)->before, HEAP, 2, 0x20000));
	CU_ASSERT(!has_run(&of(&r, 100)->fill, HEAP, 2, 0x20000));
	unmake(&r);
}

/* A child has written, and its child has what it had before, like all the others. */
static void grandchild_has_older(void)
{
	struct restore r;

	make_family(&r);
	mm_of(&r, 110)->extents[1]->offset = 0x20000;
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP, 2, 0x1000));
	CU_ASSERT_EQUAL(of(&r, 130)->before.list.n, 0);
	CU_ASSERT(has_run(&of(&r, 110)->fill, HEAP, 2, 0x20000));
	unmake(&r);
}

/* What only a child and the grandchild have never was the parent's. */
static void grandchild_has_newer(void)
{
	struct restore r;

	make_family(&r);
	mm_of(&r, 110)->extents[1]->offset = 0x20000;
	mm_of(&r, 130)->extents[1]->offset = 0x20000;
	decide(&r);
	CU_ASSERT(!has_run(&of(&r, 110)->before, HEAP, 2, 0x20000));
	CU_ASSERT(has_run(&of(&r, 120)->before, HEAP, 2, 0x1000));
	CU_ASSERT(has_run(&of(&r, 130)->before, HEAP, 2, 0x20000));
	unmake(&r);
}

static void child_lacks_pages(void)
{
	auto_buf text = { 0 };
	struct restore r;
	Mm *mm;

	make_family(&r);
	mm = mm_of(&r, 120);
	mm->extents[2] = mm->extents[3];
	mm->n_extents = 3;
	decide(&r);
	CU_ASSERT_EQUAL_FATAL(of(&r, 120)->drop.list.n, 1);
	CU_ASSERT_EQUAL(of(&r, 120)->drop.list.v[0].start, HEAP + 5 * PAGE);
	print(&r, &text);
	HAS(text.p, "madvise(0x505000, 0x1000, 4) = 0");
	unmake(&r);
}

static void child_lacks_a_part(void)
{
	auto_buf text = { 0 };
	struct restore r;
	Mm *mm;

	make_family(&r);
	mm = mm_of(&r, 120);
	mm->mappings[2]->end -= 12 * PAGE;
	mm->extents[2] = mm->extents[3];
	mm->n_extents = 3;
	decide(&r);
	print(&r, &text);
	HAS(text.p, "munmap(0x504000, 0xc000) = 0");
	CU_ASSERT_EQUAL(of(&r, 120)->drop.list.n, 0);
	unmake(&r);
}

/* The parent has given back a part since: it is mapped for the child, and cut off again. */
static void child_has_more(void)
{
	auto_buf text = { 0 };
	struct restore r;
	Mm *mm;

	make_family(&r);
	mm = mm_of(&r, 100);
	mm->mappings[2]->end -= 12 * PAGE;
	mm->extents[2] = mm->extents[3];
	mm->n_extents = 3;
	decide(&r);
	CU_ASSERT(of(&r, 120)->is_heir);
	CU_ASSERT(has_run(&of(&r, 110)->before, HEAP + 5 * PAGE, 1, 0x3000));
	print(&r, &text);
	HAS(text.p, "munmap(0x504000, 0xc000) = 0");
	HAS(text.p, "mmap(0x500000, 0x10000, ");
	HAS_NOT(text.p, "mmap(0x500000, 0x4000, ");
	unmake(&r);
}

/* Where the parent has something else there is no room for what a child has more. */
static void child_has_more_than_fits(void)
{
	struct restore r;
	Mm *mm;

	make_family(&r);
	mm = mm_of(&r, 100);
	mm->mappings[2]->end -= 12 * PAGE;
	mm->extents[2] = mm->extents[3];
	mm->n_extents = 3;
	/* and another one behind it, of another sort */
	add_mapping(&r, mm, HEAP + 6 * PAGE, HEAP + 7 * PAGE, MAPPING__SORT__ANON, PROT_READ,
		    VMF(rd) | VMF(nr));
	for (size_t i = mm->n_mappings - 1; i > 3; i--) {
		Mapping *m = mm->mappings[i];

		mm->mappings[i] = mm->mappings[i - 1];
		mm->mappings[i - 1] = m;
	}
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 120)->fill, HEAP, 2, 0x1000));
	unmake(&r);
}

static void mappings_of_another_sort(void)
{
	struct restore r;

	make_family(&r);
	heap_of(&r, 120)->flags |= VMF(nr);
	decide(&r);
	CU_ASSERT(has_run(&of(&r, 120)->fill, HEAP, 2, 0x1000));
	CU_ASSERT(!has_run(&of(&r, 130)->fill, HEAP, 2, 0x1000));
	unmake(&r);
}

/* It is handed on writable, since it is filled. */
static void protections_come_last(void)
{
	auto_buf text = { 0 };
	struct restore r;

	make_family(&r);
	heap_of(&r, 110)->prot = PROT_READ;
	decide(&r);
	print(&r, &text);
	HAS(text.p, "mprotect(0x500000, 0x10000, PROT_READ) = 0");
	CU_ASSERT(of(&r, 130)->is_heir);
	unmake(&r);
}

int main(void)
{
	CU_TestInfo runs[] = {
		{ "lists do what is done page by page", runs_are_pages },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo families[] = {
		{ "all have the same", all_have_the_same },
		{ "references are followed", references_are_followed },
		{ "the parent has newer pages", parent_has_newer },
		{ "children of two days", children_of_two_days },
		{ "a grandchild has older pages", grandchild_has_older },
		{ "a grandchild has newer pages", grandchild_has_newer },
		{ "a child lacks pages", child_lacks_pages },
		{ "a child lacks a part", child_lacks_a_part },
		{ "a child has more", child_has_more },
		{ "a child has more than fits", child_has_more_than_fits },
		{ "mappings of another sort", mappings_of_another_sort },
		{ "protections come last", protections_come_last },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "runs", NULL, NULL, NULL, NULL, runs },
		{ "families", NULL, NULL, NULL, NULL, families },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
