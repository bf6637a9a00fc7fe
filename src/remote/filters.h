/* SPDX-License-Identifier: MIT */
/*
 * Filters of system calls (seccomp) in a stopped thread: reading them, and having them stand aside while
 * the thread makes calls that are not its own. Both need CAP_SYS_ADMIN, and a tracer that is not under
 * seccomp itself.
 */
#ifndef REMOTE_FILTERS_H
#define REMOTE_FILTERS_H

#include "remote/trace.h"

/* Where they are kept: memory that is given away from `at` upwards. */
struct filter_store {
	uint8_t *at, *end;
	const struct held_filter *all;
};

/* Whether the thread is under a filter; false too where the right to know is missing. */
bool filters_are_there(int tid);
/* Fills t->filter if t->seccomp says that there are some. A filter that is in the store is not put there
 * again, so threads have the same chain exactly if they have the same pointer. */
int filters_read(struct held_thread *t, struct filter_store *s, struct error *e) must_check;
/* What all filters of a chain together say to a call; SECCOMP_RET_ALLOW if there are none. */
uint32_t filters_verdict(const struct held_filter *newest, int nr, const uint64_t args[6]);
/* Whether the call is made in the end: allowed, or allowed and logged. */
bool filters_let(const struct held_filter *newest, int nr, const uint64_t args[6]);

/* Whether calls go unfiltered; only while it lasts. If the tracer dies meanwhile the filters are back at
 * once, and a call that is under way may end the program: so for as short a time as can be. */
int filters_suspend(const struct held_thread *t, bool on, struct error *e) must_check;

#endif
