/* SPDX-License-Identifier: MIT */
/*
 * Where the time of a dump or a restore has gone, and what has been done in it. NULL: nobody asks, and nothing is
 * spent on it.
 */
#ifndef BASE_TIMELINE_H
#define BASE_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMELINE_PHASES 16u

struct timeline {
	struct {
		const char *name;
		uint64_t from;  /* clock_now */
		uint64_t calls; /* that had been made by then */
		uint64_t bytes; /* of pages, read in it */
	} phases[TIMELINE_PHASES];
	size_t n;
	uint64_t to;                     /* the end of the last one */
	uint64_t calls;                  /* by then */
	bool has_calls;                  /* the kernel counts them */
	int calls_fd;                    /* by this */
	uint64_t stopped_at, resumed_at; /* the pause of a dump; 0, 0: there was none */
	uint64_t bytes_read;             /* pages that were looked at */
	uint64_t bytes_left_out;         /* pages that are equal to others */
	uint64_t bytes_stored;           /* the page stores, as they lie on the disk */
};

/* System calls are counted from here on, if they can be. */
void timeline_begin(struct timeline *t);
/* The phase that was under way ends, this one begins; NULL: it was the last. */
void timeline_mark(struct timeline *t, const char *phase);
void timeline_stopped(struct timeline *t);
void timeline_resumed(struct timeline *t);
void timeline_read(struct timeline *t, uint64_t bytes);
void timeline_left_out(struct timeline *t, uint64_t bytes);
void timeline_stored(struct timeline *t, uint64_t bytes);

#endif
