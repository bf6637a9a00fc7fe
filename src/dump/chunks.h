/* SPDX-License-Identifier: MIT */
/*
 * Pages that are to be read and stored. The walk through page tables notes them, process by process; then all are
 * read at once: cut into parts of the same size, one behind the other, each with a page store of its own and
 * a worker, where there is enough for several.
 */
#ifndef DUMP_CHUNKS_H
#define DUMP_CHUNKS_H

#include "dump/internal.h"

#define CHUNKS_READ (512u << 10) /* bytes that are read and written at once */

/* Pages that lie one behind the other, in one mapping. */
struct page_run {
	uint64_t start, length;
	uint32_t mapping; /* index in the list of maps */
	uint32_t others;  /* SAME_ALONE, SAME_SHARED or SAME_MAYBE */
};
/* What is read at once. */
struct chunk {
	struct dump_process *process;
	size_t first, n; /* runs */
	size_t bytes;
	size_t n_found; /* extents that came of it */
};
/* Pages that an earlier process has as well. */
struct held_pages {
	struct dump_process *process;
	uint64_t start, length;
	uint32_t mapping, holder;
};

/* Zero-initialised but for d is empty. */
struct chunks {
	struct dump *d;
	vec(struct page_run) runs;
	vec(struct chunk) list;
	vec(struct held_pages) held;
	uint64_t bytes;
	size_t first; /* process whose pages are not settled yet */
	bool quiet;   /* the holder and the subject do nothing */
	bool asks;    /* there are pages whose contents will tell who has them */
};
void chunks_free(struct chunks *c);

/* Processes and addresses ascend. */
void chunks_add(struct chunks *c, struct dump_process *p, struct page_run run);
void chunks_add_held(struct chunks *c, struct held_pages held);
/*
 * Reads and stores all that was added, and notes in the lists of the processes where it lies. With `asks`
 * it must be called before the next process is looked at, whose pages may be compared with those of this one.
 */
int chunks_settle(struct chunks *c, struct error *e) must_check;

/* Into how many parts so many bytes are cut. `quiet`: the holder and the subject do nothing meanwhile. */
size_t chunks_parts(struct dump *d, uint64_t bytes, bool quiet);

#endif
