/* SPDX-License-Identifier: MIT */
/*
 * Threads with descriptors or folders of their own (unshare), some of which other threads share with them; and a
 * process that shares those of the first thread.
 */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kin.h"

enum {
	PLAIN,
	OWN_FS, /* as glib and samba do */
	OF_FS,  /* cloned by that, shares all of it */
	OWN_FILES,
	OWN_BOTH,
	OF_BOTH,     /* cloned by that */
	OTHER_FILES, /* cloned by OF_BOTH, has left its descriptors */
	OTHER_FS,    /* cloned by OWN_FILES, has left its folders */
	PROCESS,
	N_KIN
};

static const char files[N_KIN] = { 'r', 'r', 'r', 'f', 'b', 'b', 'o', 'f', 'r' };
static const char fs[N_KIN] = { 'r', 'u', 'u', 'r', 'c', 'c', 'c', 'p', 'r' };
#define BASE 40
#define SET 60

static const char *folder_of(char table)
{
	const char name[] = { table, '\0' };

	return subject_path(name);
}

static const char *move(unsigned int number, char table, mode_t mask)
{
	const char *to = folder_of(table);

	need(mkdir(to, 0700) == 0 || errno == EEXIST);
	strcpy(kin_text(number), to);
	need(kin_do(number, KIN_CD, 0, 0) == 0);
	need(kin_do(number, KIN_UMASK, mask, 0) >= 0);
	return NULL;
}

static const char *expect_fs(char of, char folder, mode_t mask)
{
	for (unsigned int i = 0; i < N_KIN; i++) {
		if (fs[i] != of)
			continue;
		need(kin_do(i, KIN_PWD, 0, 0) == 0);
		if (strcmp(kin_text(i), folder_of(folder)))
			return wrong("kin %u is in %s, not in %c", i, kin_text(i), folder);
		need(kin_do(i, KIN_UMASK, mask, 0) == mask);
	}
	return NULL;
}

static const char *expect_file(int number, char of)
{
	for (unsigned int i = 0; i < N_KIN; i++) {
		long has = kin_do(i, KIN_HAS, number, 0);

		if (has != (files[i] == of ? 3 : 0))
			return wrong("kin %u says %ld of descriptor %d", i, has, number);
	}
	return NULL;
}

static const char *prepare(void)
{
	int fd = (int)syscall(SYS_pidfd_open, gettid(), O_EXCL); /* PIDFD_THREAD */

	if (fd < 0)
		return lacks(
			"this kernel gives no descriptors of a thread's own table (since 6.9)");
	close(fd);
	need(kin_init() == 0);
	need(kin_thread(PLAIN) == 0 && kin_thread(OWN_FS) == 0 && kin_thread(OWN_FILES) == 0 &&
	     kin_thread(OWN_BOTH) == 0);
	need(kin_do(OWN_FS, KIN_UNSHARE, 0, CLONE_FS) == 0);
	need(kin_do(OWN_FS, KIN_THREAD, OF_FS, 0) == 0);
	need(kin_do(OWN_FILES, KIN_UNSHARE, 0, CLONE_FILES) == 0);
	need(kin_do(OWN_FILES, KIN_THREAD, OTHER_FS, 0) == 0);
	need(kin_do(OTHER_FS, KIN_UNSHARE, 0, CLONE_FS) == 0);
	need(kin_do(OWN_BOTH, KIN_UNSHARE, 0, CLONE_FS | CLONE_FILES) == 0);
	need(kin_do(OWN_BOTH, KIN_THREAD, OF_BOTH, 0) == 0);
	need(kin_do(OF_BOTH, KIN_THREAD, OTHER_FILES, 0) == 0);
	need(kin_do(OTHER_FILES, KIN_UNSHARE, 0, CLONE_FILES) == 0);
	need(kin_clone(PROCESS, CLONE_FILES | CLONE_FS) > 0);
	pass_on(move(PROCESS, 'r', 0001));
	pass_on(move(OF_FS, 'u', 0002));
	pass_on(move(OTHER_FILES, 'c', 0003));
	pass_on(move(OTHER_FS, 'p', 0004));
	need(kin_do(PLAIN, KIN_OPEN, BASE, 0) == BASE);
	need(kin_do(OWN_FILES, KIN_OPEN, BASE + 1, 0) == BASE + 1);
	need(kin_do(OF_BOTH, KIN_OPEN, BASE + 2, 0) == BASE + 2);
	need(kin_do(OTHER_FILES, KIN_OPEN, BASE + 3, 0) == BASE + 3);
	need(kin_do(OTHER_FILES, KIN_EPOLL, SET, 0) == 0);
	need(kin_do(PROCESS, KIN_EPOLL, SET + 2, 0) == 0);
	return NULL;
}

static const char *verify(void)
{
	static const char order[] = "rfbo";

	pass_on(expect_fs('r', 'r', 0001));
	pass_on(expect_fs('u', 'u', 0002));
	pass_on(expect_fs('c', 'c', 0003));
	pass_on(expect_fs('p', 'p', 0004));
	for (int i = 0; order[i]; i++)
		pass_on(expect_file(BASE + i, order[i]));
	need(kin_do(OTHER_FILES, KIN_EVENT, SET, 0) == 1);
	need(kin_do(PLAIN, KIN_EVENT, SET + 2, 0) == 1);
	/* What one does the others see. */
	pass_on(move(OWN_FS, 'v', 0005));
	pass_on(expect_fs('u', 'v', 0005));
	pass_on(move(PLAIN, 'w', 0006));
	pass_on(expect_fs('r', 'w', 0006));
	pass_on(move(OWN_BOTH, 'x', 0007));
	pass_on(expect_fs('c', 'x', 0007));
	need(kin_do(OTHER_FS, KIN_OPEN, BASE + 4, 0) == BASE + 4);
	pass_on(expect_file(BASE + 4, 'f'));
	need(kin_do(PLAIN, KIN_OPEN, BASE + 5, 0) == BASE + 5);
	pass_on(expect_file(BASE + 5, 'r'));
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "threads with folders and descriptors of their own, alone and together",
	.prepare = prepare,
	.verify = verify,
};
