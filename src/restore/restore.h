/* SPDX-License-Identifier: MIT */
/*
 * Restoring an image: read -> link -> plan (pure) -> fork the root -> open -> run -> release.
 *
 *   tree.c      records become a tree of processes (pure)
 *   hole.c      an address range that is free everywhere (pure)
 *   host.c      what a plan may know of this machine and of cr
 *   planner.c   the plans of all tasks; plan_own.c, plan_memory.c and plan_files.c are
 *                its parts (pure)
 *   slots.c     descriptors that cr opens for the tasks, while the plans already run
 *   run.c       the shared region, the first clone, barriers, failure
 *   release.c   all threads have left; the helpers take the restorer away
 *
 * Nothing here uses ptrace. A failure up to the commit leaves nothing behind.
 */
#ifndef RESTORE_RESTORE_H
#define RESTORE_RESTORE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/timeline.h"

struct restore_options {
	const char *dir;
	const char *pidfile;    /* or NULL: the root's pid and a newline, written before it runs */
	bool detach;            /* return when the tree runs, else when its root has ended */
	bool explain;           /* print the plans to standard output, run nothing */
	bool timeline, json;    /* for cmd */
	struct timeline *times; /* or NULL */
	bool any_cpu;           /* one that lacks what the image's had will do */
	uint64_t jobs;          /* workers, up to WORK_MAX; 0: as many as there are processors */
	bool in_place;          /* for tests: no page is moved to its place */
	double timeout;         /* seconds until the tree must run; 0: ten */
	const char *
		exe_way; /* for tests: "plain", "mount" or "copy" alone; NULL: the first that helps */
};

/*
 * Needs the rights to choose pids and to set the exe link: CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN;
 * Linux 6.1. *status (not with detach): how the root ended, as waitpid(2) tells.
 */
int restore_run(const struct restore_options *o, int *status, struct error *e) must_check;

#endif
