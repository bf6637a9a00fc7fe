/* SPDX-License-Identifier: MIT */
/* Folders of /proc as they were, in test/data/proc-*. */
#ifndef PROC_ROOM_H
#define PROC_ROOM_H

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static inline int snapshot(const char *name)
{
	const char *source = getenv("srcdir");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/test/data/proc-%s", source ? source : ".", name);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

#endif
