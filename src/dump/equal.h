/* SPDX-License-Identifier: MIT */
/*
 * Pages with equal contents, wherever they are in the tree, so that each stands once in the image. Pages are
 * known by their fingerprints alone (dump/fingerprint.h): with 2^32 different ones, which is 16 TiB, two of
 * them are taken for one with a probability of at most 2^-64.
 *
 * The table takes 32 to 64 bytes for each page that is stored. A page that lies elsewhere than behind the
 * one before it makes pieces, of which a restore can hold so and so many: when there are enough, pages that would
 * make more are stored again.
 */
#ifndef DUMP_EQUAL_H
#define DUMP_EQUAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct equal;

/* n: of memories that may have the same pieces. */
int equal_new(struct equal **out, size_t n, struct error *e) must_check;
void equal_free(struct equal *q); /* may be NULL */

/* One for each worker. */
struct equal_walk {
	struct equal *of; /* NULL: nobody asks for it, and no page is equal to any */
	uint64_t next;    /* place behind the page that was found or noted last */
	uint64_t bytes_left_out;
};
/*
 * Whether a page with these contents has a place in the image: then *store and *offset become that; else it is
 * noted that it will be at *store and *offset. Any number of workers at once.
 */
bool equal_find(struct equal_walk *w, const void *page, uint32_t *store, uint64_t *offset);

#endif
