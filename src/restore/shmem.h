/* SPDX-License-Identifier: MIT */
/*
 * Shared memory at the restore: made by cr (shmem.c), System V segments by segment.c.
 *
 *   link    which there are and who may write; pure
 *   make    the objects, before any task goes on
 *   fill    their pages, while the tasks lay out their memory
 *   finish  what must come after the mappings of the tasks: seals
 *   close   cr's own hold on them; after a failure what cr has made goes away
 */
#ifndef RESTORE_SHMEM_H
#define RESTORE_SHMEM_H

#include "restore/internal.h"
#include "shmem.pb-c.h"

/* In the mode of a segment: <linux/shm.h>'s, which does not go together with <sys/shm.h>. */
#define SEGMENT_DEST 01000u   /* SHM_DEST: removed, goes with its last user */
#define SEGMENT_LOCKED 02000u /* SHM_LOCKED */

struct made_shmem {
	const SharedMemory *rec;
	int fd;             /* for reading and writing; -1 until it is made */
	uint32_t n_writers; /* memories with a shared mapping that may be written */
	bool has_shut; /* some have one that may not, though its descriptor could write: a seal came first */
	bool is_filled, is_sealed;
	uint64_t word;  /* in the region: how many of the writers have mapped it */
	void *attached; /* segment: in cr */
	bool is_new;    /* segment: made by this cr, and goes away if the restore fails */
};

void shmem_link(struct restore *r);
/* Where those meet who map what is shut. */
int shmem_find_words(struct restore *r, struct error *e) must_check;
/* Whether F_SEAL_FUTURE_WRITE comes between the mappings of some and those of others (plan_shut.c). */
bool shmem_is_shut(const struct made_shmem *s);
/* The place in r->shmems; n_shmems if there is none. */
uint32_t shmem_index(const struct restore *r, uint32_t id);
const SharedMemory *shmem_of(const struct restore *r, const Mapping *m);
int shmem_make_all(struct restore *r, struct error *e) must_check;
/* A new description of it. */
int shmem_open(struct restore *r, uint32_t id, int flags, struct error *e) must_check;
int shmem_fill_all(struct restore *r, struct error *e) must_check;
int shmem_finish(struct restore *r, struct error *e) must_check;
void shmem_close(struct restore *r, bool failed);

/* The very object that is mapped at p, from its begin to its end. */
int shmem_open_mapped(const void *p, uint64_t size, struct error *e) must_check;

/* --- segment.c ------------------------------------------------------------------------------------ */

int segment_make(struct made_shmem *s, struct error *e) must_check;
void segment_close(struct made_shmem *s, bool failed);

#endif
