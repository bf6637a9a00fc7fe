/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull

uint64_t clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct deadline deadline_in(double seconds)
{
	if (!(seconds > 0)) /* not a number, too */
		return (struct deadline){ 0 };
	if (seconds > 1e9) /* 31 years */
		seconds = 1e9;
	return (struct deadline){ clock_now() + (uint64_t)(seconds * 1e9) };
}

bool deadline_is_over(struct deadline d)
{
	return d.at != 0 && clock_now() >= d.at;
}

int deadline_left_ms(struct deadline d)
{
	uint64_t now, ms;

	if (d.at == 0)
		return -1;
	now = clock_now();
	if (now >= d.at)
		return 0;
	ms = (d.at - now + NS_PER_MS - 1) / NS_PER_MS; /* rounded up: never wait in a busy loop */
	return ms > INT_MAX ? INT_MAX : (int)ms;
}
