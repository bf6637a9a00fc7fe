/* SPDX-License-Identifier: MIT */
/*
 * How processes come to share a descriptor table or an fs (working folder, root folder, umask) again.
 *
 * Such a table is handed on at birth alone, from the parent, and can only be left for a copy of one's own
 * (unshare). So one that several processes have comes to them along the branches between them: whoever
 * stands in between has it for a while, forks those that are to have it, and leaves it. Nobody can go back
 * to one that he has left, and nobody can be born with two: what would need that is refused.
 *
 * Threads of one process get theirs from the thread that clones them, likewise.
 *
 * Called by relations_find. Pure.
 */
#ifndef TREE_TABLES_H
#define TREE_TABLES_H

#include "tree/relations.h"

/* For whom there is room to wait for each other (restore/internal.h); half of it is for others. */
#define TABLES_MOST 100u

int tables_find(struct relatives *all, struct error *e) must_check;

/* A thread of a process, and its tables. */
struct kin {
	/* Set by the caller. */
	uint32_t id;
	uint32_t table[TABLES];
	uint32_t context; /* as in struct relative */
	/* Found out. */
	uint32_t
		maker; /* the index of the thread that clones it; its own: the process begins with it */
	bool own[TABLES]; /* it is the first that has it, and does not get it from its maker */
	bool has_context; /* contexts.h: that of its maker */
};

/* v[0] is what the process begins with: of that it has all. */
int tables_find_threads(struct kin *v, size_t n, struct error *e) must_check;

#endif
