/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own files without a name that hold memory, by the texts of their links and in maps:
 * shared anonymous memory, memory files (memfd_create), System V segments. All lie on one device. Beside
 * them files of /dev/shm that have lost their name, as shm_unlink(3) and sem_unlink(3) leave them.
 */
#ifndef PROC_SHMEM_H
#define PROC_SHMEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum shmem_sort {
	SHMEM_NONE,
	SHMEM_ANON,  /* "/dev/zero (deleted)", of huge pages "/anon_hugepage (deleted)" */
	SHMEM_FILE,  /* "/memfd:NAME (deleted)" */
	SHMEM_SYSV,  /* "/SYSV0123abcd (deleted)" */
	SHMEM_TMPFS, /* "/dev/shm/NAME (deleted)" */
};

/*
 * By the text alone: a file on disk can have such a name, private memory of huge pages (MAP_HUGETLB) has
 * that of the shared one.
 */
enum shmem_sort shmem_sort_of(const char *text);
/* Of a memory file or one of /dev/shm, not terminated; the length. */
size_t shmem_name(const char *text, const char **name);
/* Of a System V segment: the key that it was made with. */
uint32_t shmem_key(const char *text);
/* Of all of them; of /dev/shm, 0 if there is no such folder. */
int shmem_device(dev_t *dev, dev_t *tmpfs, struct error *e) must_check;

/* Memory of huge pages lies on devices of its own, one for each size of page. */
struct shmem_huge {
	dev_t dev;
	uint64_t page_size;
};
#define SHMEM_HUGE_MOST 8u
/* How many sizes of them this kernel has. */
size_t shmem_huge_devices(struct shmem_huge out[SHMEM_HUGE_MOST]);

#endif
