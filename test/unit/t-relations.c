/* SPDX-License-Identifier: MIT */
/* Process groups and sessions: how each comes about, and what cannot be made. */
#include <signal.h>
#include <string.h>

#include "tap.h"
#include "tree/contexts.h"

#define MOST 8

/* One row: number, index of the parent (-1: the root), group, session, what it is. */
enum sort {
	LIVES,
	ENDED,      /* a zombie */
	ORPHAN,     /* nobody has the number of its session */
	ORPHAN_USR1 /* and its end is told by SIGUSR1, not SIGCHLD */
};
struct row {
	uint32_t id;
	int parent;
	uint32_t group, session;
	enum sort sort;
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
			.group = rows[i].group,
			.session = rows[i].session,
			.has_ended = rows[i].sort == ENDED,
			.session_is_gone = rows[i].sort >= ORPHAN,
			.exit_signal = rows[i].sort == ORPHAN_USR1 ? SIGUSR1 : SIGCHLD,
		};
	t->rc = relations_find(&t->all, &t->e);
}
#define FIND(t, ...)                                               \
	do {                                                       \
		static const struct row rows_[] = { __VA_ARGS__ }; \
		find(t, rows_, sizeof(rows_) / sizeof(rows_[0]));  \
	} while (0)
#define SAYS(t, said) CU_ASSERT((t)->rc < 0 && strstr((t)->e.text, said) != NULL)

static void a_job_of_a_shell(void)
{
	struct tree t;

	/* The leader of the pipeline is a younger sibling; the shell's own child is in the shell's group. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 12, 10, LIVES }, { 12, 0, 12, 10, LIVES },
	     { 13, 0, 10, 10, LIVES }, { 14, 2, 12, 10, LIVES });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT_EQUAL(t.v[0].how, GROUP_OWN);
	CU_ASSERT(t.v[1].how == GROUP_JOINED && t.v[1].leader == &t.v[2] && t.v[2].is_awaited);
	CU_ASSERT(t.v[3].how == GROUP_ABOVE && t.v[4].how == GROUP_ABOVE);
	CU_ASSERT(t.all.n == 5 && t.all.n_led == 1 && t.all.n_joined == 0);
}

/* The context of input and output of each; 0: it shares none. */
static void find_contexts(struct tree *t, const uint32_t contexts[4])
{
	*t = (struct tree){ 0 };
	t->all.v = t->v;
	for (uint32_t i = 0; i < 4; i++)
		t->v[t->all.n++] = (struct relative){
			.id = 10 + i,
			.parent = i == 0   ? NULL
				  : i == 3 ? &t->v[2]
					   : &t->v[0],
			.group = 10,
			.session = 10,
			.exit_signal = SIGCHLD,
			.context = contexts[i],
		};
	t->rc = relations_find(&t->all, &t->e);
}

static void contexts_of_parents(void)
{
	struct tree t;

	find_contexts(&t, (const uint32_t[]){ 10, 10, 12, 12 });
	CU_ASSERT(t.rc == 0 && t.v[1].has_context && t.v[3].has_context);
	CU_ASSERT(!t.v[0].has_context && !t.v[2].has_context);
	find_contexts(&t, (const uint32_t[]){ 10, 0, 0, 0 });
	CU_ASSERT(t.rc == 0 && !t.v[0].has_context && !t.v[1].has_context);
}

static void contexts_of_others(void)
{
	struct tree t;

	find_contexts(&t, (const uint32_t[]){ 10, 0, 0, 10 });
	SAYS(&t, "task 13: it shares its I/O context with task 10 (CLONE_IO), and not with the "
		 "first thread of its parent");
	find_contexts(&t, (const uint32_t[]){ 0, 11, 11, 0 });
	SAYS(&t, "task 12: it shares its I/O context with task 11");
	/* There is nobody with that number. */
	find_contexts(&t, (const uint32_t[]){ 7, 0, 0, 0 });
	SAYS(&t, "task 10: it shares its I/O context with task 7");
}

static void contexts_of_threads(void)
{
	struct error e;
	struct kin v[4] = { { .id = 10, .context = 10 },
			    { .id = 11, .context = 10 },
			    { .id = 12, .context = 12 },
			    { .id = 13, .context = 12 } };

	CU_ASSERT_EQUAL(contexts_find_threads(v, 4, &e), 0);
	CU_ASSERT(v[1].has_context && !v[1].maker && !v[2].has_context);
	CU_ASSERT(v[3].has_context && v[3].maker == 2);
	v[3] = (struct kin){ .id = 13, .context = 12, .table = { [TABLE_FS] = 13 } };
	CU_ASSERT(contexts_find_threads(v, 4, &e) < 0 && strstr(e.text, "task 13: it shares"));
	v[3] = (struct kin){ .id = 13, .context = 9 };
	CU_ASSERT(contexts_find_threads(v, 4, &e) < 0 && strstr(e.text, "task 13: it shares"));
}

static void a_leader_that_has_ended(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 12, 10, LIVES }, { 12, 0, 12, 10, ENDED });
	CU_ASSERT(t.rc == 0 && t.v[1].leader == &t.v[2] && t.v[0].ended == &t.v[2]);
	CU_ASSERT(!t.v[2].is_made && t.v[2].how == GROUP_OWN);
}

