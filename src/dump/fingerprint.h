/* SPDX-License-Identifier: MIT */
/*
 * Fingerprints of pages, under a key that is drawn anew for each dump and that nobody learns. Two pages that
 * differ have the same one with a probability of at most 2^-127, whatever they hold: that is proven, as long as
 * who has chosen them does not know the key, and the subject stands still since before it was drawn.
 *
 * A page is 512 words of 64 bits. Of each pair of words, each with a word of the key added, the product is taken,
 * and all products are added up modulo 2^128: NH, of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway, 1999). Once
 * more with the key moved on by two words (Toeplitz): both sums are equal with 2^-128 at most. Their four
 * words become two by multiply-shift for vectors (Dietzfelbinger 1996, Thorup 2009), each equal with 2^-64.
 */
#ifndef DUMP_FINGERPRINT_H
#define DUMP_FINGERPRINT_H

#include <stdint.h>

#include "base/error.h"

#define FINGERPRINT_PAGE 4096u

__extension__ typedef unsigned __int128 fingerprint_wide;

struct fingerprint_key {
	uint64_t words[FINGERPRINT_PAGE / 8 + 2];
	fingerprint_wide factors[2][5];
};
struct fingerprint {
	uint64_t word[2];
};
int fingerprint_draw(struct fingerprint_key *k, struct error *e) must_check;
/* The page begins at a multiple of 8. */
struct fingerprint fingerprint_of(const struct fingerprint_key *k, const void *page);

#endif
