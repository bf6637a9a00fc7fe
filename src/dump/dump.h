/* SPDX-License-Identifier: MIT */
/*
 * Saving a process and its descendants to an image:
 *
 *   discover -> probe -> freeze -> ask, probe again and identify -> save pages -> let go -> publish
 *
 *   discover.c   processes and threads, one by one, and the tree after the freeze; levels.c: before it
 *   gather.c     what several workers do at once
 *   probe*.c     everything matched to what can be saved, or refused by name; before the freeze and
 *                once more after it; what `cr check` runs alone
 *   relations.c  process groups and sessions that can be made again, or not
 *   holder.c     the process that holds the subject, and how this one talks to it; freeze.c: its work
 *   identify.c   which descriptors are the same open file description
 *   ask.c        the batches that each thread runs
 *   memory.c     mappings; pages.c: which pages have contents, same.c: those that several processes share,
 *                equal.c: those that have equal contents, chunks.c: reading and storing them
 *   records.c    everything else into records
 *   manifest.c   what the image says of itself and of this machine
 *   run.c        the phases, one behind the other
 *
 * A dump that fails at any point leaves the subject as it was and no image.
 */
#ifndef DUMP_DUMP_H
#define DUMP_DUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/timeline.h"
#include "image/pack.h"

struct dump_options {
	int pid;
	const char *dir;
	bool leave_running;     /* the subject goes on as soon as everything is read */
	bool leave_stopped;     /* the subject stays stopped, as by SIGSTOP */
	bool force;             /* an image that is there is replaced */
	bool sync;              /* wait for the disk before the image gets its name */
	const char *compress;   /* as it was typed, or NULL */
	struct pack pack;       /* what that means */
	bool dedup;             /* equal pages stand once in the image */
	bool timeline, json;    /* for cmd */
	struct timeline *times; /* or NULL */
	uint64_t jobs;          /* workers, up to WORK_MAX; 0: as many as there are processors */
	double timeout;         /* seconds for the whole; 0: ten for each wait for the subject */
};

int dump_run(const struct dump_options *o, struct error *e) must_check;

/* --- check: discover and probe alone ---------------------------------------------------------- */

struct check_object {
	int pid, tid;        /* tid: 0 for what a whole process has */
	const char *sort;    /* "task", "mapping", "descriptor", or the name of a kind */
	const char *what;    /* "fd 3: /tmp/x" */
	const char *refusal; /* a sentence, NULL: can be saved */
};
struct check_report {
	struct arena arena;
	vec(struct check_object) objects;
	size_t n_refused;
};
int check_run(int pid, struct check_report *report, struct error *e) must_check;
void check_free(struct check_report *report);

#endif
