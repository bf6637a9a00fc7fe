/* SPDX-License-Identifier: MIT */
/* Descriptor tables, folders, memory and signal actions: how processes and threads come to share them, and what
 * cannot be made. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "tap.h"
#include "tree/space.h"
#include "tree/tables.h"

#define MOST 12

/* One row: number, index of the parent (-1: the root), descriptor table, folders, session (0: that of all). */
struct row {
	uint32_t id;
	int parent;
	uint32_t files, fs, session;
};

struct tree {
	struct relative v[3 * MOST];
	struct relatives all;
	struct error e;
	int rc;
};

static void find(struct tree *t, const struct row *rows, size_t n)
{
	*t = (struct tree){ 0 };
	t->all.v = t->v;
	for (size_t i = 0; i < n; i++)
		t->v[t->all.n++] = (struct relative){
			.id = rows[i].id,
			.parent = rows[i].parent < 0 ? NULL : &t->v[rows[i].parent],
			.group = rows[i].session ? rows[i].session : 10,
			.session = rows[i].session ? rows[i].session : 10,
			.session_is_gone = rows[i].session && rows[i].session != rows[i].id,
			.exit_signal = SIGCHLD,
			.table = { rows[i].files, rows[i].fs },
		};
	t->rc = relations_find(&t->all, &t->e);
}
#define FIND(t, ...)                                               \
	do {                                                       \
		static const struct row rows_[] = { __VA_ARGS__ }; \
		find(t, rows_, sizeof(rows_) / sizeof(rows_[0]));  \
	} while (0)
#define SAYS(t, said) CU_ASSERT((t)->rc < 0 && strstr((t)->e.text, said) != NULL)

static void nothing_is_shared(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 1, 12, 12, 0 });
	CU_ASSERT_EQUAL(t.rc, 0);
	for (size_t i = 0; i < t.all.n; i++)
		CU_ASSERT(!t.v[i].rank && !t.v[i].born_with[0] && !t.v[i].born_with[1] &&
			  !t.v[i].left_at_last[0] && !t.v[i].left_before[0]);
}

static void parent_and_child(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 0 }, { 12, 0, 12, 10, 0 });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT(t.v[1].born_with[TABLE_FILES] == 10 && !t.v[1].born_with[TABLE_FS]);
	CU_ASSERT(!t.v[2].born_with[TABLE_FILES] && t.v[2].born_with[TABLE_FS] == 10);
	CU_ASSERT(!t.v[0].left_at_last[TABLE_FILES] && !t.v[0].left_at_last[TABLE_FS]);
}

static void siblings(void)
{
	struct tree t;

	/* Two pairs, and the parent has its own with one more: that one comes last. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 0 }, { 12, 0, 12, 12, 0 },
	     { 13, 0, 13, 13, 0 }, { 14, 0, 12, 14, 0 }, { 15, 0, 13, 15, 0 });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT(t.v[2].rank == 1 && t.v[4].rank == 2 && t.v[3].rank == 3 && t.v[5].rank == 4 &&
		  t.v[1].rank == 5);
	CU_ASSERT(t.v[2].born_with[0] == 12 && t.v[4].born_with[0] == 12 &&
		  t.v[3].born_with[0] == 13 && t.v[1].born_with[0] == 10);
	CU_ASSERT(!t.v[2].left_before[0] && !t.v[4].left_before[0]);
	CU_ASSERT(t.v[3].left_before[0] == 12 && t.v[1].left_before[0] == 13);
	CU_ASSERT(!t.v[0].left_at_last[0]);
	/* The parent is with nobody. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 11, 12, 0 });
	CU_ASSERT(t.rc == 0 && t.v[0].left_at_last[0] == 11 && !t.v[0].left_at_last[1]);
}

static void past_one_between(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 1, 10, 12, 0 });
	CU_ASSERT(t.rc == 0 && t.v[1].born_with[0] == 10 && t.v[2].born_with[0] == 10);
	CU_ASSERT(t.v[1].left_at_last[0] == 10 && !t.v[0].left_at_last[0]);
	/* It hands on its own as well, after that. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 1, 11, 12, 0 },
	     { 13, 1, 10, 13, 0 });
	CU_ASSERT(t.rc == 0 && t.v[3].rank == 1 && t.v[2].rank == 2);
	CU_ASSERT(t.v[2].left_before[0] == 10 && !t.v[1].left_at_last[0]);
}

static void both_at_once(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 12, 0 }, { 12, 0, 11, 12, 0 },
	     { 13, 0, 13, 12, 0 });
	CU_ASSERT(t.rc == 0 && t.v[0].left_at_last[0] == 11 && t.v[0].left_at_last[1] == 12);
	CU_ASSERT(!t.v[3].born_with[0] && t.v[3].born_with[1] == 12);
}

/* At the restore there would be no room for them to wait for each other. */
static void too_many(void)
{
	static struct relative v[3 * (2 * TABLES_MOST + 3)];

	for (uint32_t n = TABLES_MOST; n <= TABLES_MOST + 1; n++) {
		struct relatives all = { .v = v, .n = 2 * n + 1 };
		struct error e = { 0 };

		for (uint32_t i = 0; i <= 2 * n; i++)
			v[i] = (struct relative){ .id = i + 1,
						  .group = 1,
						  .session = 1,
						  .parent = i ? v : NULL,
						  .table = { i ? (i + 1) / 2 + 1000 : 1, i + 1 } };
		CU_ASSERT_EQUAL(relations_find(&all, &e), n > TABLES_MOST ? -EINVAL : 0);
		CU_ASSERT(n == TABLES_MOST || strstr(e.text, "more than 100 different"));
	}
}

static void what_cannot_be_made(void)
{
	struct tree t;

	/* 11 would be born with that of 10 and that of 12. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 12, 12, 0 },
	     { 13, 1, 10, 13, 0 }, { 14, 1, 12, 14, 0 });
	SAYS(&t, "task 11: it would have to be born with two of one sort, the descriptor table of "
		 "process 10 and that of process 12");
	/* 11 has that of 10, and two children that share one of their own. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 0 }, { 12, 1, 12, 12, 0 },
	     { 13, 1, 12, 13, 0 });
	SAYS(&t, "task 11: it would have to leave the descriptor table of process 10");
	/* Circles of pairs. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 12, 12, 0 },
	     { 13, 0, 11, 12, 0 }, { 14, 0, 12, 11, 0 });
	SAYS(&t, "task 10: it would have to leave the working folder of process 11");
	/* Born of one who has ended. */
	FIND(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 9 }, { 12, 0, 12, 12, 0 });
	SAYS(&t, "task 11: it shares its descriptor table with others and is in the session 9");
}

