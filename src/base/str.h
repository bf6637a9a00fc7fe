/* SPDX-License-Identifier: MIT */
/* Text to numbers, strictly: the whole string, in range, no sign unless allowed. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stdint.h>

bool str_to_u64(const char *s, unsigned int base, uint64_t *out);
bool str_to_pid(const char *s, int *out);        /* 1 .. INT_MAX */
bool str_to_seconds(const char *s, double *out); /* "2", "0.5"; > 0 and < 1e9 */
/* Reads digits at *s in the base, moves *s behind them; false if there is none or it overflows. */
bool str_take_u64(const char **s, unsigned int base, uint64_t *out);
bool str_starts(const char *s, const char *prefix);

#endif
