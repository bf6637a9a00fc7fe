/* SPDX-License-Identifier: MIT */
/* The calls of the dump engine that a kind may make. */
#ifndef DUMP_API_H
#define DUMP_API_H

#include "kind.h"

/* Memory for strings, bytes and arrays in records; lives until the dump ends. */
struct arena *dump_arena(struct dump *d);
/* Id of the description that a descriptor refers to, in the table of another (its view's pid); 0: there is no such
 * descriptor. */
uint32_t dump_description(struct dump *d, int table, int fd);
/* The lowest id of all descriptions that are a key's: the first caller with this key and kind sets it
 * to its own id. For objects that have several descriptions, such as pipes (key: inode). For kinds of
 * descriptors, and of tasks whose ops say in_order. */
uint32_t dump_shared(struct dump *d, const struct kind *k, uint64_t key, uint32_t id);
/* Calls each(arg, thread) for every thread of process pid that is held; stops at a negative value. */
int dump_each_thread(struct dump *d, int pid,
		     int (*each)(void *arg, const struct held_thread *held), void *arg);
/* Id of the shared memory that a description (of a kind with is_shmem) is of. */
uint32_t dump_shmem(struct dump *d, const struct fd_view *v);
/* Calls each(arg, view) for every description of the tree, in order of id; stops at a negative value. */
int dump_each_description(struct dump *d, int (*each)(void *arg, const struct fd_view *v),
			  void *arg);

#endif
