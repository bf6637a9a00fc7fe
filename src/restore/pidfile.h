/* SPDX-License-Identifier: MIT */
#ifndef RESTORE_PIDFILE_H
#define RESTORE_PIDFILE_H

#include <stdbool.h>

#include "base/error.h"

struct pidfile {
	const char *path;
	char text[16];
	int fd;
	bool is_nameless, is_new;
};

/* Before the commit. path may be NULL: nothing is written. */
int pidfile_open(struct pidfile *f, const char *path, unsigned int pid, struct error *e) must_check;
/* Behind the commit: warns at most. */
void pidfile_publish(struct pidfile *f);
/* Without a commit: leaves no file. */
void pidfile_close(struct pidfile *f);

#endif