static void a_leader_that_is_gone(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 7, 10, LIVES }, { 12, 1, 7, 10, LIVES },
	     { 13, 0, 7, 10, ENDED });
	CU_ASSERT(t.rc == 0 && t.all.n == 5);
	CU_ASSERT(t.v[4].is_made && t.v[4].id == 7 && t.v[4].parent == &t.v[0] &&
		  t.v[4].session == 10 && t.v[0].ended == &t.v[4] && t.v[4].next == &t.v[3]);
	for (int i = 1; i < 4; i++)
		CU_ASSERT(t.v[i].how == GROUP_JOINED && t.v[i].leader == &t.v[4]);
	CU_ASSERT(t.all.n_led == 1 && t.all.n_joined == 3);
}

static void the_group_of_the_root_is_not_in_the_tree(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 5, 4, LIVES }, { 11, 0, 5, 4, LIVES }, { 12, 0, 12, 4, LIVES },
	     { 13, 2, 5, 4, LIVES });
	CU_ASSERT(t.rc == 0 && t.all.n == 4);
	CU_ASSERT(t.v[0].how == GROUP_INHERITED && t.v[1].how == GROUP_INHERITED);
	CU_ASSERT(t.v[3].how == GROUP_OUTSIDE);
}

static void children_from_before_a_session(void)
{
	struct tree t;

	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, LIVES }, { 12, 1, 10, 10, LIVES },
	     { 13, 1, 11, 11, LIVES }, { 14, 2, 14, 14, LIVES });
	CU_ASSERT_EQUAL(t.rc, 0);
	CU_ASSERT(t.v[2].is_early && !t.v[3].is_early && !t.v[4].is_early && !t.v[1].is_early);
	CU_ASSERT_EQUAL(t.v[1].born, 10);
	CU_ASSERT_EQUAL(t.v[2].how, GROUP_ABOVE);
	/* Two leaders, one below the other, and a child from before both. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, LIVES }, { 12, 1, 12, 12, LIVES },
	     { 13, 2, 10, 10, LIVES });
	CU_ASSERT(t.rc == 0 && t.v[3].is_early && t.v[2].is_early && !t.v[1].is_early);
}

static void sessions_without_leaders(void)
{
	struct tree t;

	/* Two daemons of one session, the child of one, and a group in it without a leader. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 12, 0, 9, 9, ORPHAN }, { 13, 0, 8, 9, ORPHAN },
	     { 14, 1, 9, 9, ORPHAN });
	CU_ASSERT(t.rc == 0 && t.all.n == 6);
	CU_ASSERT(t.v[4].is_made && t.v[4].id == 9 && t.v[4].session == 9 &&
		  t.v[4].parent == &t.v[0] && t.v[4].exit_signal == SIGCHLD && !t.v[4].born_of);
	CU_ASSERT(t.v[1].born_of == &t.v[4] && t.v[2].born_of == &t.v[4] && !t.v[3].born_of);
	CU_ASSERT(t.v[5].is_made && t.v[5].id == 8 && t.v[5].born_of == &t.v[4]);
	CU_ASSERT(t.v[1].leader == &t.v[4] && t.v[2].leader == &t.v[5]);
	/* The leader is a zombie, and so is a member. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, ENDED }, { 12, 0, 11, 11, LIVES },
	     { 13, 0, 11, 11, ENDED });
	CU_ASSERT(t.rc == 0 && t.all.n == 4);
	CU_ASSERT(t.v[2].born_of == &t.v[1] && t.v[3].born_of == &t.v[1] && !t.v[1].born_of);
	/* The root's own: its group too, and another that is led by nobody is made below the root. */
	FIND(&t, { 10, -1, 7, 9, ORPHAN }, { 11, 0, 7, 9, ORPHAN });
	CU_ASSERT(t.rc == 0 && t.all.n == 4 && t.v[2].id == 9 && t.v[3].id == 7);
	CU_ASSERT(t.v[0].born_of == &t.v[2] && !t.v[2].parent && !t.v[1].born_of);
	CU_ASSERT(t.v[3].parent == &t.v[0] && t.v[0].leader == &t.v[3] && t.v[1].leader == &t.v[3]);
	/* A child from before a session of its own: the session above it is there to be born into. */
	FIND(&t, { 10, -1, 9, 9, ORPHAN }, { 11, 0, 11, 11, LIVES }, { 12, 1, 9, 9, ORPHAN });
	CU_ASSERT(t.rc == 0 && t.v[2].is_early && !t.v[2].born_of);
	/* A member that begins another when it has a child, and a sibling of it. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, LIVES }, { 12, 0, 9, 9, ORPHAN },
	     { 13, 1, 9, 9, ORPHAN });
	CU_ASSERT(t.rc == 0 && t.all.n == 5 && t.v[4].id == 9);
	CU_ASSERT(t.v[1].born_of == &t.v[4] && t.v[2].born_of == &t.v[4] && t.v[3].is_early);
	/* Members of one session that are children of two. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 10, 10, LIVES }, { 12, 0, 9, 9, ORPHAN },
	     { 13, 1, 9, 9, ORPHAN });
	SAYS(&t, "its session 9");
	/* A maker and its siblings have one exit signal. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 12, 0, 9, 9, ORPHAN }, { 13, 0, 9, 9, ORPHAN_USR1 });
	SAYS(&t, "by signal 10");
}

static void what_cannot_be_made(void)
{
	struct tree t;

	/* Leaders of sessions that are gone, below one that has none, and below one. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 10, 10, LIVES }, { 12, 1, 9, 9, LIVES });
	SAYS(&t, "task 12: its session 9");
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, LIVES }, { 12, 1, 8, 8, LIVES },
	     { 13, 1, 9, 9, LIVES });
	SAYS(&t, "its session");
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 12, 10, LIVES }, { 12, 0, 10, 10, LIVES });
	SAYS(&t, "has left it");
	/* Whether the root came from there nobody knows. */
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 9, 9, LIVES });
	SAYS(&t, "task 11: its session 9");
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 11, 11, LIVES }, { 12, 0, 11, 10, LIVES });
	SAYS(&t, "is in another session");
	FIND(&t, { 10, -1, 10, 10, LIVES }, { 11, 0, 10, 10, LIVES }, { 11, 0, 10, 10, ENDED });
	SAYS(&t, "there twice");
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "a job of a shell, led by a sibling", a_job_of_a_shell },
		{ "I/O contexts of parents", contexts_of_parents },
		{ "I/O contexts of others", contexts_of_others },
		{ "I/O contexts of threads", contexts_of_threads },
		{ "led by a zombie", a_leader_that_has_ended },
		{ "led by nobody any more", a_leader_that_is_gone },
		{ "of the root, which is not in the tree",
		  the_group_of_the_root_is_not_in_the_tree },
		{ "children from before a session", children_from_before_a_session },
		{ "sessions whose leaders have ended", sessions_without_leaders },
		{ "what cannot be made is refused by name", what_cannot_be_made },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = { { "relations", NULL, NULL, NULL, NULL, tests },
				  CU_SUITE_INFO_NULL };

	return tap_run(suites);
}
