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
/* How many descriptions of kinds that are made_late there are; and whether one of them is. */
size_t dump_n_late(const struct dump *d);
/* A thread says that it will make such a description; gives the first that has said so. 0: only tell. */
uint32_t dump_make_late(struct dump *d, uint32_t description, uint32_t tid);
bool dump_is_late(const struct dump *d, uint32_t description);
/* Id of the descriptor table that a thread has: the pid of a process, or the tid of a thread with one of its own. */
uint32_t dump_table_of(struct dump *d, int tid);
/* Whether a table has a description. */
bool dump_table_has(struct dump *d, uint32_t table, uint32_t description);
/* Whether all threads of a process, its first one too, have one table, and nobody else has it. */
bool dump_table_is_own(struct dump *d, int pid);
/* Whether the process of a task may open n more descriptors, and those that are late under their numbers
 * (RLIMIT_NOFILE); an error if not. *lowest: the first number that is free. */
int dump_check_numbers(struct dump *d, const struct task_view *v, uint32_t n, uint32_t *lowest,
		       struct error *e) must_check;

#endif
