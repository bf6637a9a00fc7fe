/* SPDX-License-Identifier: MIT */
/*
 * How tasks come to share an I/O context again, in which the kernel keeps their I/O priority.
 *
 * It is handed on at birth alone (CLONE_IO), by the very thread that makes the other one, and cannot be left. So a
 * process must have it from the first thread of its parent, and a thread from the one that clones it. What would
 * need another maker is refused.
 *
 * Pure.
 */
#ifndef TREE_CONTEXTS_H
#define TREE_CONTEXTS_H

#include "tree/tables.h"

/* Called by relations_find. */
int contexts_find(struct relatives *all, struct error *e) must_check;
/* Behind tables_find_threads, which has found who clones whom; another with the same tables may take its place. */
int contexts_find_threads(struct kin *v, size_t n, struct error *e) must_check;

#endif
