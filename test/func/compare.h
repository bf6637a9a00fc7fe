/* SPDX-License-Identifier: MIT */
/*
 * The look from outside: what /proc says of a tree of processes, as sorted lines of key and value,
 * and the comparison of two such snapshots. compare.c holds the one table of what may differ.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdio.h>
#include <sys/types.h>

struct snapshot;

/* Of the process and all its descendants. NULL if it is gone. */
struct snapshot *snapshot_take(pid_t root);
void snapshot_free(struct snapshot *s);
/* Writes every difference that is not in the table of exceptions; gives how many there are. */
unsigned int snapshot_compare(const struct snapshot *before, const struct snapshot *after,
			      FILE *out);

#endif
