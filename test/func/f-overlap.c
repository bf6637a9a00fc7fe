/* SPDX-License-Identifier: MIT */
/*
 * Wherever a program's text, heap, libraries, stack and vDSO usually are, this one has memory: every
 * gap in those ranges is mapped. Whatever restores it finds its own places taken.
 */
#include "subject.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MARKED (64ul << 10)
#define STACK_ROOM (64ul << 20)

static const struct {
	uint64_t start, end;
} ranges[] = {
	{ 0x400000, 0x40000000 },           /* programs at a fixed address */
	{ 0x550000000000, 0x570000000000 }, /* programs at a random address, their heap */
	{ 0x7e0000000000, 0x7ffffffff000 }, /* libraries, vDSO, stacks */
};

static struct filled {
	char *start;
	size_t size;
} filled[4096];
static size_t n_filled;

static const char *fill_gap(uint64_t start, uint64_t end)
{
	size_t size = end - start;
	char *p;

	if (n_filled == sizeof(filled) / sizeof(filled[0]) || size < 2 * MARKED)
		return NULL;
	p = mmap((void *)start, size, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	need(p == (void *)start);
	/* Both ends hold something, the rest is empty. */
	need(mprotect(p, MARKED, PROT_READ | PROT_WRITE) == 0);
	need(mprotect(p + size - MARKED, MARKED, PROT_READ | PROT_WRITE) == 0);
	memcpy(p, &start, 8);
	memcpy(p + size - 8, &end, 8);
	filled[n_filled++] = (struct filled){ p, size };
	return NULL;
}

/* Fills what is free in [start, end) before the mapping at `next`, which grows down if it is a stack. */
static const char *fill_before(uint64_t *at, uint64_t next, uint64_t end, bool is_stack)
{
	uint64_t stop = next < end ? next : end;

	if (is_stack)
		stop -= STACK_ROOM;
	return stop > *at && stop <= end ? fill_gap(*at, stop) : NULL;
}

static const char *fill_range(char *maps, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	for (char *line = maps; line; line = strchr(line, '\n')) {
		uint64_t from, to;

		line += *line == '\n';
		if (sscanf(line, "%lx-%lx", &from, &to) != 2)
			break;
		if (to <= at)
			continue;
		if (from >= end)
			break;
		char *name = strpbrk(line, "[\n");

		pass_on(fill_before(&at, from, end, name && strncmp(name, "[stack]", 7) == 0));
		at = to;
	}
	return at < end ? fill_gap(at, end) : NULL;
}

static const char *prepare(void)
{
	static char maps[65536];
	FILE *f;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		size_t n;

		f = fopen("/proc/self/maps", "re");
		need(f);
		n = fread(maps, 1, sizeof(maps) - 1, f);
		fclose(f);
		maps[n] = '\0';
		pass_on(fill_range(maps, ranges[i].start, ranges[i].end));
	}
	need(n_filled > 4);
	return NULL;
}

static const char *verify(void)
{
	for (size_t i = 0; i < n_filled; i++) {
		uint64_t start = (uint64_t)filled[i].start, end = start + filled[i].size;

		need(memcmp(filled[i].start, &start, 8) == 0);
		need(memcmp((char *)end - 8, &end, 8) == 0);
		need(filled[i].start[MARKED - 1] == 0);
		need(munmap(filled[i].start, filled[i].size) == 0);
	}
	return NULL;
}

const struct subject subject = {
	.about = "memory at all the places where cr itself would be",
	.prepare = prepare,
	.verify = verify,
};
