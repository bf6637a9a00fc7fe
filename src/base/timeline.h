/* SPDX-License-Identifier: MIT */
/* Where the time of a dump or a restore has gone. Marking costs no system call; NULL: nobody asks. */
#ifndef BASE_TIMELINE_H
#define BASE_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#define TIMELINE_PHASES 16u

struct timeline {
	struct {
		const char *name;
		uint64_t from; /* clock_now */
	} phases[TIMELINE_PHASES];
	size_t n;
	uint64_t to;                     /* the end of the last one */
	uint64_t stopped_at, resumed_at; /* the pause of a dump; 0, 0: there was none */
	uint64_t bytes_read;             /* pages that were looked at */
	uint64_t bytes_left_out;         /* pages that are equal to others */
	uint64_t bytes_stored;           /* the page stores, as they lie on the disk */
};

/* The phase that was under way ends, this one begins; NULL: none. */
void timeline_mark(struct timeline *t, const char *phase);
void timeline_stopped(struct timeline *t);
void timeline_resumed(struct timeline *t);
void timeline_read(struct timeline *t, uint64_t bytes);
void timeline_left_out(struct timeline *t, uint64_t bytes);
void timeline_stored(struct timeline *t, uint64_t bytes);

#endif
