/* SPDX-License-Identifier: MIT */
/* The private folder is the subject's root, so that judge and subject still meet there. */
#include "subject.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *prepare(void)
{
	if (geteuid() != 0)
		return skip("needs root");
	need(mkdir(subject_path("inside"), 0755) == 0);
	need(chroot(subject_path(".")) == 0);
	subject_move_folder("");
	need(chdir("/inside") == 0);
	return NULL;
}

static const char *verify(void)
{
	char now[PATH_MAX];
	struct stat root, up;

	need(getcwd(now, sizeof(now)) && strcmp(now, "/inside") == 0);
	need(stat("/", &root) == 0 && stat("/../..", &up) == 0);
	need(root.st_dev == up.st_dev && root.st_ino == up.st_ino);
	need(access("/inside", F_OK) == 0 && access("/go", F_OK) == 0 && access("/etc", F_OK) < 0);
	return NULL;
}

const struct subject subject = {
	.about = "root directory",
	.prepare = prepare,
	.verify = verify,
};
