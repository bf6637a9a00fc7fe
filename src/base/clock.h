/* SPDX-License-Identifier: MIT */
/* Deadlines: one for a whole operation, handed down. Nanoseconds of CLOCK_MONOTONIC, 0 = none. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_now(void);
struct deadline {
	uint64_t at;
};
struct deadline deadline_in(double seconds); /* seconds <= 0: none */
bool deadline_is_over(struct deadline d);
/* What is left, for poll and futex: -1 without a deadline, else at least 0. */
int deadline_left_ms(struct deadline d);

#endif