/* --- memory and signal actions --------------------------------------------------------------------- */

/* Number, index of the parent, memory, signal actions, session, each as above. */
static void find_memory(struct tree *t, const struct row *rows, size_t n)
{
	*t = (struct tree){ 0 };
	t->all.v = t->v;
	for (size_t i = 0; i < n; i++)
		t->v[t->all.n++] = (struct relative){
			.id = rows[i].id,
			.parent = rows[i].parent < 0 ? NULL : &t->v[rows[i].parent],
			.group = rows[i].session ? rows[i].session : 10,
			.session = rows[i].session ? rows[i].session : 10,
			.session_is_gone = rows[i].session && rows[i].session != rows[i].id,
			.exit_signal = SIGCHLD,
			.memory = rows[i].files,
			.actions = rows[i].fs,
		};
	t->rc = relations_find(&t->all, &t->e);
}
#define FIND_MEMORY(t, ...)                                              \
	do {                                                             \
		static const struct row rows_[] = { __VA_ARGS__ };       \
		find_memory(t, rows_, sizeof(rows_) / sizeof(rows_[0])); \
	} while (0)

static void memory_of_the_parent(void)
{
	struct tree t;

	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 0 }, { 12, 0, 12, 12, 0 },
		    { 13, 1, 10, 11, 0 }, { 14, 2, 14, 14, 0 }, { 15, 2, 12, 15, 0 });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT(!t.v[0].has_memory && !t.v[0].has_actions);
	CU_ASSERT(t.v[1].has_memory && !t.v[1].has_actions);
	CU_ASSERT(!t.v[2].has_memory && !t.v[2].has_actions);
	CU_ASSERT(t.v[3].has_memory && t.v[3].has_actions);
	CU_ASSERT(!t.v[4].has_memory && !t.v[4].has_actions);
	CU_ASSERT(t.v[5].has_memory && !t.v[5].has_actions);
}

