/* SPDX-License-Identifier: MIT */
/*
 * What the subject of refuse.sh is made of: subject.c starts one of the cases of descriptors.c, memory.c and tasks.c,
 * which prepare what cr has to refuse, and then goes on for ever.
 */
#ifndef REFUSE_SUBJECT_H
#define REFUSE_SUBJECT_H

#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

struct refused {
	const char *name;
	void (*run)(void);
};
/* Each ends with one without a name. */
extern const struct refused of_descriptors[], of_memory[], of_tasks[];

/* A private folder. */
extern char dir[4096];

/* What cannot be had here is no failure of cr: says "skip WHAT" and ends, if rc is -1. */
long must(long rc, const char *what);
#define MUST(x) must((long)(x), #x)
void nap(void);
_Noreturn void doze(void);
/* A dot for each round. */
_Noreturn void go_on(void);
/* A path in the folder; valid until the next call. */
const char *in_dir(const char *name);
int new_file(const char *name);
/* A process outside the tree, for as long as the subject lives. */
void outside(void (*then)(pid_t));
void *map(size_t n, int prot, int flags, int fd);
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

/* What cases of more than one file do. */
void stay_bound(void); /* sleeps for good, and ends with its parent */
void unix_pair(void);
void hold_memory(
	pid_t me); /* for outside(): keeps the mappings, and of the descriptors a memory file */
int uffd_open(void);
void breakpoints(void);

#endif
