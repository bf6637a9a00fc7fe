/* SPDX-License-Identifier: MIT */
/*
 * Lists of runs of pages: at which addresses the pages lie that stand at which place of the image. Ascending
 * by address, without overlap. Pure.
 */
#ifndef RESTORE_RUNS_H
#define RESTORE_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

#define RUN_ZERO UINT32_MAX /* no store: pages of zeros */

struct run {
	uint64_t start, end;
	uint64_t place; /* of `start` in the store; RUN_ZERO: 0 */
	uint32_t store;
	uint32_t low,
		high; /* of pages that several have: the first and the last of these processes */
};
struct runs {
	vec(struct run) list;
};

struct span {
	uint64_t start, end;
};
struct spans {
	vec(struct span) list;
};

void runs_free(struct runs *r);
/* Adds it behind the others; what goes on where the last one ends, and is of the same processes, becomes one
 * with it. */
void runs_add(struct runs *to, struct run x);
/* Adds the part of x in [start, end), if there is any. */
void runs_add_part(struct runs *to, const struct run *x, uint64_t start, uint64_t end);
/* The first that ends behind the address; r->list.n: none. */
size_t runs_at(const struct runs *r, uint64_t address);
/* Adds what of `from` lies in [start, end). */
void runs_clip(const struct runs *from, uint64_t start, uint64_t end, struct runs *to);
/* Whether all of [start, end) is there. */
bool runs_cover(const struct runs *r, uint64_t start, uint64_t end);
/* The parts of `want` that are not the same in `have`. Zeros are never the same. */
void runs_missing(const struct runs *want, const struct runs *have, struct runs *out);
/* `have` with `over` in place of what it has there. */
void runs_overlay(struct runs *have, const struct runs *over);
/* `have`, and `under` where it has nothing. */
void runs_underlay(struct runs *have, const struct runs *under);
/* Where `have` has pages and `want` none, in [start, end); what nobody has in between goes along. */
void runs_surplus(const struct runs *have, const struct runs *want, uint64_t start, uint64_t end,
		  struct spans *out);
/*
 * In `all`, of all processes, in any order, `low` is the process that has the run. Out: the runs that more than
 * one has, by store, distance of place and address, then by address.
 */
void runs_common(struct runs *all, struct runs *out);
/* The parts of `own` that are in such a list, with its low and high. */
void runs_pick(const struct runs *own, const struct runs *common, struct runs *out);

#endif
