/* SPDX-License-Identifier: MIT */
/*
 * Memory that several processes can share and that has no name in a file system: shared anonymous
 * memory, memory files, System V segments, files of /dev/shm that were deleted. All that is of one inode is one object, whoever maps it or
 * has it open; it becomes one record SHRM, and its pages are stored once. They are read through a
 * descriptor of the object itself, from the subject's own or from /proc/PID/map_files, so that parts
 * which nobody maps are there too, and holes stay holes.
 *
 *   shmem.c        which objects there are, and their records; shmem_pages.c: their pages
 *   outside.c      whether a process outside the tree has one of them too
 */
#ifndef DUMP_SHMEM_H
#define DUMP_SHMEM_H

#include "dump/internal.h"
#include "proc/shmem.h"
#include "shmem.pb-c.h"

struct shmem {
	struct shmem *next; /* in its bucket */
	enum shmem_sort sort;
	uint64_t inode;     /* of a System V segment: its id */
	uint64_t page_size; /* of huge pages; else 4096 */
	uint32_t id;        /* of the record */
	const char *text;
	/* How to get at it: a mapping of this process, or one of its descriptors if end is 0. */
	const struct dump_process *process;
	uint64_t start, end;
	int fd;
	bool noreserve;
};

/* There can be as many as mappings. */
#define SHMEM_BUCKETS 1024u

/* A user of such memory outside the tree. */
struct outsider {
	enum shmem_sort sort;
	uint64_t inode, page_size;
	int pid;
};

/* A mapping of sort MAPPING_SHMEM, and a descriptor of a kind that is_shmem: note the object, refuse by name. */
int shmem_add_mapping(struct dump *d, const struct dump_process *p, const struct vma *v,
		      struct error *e) must_check;
int shmem_add_fd(struct dump *d, const struct dump_process *p, const struct fd_view *v,
		 struct error *e) must_check;
/* The size of pages of memory of this sort on this device, 0: it is none; once these are known. */
uint64_t shmem_page_size(struct dump *d, enum shmem_sort sort, uint64_t dev);
/* Forgets them, for a probe to come. */
void shmem_forget(struct dump *d);
uint32_t shmem_id(struct dump *d, const char *text, uint64_t dev, uint64_t inode);
/* Refuses segments that more are attached to than what the tree has mapped. */
int shmem_check_attached(struct dump *d, struct error *e) must_check;
/* Once all of the tree are known: refuses what processes outside have too. */
int shmem_check(struct dump *d, struct error *e) must_check;
/* SHRM of all, with the pages. */
int shmem_save(struct dump *d, struct error *e) must_check;

/* Stores the pages of the object that fd is open on, m->size bytes, and lists them. */
int shmem_save_pages(struct dump *d, int fd, SharedMemory *m, struct error *e) must_check;

/*
 * Looks through all processes that may be looked at, once, and refuses what one outside the tree has
 * too. Without a complete list of the tree's own: what both have according to this look.
 */
int outside_check(struct dump *d, struct error *e) must_check;

#endif
