/* SPDX-License-Identifier: MIT */
/*
 * How processes come to share memory and signal actions again.
 *
 * Both are handed on at birth alone (CLONE_VM, CLONE_SIGHAND), and only execve(2) gives a process others: so
 * whoever has those of another must have them from his parent, who has them still; or from a sibling, which makes
 * him as the child of their parent (CLONE_PARENT), where that one has other memory by now. Of all that have one memory
 * the first in the tree makes it, and the siblings. Who shares signal actions shares memory (clone(2)).
 *
 * Called by relations_find. Pure.
 */
#ifndef TREE_SPACE_H
#define TREE_SPACE_H

#include "tree/relations.h"

/* For whose processes there is room to wait for each other (restore/internal.h). */
#define SPACES_MOST 100u

int spaces_find(struct relatives *all, struct error *e) must_check;

#endif
