/* SPDX-License-Identifier: MIT */
/*
 * One function over many things that have nothing to do with each other, on several processors where
 * there are some. The threads live for the one call only, so that none is there at a fork, and have all
 * signals blocked. What the function may do in them: read and write what belongs to its thing, read what
 * all have, use an arena and an error that no other worker has. Not: ptrace (the kernel takes it from the
 * thread alone that has attached), add to lists that all have, anything whose order can be seen.
 */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

#define WORK_MAX 16u /* workers at most, the caller included */

struct work {
	/* Thing number i, in worker 0 to width - 1. */
	int (*each)(void *arg, unsigned int worker, size_t i, struct error *e);
	void *arg;
	size_t n;
	/* So many things make it worth while to start one more thread; 0: none is started. */
	size_t grain;
};

/* How many workers there can be: processors that this thread may run on. */
unsigned int work_width(void);
/*
 * Does all that there is to do, with at most `width` workers. Things are begun in the order of their numbers. After
 * a failure nothing more is begun, and the one of the lowest number is given: the same as if one
 * worker had done everything. 0: none has failed.
 */
int work_over(const struct work *w, unsigned int width, struct error *e) must_check;

/*
 * The same beside whatever else the caller does: `width` threads begin at once, and work_end, which must follow,
 * helps them and gives what came of it.
 */
struct team;
struct team *work_begin(const struct work *w, unsigned int width);
/* By now something has failed. */
bool work_has_failed(const struct team *t);
/* give_up: what nobody has begun is left undone; a failure is told all the same. */
int work_end(struct team *t, bool give_up, struct error *e) must_check;

#endif