/* Their parent has run another program since, or it has them from one that has ended. */
static void memory_of_siblings(void)
{
	struct tree t;

	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 12, 12, 0 },
		    { 13, 0, 11, 13, 0 }, { 14, 0, 11, 11, 0 }, { 15, 3, 11, 15, 0 });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT(!t.v[1].has_memory && t.v[1].has_twins && !t.v[2].has_memory);
	CU_ASSERT(t.v[3].has_memory && t.v[3].twin == &t.v[1] && !t.v[3].has_actions);
	CU_ASSERT(t.v[4].has_memory && t.v[4].twin == &t.v[1] && t.v[4].has_actions);
	CU_ASSERT(t.v[5].has_memory && !t.v[5].twin && !t.v[3].has_twins);
	/* Actions that come from nobody. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 11, 12, 0 },
		    { 13, 0, 11, 12, 0 });
	SAYS(&t, "task 13: it shares its table of signal actions with process 12, but not");
	/* Another signal for the end. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 0, 12, 12, 0 });
	t.v[2].memory = 11;
	t.v[2].exit_signal = 0;
	CU_ASSERT(relations_find(&t.all, &t.e) < 0 && strstr(t.e.text, "or the signal of its end"));
	/* Descriptors that their parent hands on to one of them. */
	t.v[2].exit_signal = SIGCHLD;
	t.v[0].table[TABLE_FILES] = t.v[2].table[TABLE_FILES] = 10;
	CU_ASSERT(relations_find(&t.all, &t.e) < 0 && strstr(t.e.text, "but not the session, the "
								       "descriptors"));
	/* Born of one who has ended. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 9 }, { 12, 0, 11, 12, 9 });
	SAYS(&t, "task 12: it shares its memory with process 11, a child of the same parent");
}

static void memory_of_others(void)
{
	struct tree t;

	/* An uncle. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 1, 12, 12, 0 },
		    { 13, 0, 12, 12, 0 });
	SAYS(&t, "task 13: it shares its memory with process 12, but not with its own parent");
	/* Past one in between. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 11, 0 }, { 12, 1, 10, 12, 0 });
	SAYS(&t, "task 12: it shares its memory with process 10, but not with its own parent");
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 0 }, { 12, 1, 10, 10, 0 });
	SAYS(&t, "task 12: it shares its table of signal actions with process 10, but not");
	/* Only an image that no cr has written can say so. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 11, 10, 0 });
	SAYS(&t, "task 11: it shares its signal actions with process 10, and not its memory");
	/* Born of one who has ended. */
	FIND_MEMORY(&t, { 10, -1, 10, 10, 0 }, { 11, 0, 10, 11, 9 });
	SAYS(&t, "task 11: it shares its memory with process 10 and is in the session 9");
}

static void too_many_memories(void)
{
	static struct relative v[3 * (3 * SPACES_MOST + 4)];

	for (uint32_t n = SPACES_MOST; n <= SPACES_MOST + 1; n++) {
		struct relatives all = { .v = v, .n = 3 * n + 1 };
		struct error e = { 0 };

		/* Families of three: a child of the first, its child and grandchild. */
		for (uint32_t i = 0; i <= 3 * n; i++)
			v[i] = (struct relative){ .id = i + 1,
						  .group = 1,
						  .session = 1,
						  .parent = !i           ? NULL
							    : i % 3 == 1 ? v
									 : &v[i - 1],
						  .memory = i ? (i + 2) / 3 + 1000 : 1,
						  .actions = i + 1 };
		CU_ASSERT_EQUAL(relations_find(&all, &e), n > SPACES_MOST ? -EINVAL : 0);
		CU_ASSERT(n == SPACES_MOST || strstr(e.text, "more than 100 different memories"));
	}
}

/* --- threads --------------------------------------------------------------------------------------- */

static struct kin kin(uint32_t id, uint32_t files, uint32_t fs)
{
	return (struct kin){ .id = id, .table = { files, fs } };
}

static bool is(const struct kin *k, uint32_t maker, bool own_files, bool own_fs)
{
	return k->maker == maker && k->own[TABLE_FILES] == own_files && k->own[TABLE_FS] == own_fs;
}

static void threads(void)
{
	struct error e;
	struct kin v[] = { kin(1, 1, 1), kin(2, 1, 1), kin(3, 1, 3), kin(4, 1, 3),
			   kin(5, 5, 5), kin(6, 5, 1), kin(7, 7, 5), kin(8, 8, 8) };

	CU_ASSERT_EQUAL(tables_find_threads(v, 8, &e), 0);
	CU_ASSERT(is(&v[0], 0, true, true) && is(&v[1], 0, false, false));
	CU_ASSERT(is(&v[2], 0, false, true) && is(&v[3], 2, false, false));
	/* 6 has the folders of the first; so 5 comes by 6, and 7 by 5. */
	CU_ASSERT(is(&v[5], 0, true, false) && is(&v[4], 5, false, true));
	CU_ASSERT(is(&v[6], 4, true, false) && is(&v[7], 0, true, true));
}

static void threads_in_a_circle(void)
{
	struct error e;
	struct kin v[] = { kin(1, 1, 1), kin(2, 2, 1), kin(3, 1, 3), kin(4, 2, 3) };

	CU_ASSERT(tables_find_threads(v, 4, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "thread 4: it shares its descriptor table with "
					      "thread 2 and its working folder with thread 3"));
}

static CU_TestInfo processes[] = {
	{ "nothing is shared", nothing_is_shared },
	{ "parent and child", parent_and_child },
	{ "siblings", siblings },
	{ "past one in between", past_one_between },
	{ "both at once", both_at_once },
	{ "too many", too_many },
	{ "what cannot be made", what_cannot_be_made },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo of_memory[] = {
	{ "that of the parent", memory_of_the_parent },
	{ "that of siblings", memory_of_siblings },
	{ "that of others", memory_of_others },
	{ "too many", too_many_memories },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo of_threads[] = {
	{ "who clones whom", threads },
	{ "a circle", threads_in_a_circle },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "processes", NULL, NULL, NULL, NULL, processes },
	{ "memory", NULL, NULL, NULL, NULL, of_memory },
	{ "threads", NULL, NULL, NULL, NULL, of_threads },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
