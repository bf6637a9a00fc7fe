/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Not a whole number of pages: the exact end is kept too. */
#define GROWTH (300 * 4096 + 123)

static char *area, *end;

static const char *prepare(void)
{
	area = sbrk(GROWTH);
	need(area != (void *)-1);
	memset(area, 'h', GROWTH);
	end = sbrk(0);
	return NULL;
}

static const char *verify(void)
{
	need(sbrk(0) == end);
	for (size_t i = 0; i < GROWTH; i++)
		need(area[i] == 'h');
	need(sbrk(1 << 20) == end);
	memset(end, 'g', 1 << 20);
	need(sbrk(-(1 << 20)) == end + (1 << 20) && sbrk(0) == end);
	return NULL;
}

const struct subject subject = {
	.about = "the heap: its exact end, and it grows at the right place",
	.prepare = prepare,
	.verify = verify,
};
