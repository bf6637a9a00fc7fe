/* SPDX-License-Identifier: MIT */
/*
 * Processes that share working folder, root folder and umask: parent and child, siblings whose parent has left
 * them, and a tree in which they go past one that has others; some share descriptors too.
 */
#include "subject.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kin.h"

enum {
	SIBLING_1,
	SIBLING_2,
	CHILD,
	BETWEEN,
	GRANDCHILD,
	BOTH,
	APART,
	N_KIN
};

static const char tables[N_KIN] = { 's', 's', 'r', 'b', 'r', 'r', 'a' };

static const char *folder_of(char table)
{
	const char name[] = { table, '\0' };

	return subject_path(name);
}

static const char *move(unsigned int number, const char *to, mode_t mask)
{
	need(mkdir(to, 0700) == 0 || errno == EEXIST);
	strcpy(kin_text(number), to);
	need(kin_do(number, KIN_CD, 0, 0) == 0);
	need(kin_do(number, KIN_UMASK, mask, 0) >= 0);
	return NULL;
}

static const char *expect(char of, const char *folder, mode_t mask)
{
	for (unsigned int i = 0; i < N_KIN; i++) {
		if (tables[i] != of)
			continue;
		need(kin_do(i, KIN_PWD, 0, 0) == 0);
		if (strcmp(kin_text(i), folder))
			return wrong("kin %u is in %s, not %s", i, kin_text(i), folder);
		need(kin_do(i, KIN_UMASK, mask, 0) == mask);
	}
	return NULL;
}

static const char *prepare(void)
{
	need(kin_init() == 0);
	need(kin_clone(SIBLING_1, CLONE_FS) > 0 && kin_clone(SIBLING_2, CLONE_FS) > 0);
	need(unshare(CLONE_FS) == 0);
	need(kin_clone(CHILD, CLONE_FS) > 0 && kin_clone(BETWEEN, CLONE_FS | CLONE_FILES) > 0);
	need(kin_do(BETWEEN, KIN_CLONE, GRANDCHILD, CLONE_FS) > 0);
	need(kin_do(BETWEEN, KIN_UNSHARE, 0, CLONE_FS) == 0);
	need(kin_clone(BOTH, CLONE_FS | CLONE_FILES) > 0);
	need(kin_clone(APART, 0) > 0);
	pass_on(move(SIBLING_2, folder_of('s'), 0777));
	pass_on(move(BETWEEN, folder_of('b'), 0001));
	pass_on(move(GRANDCHILD, folder_of('r'), 0070));
	pass_on(move(APART, folder_of('a'), 0022));
	return NULL;
}

static const char *verify(void)
{
	char here[4096];

	pass_on(expect('s', folder_of('s'), 0777));
	pass_on(expect('b', folder_of('b'), 0001));
	pass_on(expect('r', folder_of('r'), 0070));
	pass_on(expect('a', folder_of('a'), 0022));
	need(getcwd(here, sizeof(here)) && !strcmp(here, folder_of('r')));
	need(umask(0077) == 0070);
	pass_on(move(CHILD, folder_of('x'), 0011));
	pass_on(expect('r', folder_of('x'), 0011));
	need(getcwd(here, sizeof(here)) && !strcmp(here, folder_of('x')));
	pass_on(move(SIBLING_1, folder_of('y'), 0012));
	pass_on(expect('s', folder_of('y'), 0012));
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "working folders and umasks that processes share (CLONE_FS)",
	.prepare = prepare,
	.verify = verify,
};
