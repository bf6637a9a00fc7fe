/* SPDX-License-Identifier: MIT */
#include "base/timeline.h"

#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"

void timeline_begin(struct timeline *t)
{
	if (!t)
		return;
	t->calls_fd = calls_open();
	t->has_calls = t->calls_fd >= 0;
}

static void end_last(struct timeline *t)
{
	if (t->calls_fd >= 0)
		close(t->calls_fd);
	t->calls_fd = -1;
}

void timeline_mark(struct timeline *t, const char *phase)
{
	if (!t)
		return;
	t->to = clock_now();
	t->calls = calls_so_far(t->calls_fd);
	if (!phase)
		end_last(t);
	if (!phase || t->n == TIMELINE_PHASES)
		return;
	t->phases[t->n].name = phase;
	t->phases[t->n].calls = t->calls;
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
	if (!t)
		return;
	t->bytes_read += bytes;
	if (t->n)
		t->phases[t->n - 1].bytes += bytes;
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
