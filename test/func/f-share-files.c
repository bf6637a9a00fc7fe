/* SPDX-License-Identifier: MIT */
/*
 * Processes that share a descriptor table: parent and child, siblings whose parent has left it, grandchild but not
 * the child in between, and those whose parent has ended.
 */
#include "subject.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"

enum {
	SIBLING_1,
	SIBLING_2,
	CHILD,
	BETWEEN,
	GRANDCHILD,
	ENDS,
	ORPHAN_1,
	ORPHAN_2,
	APART,
	N_KIN
};

/* A letter for each table: who has the same. */
static const char tables[N_KIN] = { 's', 's', 'r', 'b', 'r', '-', 'o', 'o', 'a' };
#define BASE 40

/* The descriptor of each table, and that of the subject itself. */
static const char *expect(int number, char of)
{
	for (int i = 0; i < N_KIN; i++) {
		long has;

		if (tables[i] == '-')
			continue;
		has = kin_do((unsigned int)i, KIN_HAS, number, 0);
		if (has != (tables[i] == of ? 3 : 0))
			return wrong("kin %d says %ld of descriptor %d", i, has, number);
	}
	return NULL;
}

static const char *prepare(void)
{
	pid_t ended;

	need(kin_init() == 0);
	need(kin_clone(SIBLING_1, CLONE_FILES) > 0 && kin_clone(SIBLING_2, CLONE_FILES) > 0);
	need(unshare(CLONE_FILES) == 0);
	need(kin_clone(ENDS, 0) > 0);
	need(kin_do(ENDS, KIN_CLONE, ORPHAN_1, CLONE_FILES) > 0);
	need(kin_do(ENDS, KIN_CLONE, ORPHAN_2, CLONE_FILES) > 0);
	ended = kin_pid(ENDS);
	need(kin_do(ENDS, KIN_EXIT, 0, 0) == 0 && waitpid(ended, NULL, 0) == ended);
	need(kin_clone(CHILD, CLONE_FILES) > 0 && kin_clone(BETWEEN, CLONE_FILES) > 0);
	need(kin_do(BETWEEN, KIN_CLONE, GRANDCHILD, CLONE_FILES) > 0);
	need(kin_do(BETWEEN, KIN_UNSHARE, 0, CLONE_FILES) == 0);
	need(kin_clone(APART, 0) > 0);
	/* Each opens one, in another order than they stand in the tree. */
	need(kin_do(GRANDCHILD, KIN_OPEN, BASE, 0) == BASE);
	need(kin_do(ORPHAN_2, KIN_OPEN, BASE + 1, 0) == BASE + 1);
	need(kin_do(SIBLING_2, KIN_OPEN, BASE + 2, 0) == BASE + 2);
	need(kin_do(BETWEEN, KIN_OPEN, BASE + 3, 0) == BASE + 3);
	need(kin_do(APART, KIN_OPEN, BASE + 4, 0) == BASE + 4);
	return NULL;
}

static const char *verify(void)
{
	static const char order[] = "rosba";

	for (int i = 0; order[i]; i++)
		pass_on(expect(BASE + i, order[i]));
	/* What one does the others see. */
	need(kin_do(CHILD, KIN_CLOSE, BASE, 0) == 0);
	pass_on(expect(BASE, '-'));
	need(kin_do(ORPHAN_1, KIN_OPEN, BASE + 7, 0) == BASE + 7);
	pass_on(expect(BASE + 7, 'o'));
	need(kin_do(SIBLING_1, KIN_OPEN, BASE + 8, 0) == BASE + 8);
	pass_on(expect(BASE + 8, 's'));
	need(dup3(0, BASE + 9, 02000000) == BASE + 9);
	pass_on(expect(BASE + 9, 'r'));
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "descriptor tables that processes share (CLONE_FILES)",
	.prepare = prepare,
	.verify = verify,
};
