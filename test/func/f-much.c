/* SPDX-License-Identifier: MIT */
/*
 * Much memory, which several read at a restore: whole blocks of 2 MiB, in small pages and in huge ones, half of a
 * huge page, every second page of a mapping, and memory that can only be read or may have no huge pages. Contents
 * are compared; how much is there, and what of it in huge pages, is looked at from inside, by smaps.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "subject.h"

#define BLOCK (2ul << 20)
#define PAGE 4096ul

static struct part {
	const char *what;
	size_t size;
	int prot, advice; /* -1: none */
	size_t step;      /* every page (PAGE), or fewer */
	size_t share;     /* of each block that is filled */
	char *at;
	long rss, huge; /* kilobytes, before */
	char flags[256];
} parts[] = {
	{ .what = "whole blocks of small pages",
	  .size = 12 * BLOCK,
	  .prot = PROT_READ | PROT_WRITE,
	  .advice = -1,
	  .step = PAGE,
	  .share = BLOCK },
	{ .what = "huge pages",
	  .size = 8 * BLOCK,
	  .prot = PROT_READ | PROT_WRITE,
	  .advice = MADV_HUGEPAGE,
	  .step = PAGE,
	  .share = BLOCK },
	{ .what = "half filled huge pages",
	  .size = 4 * BLOCK,
	  .prot = PROT_READ | PROT_WRITE,
	  .advice = MADV_HUGEPAGE,
	  .step = PAGE,
	  .share = BLOCK / 2 },
	{ .what = "every second page",
	  .size = 8 * BLOCK,
	  .prot = PROT_READ | PROT_WRITE,
	  .advice = -1,
	  .step = 2 * PAGE,
	  .share = BLOCK },
	{ .what = "memory to be read only",
	  .size = 3 * BLOCK,
	  .prot = PROT_READ,
	  .advice = -1,
	  .step = PAGE,
	  .share = BLOCK },
	{ .what = "memory to be executed",
	  .size = 3 * BLOCK,
	  .prot = PROT_READ | PROT_EXEC,
	  .advice = -1,
	  .step = PAGE,
	  .share = BLOCK },
	{ .what = "memory without huge pages",
	  .size = 3 * BLOCK,
	  .prot = PROT_READ | PROT_WRITE,
	  .advice = MADV_NOHUGEPAGE,
	  .step = PAGE,
	  .share = BLOCK },
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static uint64_t value(size_t part, size_t at)
{
	return (at + 1) * 0x9e3779b97f4a7c15ull + part;
}

/* "Key:   N kB" of the mapping at `at`, and its flags. */
static long detail(const char *at, const char *key, char flags[256])
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], head[32];
	bool here = false;
	long kb = -1;

	if (!f)
		return -1;
	snprintf(head, sizeof(head), "%lx-", (unsigned long)at);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] < 'A' || line[0] > 'Z')
			here = !strncmp(line, head, strlen(head));
		else if (here && !strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key) + 1);
		else if (here && !strncmp(line, "VmFlags:", 8) && flags)
			snprintf(flags, 256, "%.255s", line + 8);
	}
	fclose(f);
	return kb;
}

static bool is_filled(const struct part *p, size_t at)
{
	return at % BLOCK < p->share && at % p->step == 0;
}

/* Between two that cannot be touched, so that it is a mapping of its own, at a block. */
static const char *make(struct part *p, size_t n)
{
	char *all = mmap(NULL, p->size + 2 * BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(all != MAP_FAILED);
	p->at = (char *)(((uintptr_t)all + BLOCK) & ~(BLOCK - 1));
	need(mmap(p->at, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		  -1, 0) == p->at);
	if (p->advice >= 0)
		(void)madvise(p->at, p->size, p->advice);
	for (size_t at = 0; at < p->size; at += PAGE)
		if (is_filled(p, at))
			for (size_t i = 0; i < PAGE; i += 512)
				*(uint64_t *)(p->at + at + i) = value(n, at + i);
	need(mprotect(p->at, p->size, p->prot) == 0);
	p->rss = detail(p->at, "Rss:", p->flags);
	p->huge = detail(p->at, "AnonHugePages:", NULL);
	need(p->rss > 0 && p->huge >= 0);
	return NULL;
}

static const char *prepare(void)
{
	for (size_t i = 0; i < N_PARTS; i++)
		pass_on(make(&parts[i], i));
	return NULL;
}

static const char *check(const struct part *p, size_t n)
{
	char flags[256] = "";
	long rss = detail(p->at, "Rss:", flags), huge = detail(p->at, "AnonHugePages:", NULL);

	if (rss > p->rss + p->rss / 20)
		return wrong("%s: %ld kB are there, %ld kB were", p->what, rss, p->rss);
	if (huge < p->huge)
		return wrong("%s: %ld kB are in huge pages, %ld kB were", p->what, huge, p->huge);
	if (huge && p->advice == MADV_NOHUGEPAGE)
		return wrong("%s: %ld kB are in huge pages", p->what, huge);
	if (strcmp(flags, p->flags) != 0)
		return wrong("%s: its flags are %s, not %s", p->what, flags, p->flags);
	/* Not the holes: a look makes pages there. */
	for (size_t at = 0; at < p->size; at += 512) {
		if (is_filled(p, at & ~(PAGE - 1)) &&
		    *(const uint64_t *)(p->at + at) != value(n, at))
			return wrong("%s: other contents at %zu", p->what, at);
	}
	return NULL;
}

static const char *verify(void)
{
	for (size_t i = 0; i < N_PARTS; i++)
		pass_on(check(&parts[i], i));
	/* Behind what was looked at by itself: the holes. */
	for (size_t i = 0; i < N_PARTS; i++)
		for (size_t at = 0; at < parts[i].size; at += PAGE)
			need(is_filled(&parts[i], at) ||
			     *(const uint64_t *)(parts[i].at + at) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "much memory: contents, how much is there, huge pages",
	.prepare = prepare,
	.verify = verify,
};
