/* SPDX-License-Identifier: MIT */
/*
 * How the look from outside (compare.h) is put together, for the files that read /proc: snapshot.c tasks and trees,
 * snapshot_memory.c mappings, snapshot_files.c descriptors. `proc` is "/proc/PID" or "/proc/PID/task/TID".
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>

struct line {
	char *key, *value;
};

/* Numbers, in the order of their first appearance. */
struct inodes {
	unsigned long *list;
	size_t n;
};

struct snapshot {
	struct line *lines;
	size_t n, room;
	int *tasks; /* every thread */
	size_t n_tasks;
	/* Memory lies on another device than pipes and other things: the same number may be among both. */
	struct inodes pipes, memory;
};

/* Ends the program when there is no memory. */
void *grown(void *p, size_t n);
/* A line more. */
void add(struct snapshot *s, const char *value, const char *key_fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The whole file, NUL-terminated; NULL if it cannot be read. length may be NULL. */
char *slurp(const char *path, size_t *length);
/* The inode number of a pipe is another after the restore; what counts is which ends belong together. */
size_t inode_index(struct inodes *all, unsigned long inode);
/* Memory without a name has another inode number after the restore, a System V segment the same. */
bool is_memory(const char *name);

void read_maps(struct snapshot *s, const char *proc);
/* Pipes are numbered before any set that watches one is read. */
void number_pipe(struct snapshot *s, const char *proc, int fd);
void read_fd(struct snapshot *s, const char *proc, int fd);

#endif
