/* SPDX-License-Identifier: MIT */
/*
 * The plan of one address space while it is made, for these alone:
 *
 *   plan_memory.c    mappings, what parents hand on, the fields of the mm
 *   plan_shut.c      mappings that come when all those that may be written are there
 *   plan_contents.c  pages
 *   plan_readers.c   pages, where there are many
 *   plan_hash.c      checksums of what they read
 *   plan_manners.c   protection, advice and whatever else comes when the pages are there
 */
#ifndef RESTORE_PLAN_MEMORY_H
#define RESTORE_PLAN_MEMORY_H

#include "base/work.h"
#include "proc/maps.h"
#include "restore/sharing.h"

struct memory {
	struct restore *r;
	struct task_plan *t;
	const Mm *mm;
	uint32_t *fetch_of_file;  /* [2 * file + written]: the operation that fetched it, + 1 */
	uint32_t *fetch_of_shmem; /* likewise, of r->shmems */
	uint32_t *fetch_of_store; /* likewise, of the page stores */
	uint32_t *slot_of_store;  /* their slots, + 1 */
	bool *is_present;         /* [mapping]: the mmap has made all its pages */
	bool is_open;             /* it has waited for cr to open everything */
	bool is_laid;             /* what it leaves to children is there */
	bool is_much;             /* its pages are many */
	const char *note;         /* of anonymous mappings */
	uint32_t
		own_key; /* that the kernel chose for mappings that can only be executed; 0: none */
};

static inline bool has(const Mapping *m, enum vmf f)
{
	return m->flags >> f & 1;
}

/* Whether it is mapped behind all others; what is told before that, and done in front of it (fetch: the file). */
bool shut_is_late(const struct memory *mem, const Mapping *m);
void shut_plan_written(struct memory *mem);
void shut_plan_seal(struct memory *mem, const Mapping *m, uint32_t fetch);

/* Before and after the manners of all: protection keys. */
void plan_keys_take(struct memory *mem);
void plan_keys_free(struct memory *mem);
/* protect: it is not mapped with its own protection. */
void plan_manners(struct memory *mem, const Mapping *m, bool protect);
/* Reads the pages of all runs, in whatever order. is_last: its own, when all children are forked. */
void plan_contents(struct memory *mem, const struct runs *runs, bool is_last);

/* --- who reads; between plan_contents.c and plan_readers.c ------------------------------------------ */

#define READERS_BLOCK (2ull << 20)  /* of a huge page; what a reader reads at once */
#define READERS_LEAST (16ull << 20) /* less than this the leader reads alone, in place */

/* The leader, or a process that has its memory. */
struct reader {
	struct memory *mem;
	struct plan *plan;
	uint32_t *fetch_of_store;
	uint64_t scratch; /* a block */
};

/* In the arena, in the order of the image. */
struct run *contents_by_place(struct memory *mem, const struct runs *runs);
void contents_read(struct reader *rd, const struct run *v, size_t n);
void contents_populate(struct plan *p, uint64_t start, uint64_t end);

struct reader readers_leader(struct memory *mem);
bool readers_are_worth(const struct runs *runs);
/* The runs of whole blocks that can be moved to their places, and all others. */
void readers_find_blocks(struct memory *mem, const struct runs *runs, struct runs *moved,
			 struct runs *rest);
/* Whether huge pages may be made of what is there by now. */
bool readers_may_collapse(const struct memory *mem, uint64_t at);
/* Gives whether there are readers for that. */
bool readers_plan_rest(struct memory *mem, const struct runs *runs);
void readers_plan_blocks(struct memory *mem, const struct runs *moved);

/* --- what a reader checks; plan_hash.c --------------------------------------------------------------- */

/* The runs that one reader reads, in this order; of zeros none is there. */
struct hashing {
	struct reader *reader;
	const struct run *v;
	size_t n, at;  /* at: the next one that is read */
	uint64_t sums; /* in the data */
	/* The block that is under way, up to `next`; end 0: none. */
	uint32_t store;
	uint64_t begin, next, end, xxh3;
};
void hashing_begin(struct hashing *h, struct reader *rd, const struct run *v, size_t n);
/* The next n runs have been read to where x->start tells; zeros are passed over. */
void hashing_go_on(struct hashing *h, const struct run *x, size_t n);

#endif
