/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Everything that /proc escapes, or looks like what it appends. */
#define NAME "a dir\nwith \\ and\ttab (deleted)"

static char path[PATH_MAX];

static const char *prepare(void)
{
	snprintf(path, sizeof(path), "%s", subject_path(NAME));
	need(mkdir(path, 0755) == 0);
	need(chdir(path) == 0);
	return NULL;
}

static const char *verify(void)
{
	char now[PATH_MAX];
	int fd;

	need(getcwd(now, sizeof(now)) && strcmp(now, path) == 0);
	fd = open("here", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	need(fd >= 0);
	close(fd);
	need(access(subject_path(NAME "/here"), F_OK) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "current directory, with an awkward name",
	.prepare = prepare,
	.verify = verify,
};
