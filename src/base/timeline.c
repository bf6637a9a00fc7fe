/* SPDX-License-Identifier: MIT */
#include "base/timeline.h"

#include "base/clock.h"

void timeline_mark(struct timeline *t, const char *phase)
{
	if (!t)
		return;
	t->to = clock_now();
	if (!phase || t->n == TIMELINE_PHASES)
		return;
	t->phases[t->n].name = phase;
	t->phases[t->n++].from = t->to;
}

void timeline_stopped(struct timeline *t)
{
	if (t)
		t->stopped_at = clock_now();
}

void timeline_resumed(struct timeline *t)
{
	if (t)
		t->resumed_at = clock_now();
}

void timeline_read(struct timeline *t, uint64_t bytes)
{
	if (t)
		t->bytes_read += bytes;
}

void timeline_left_out(struct timeline *t, uint64_t bytes)
{
	if (t)
		t->bytes_left_out += bytes;
}

void timeline_stored(struct timeline *t, uint64_t bytes)
{
	if (t)
		t->bytes_stored += bytes;
}
