/* SPDX-License-Identifier: MIT */
/*
 * The plan of one address space while it is made, for these alone:
 *
 *   plan_memory.c    mappings, what parents hand on, the fields of the mm
 *   plan_contents.c  pages
 *   plan_manners.c   protection, advice and whatever else comes when the pages are there
 */
#ifndef RESTORE_PLAN_MEMORY_H
#define RESTORE_PLAN_MEMORY_H

#include "proc/maps.h"
#include "restore/sharing.h"

struct memory {
	struct restore *r;
	struct task_plan *t;
	const Mm *mm;
	uint32_t *fetch_of_file;  /* [2 * file + written]: the operation that fetched it, + 1 */
	uint32_t *fetch_of_shmem; /* likewise, of r->shmems */
	uint32_t *fetch_of_store; /* likewise, of the page stores */
	bool *is_present;         /* [mapping]: the mmap has made all its pages */
	bool is_open;             /* it has waited for cr to open everything */
	bool is_laid;             /* what it leaves to children is there */
	const char *note;         /* of anonymous mappings */
	uint32_t
		own_key; /* that the kernel chose for mappings that can only be executed; 0: none */
};

static inline bool has(const Mapping *m, enum vmf f)
{
	return m->flags >> f & 1;
}

/* Before and after the manners of all: protection keys. */
void plan_keys_take(struct memory *mem);
void plan_keys_free(struct memory *mem);
/* protect: it is not mapped with its own protection. */
void plan_manners(struct memory *mem, const Mapping *m, bool protect);
/* Reads the pages of all runs, in whatever order. */
void plan_contents(struct memory *mem, const struct runs *runs);

#endif
