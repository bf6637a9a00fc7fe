/* SPDX-License-Identifier: MIT */
#include "proc/shmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"

#define DELETED " (deleted)"
#define MEMFD "/memfd:"
#define SYSV "/SYSV"
#define TMPFS "/dev/shm/"

static bool ends_deleted(const char *text)
{
	size_t n = strlen(text), m = strlen(DELETED);

	return n >= m && !strcmp(text + n - m, DELETED);
}

enum shmem_sort shmem_sort_of(const char *text)
{
	if (!strcmp(text, "/dev/zero" DELETED) || !strcmp(text, "/anon_hugepage" DELETED))
		return SHMEM_ANON;
	if (str_starts(text, MEMFD) && ends_deleted(text))
		return SHMEM_FILE;
	if (str_starts(text, SYSV) && ends_deleted(text))
		return SHMEM_SYSV;
	if (str_starts(text, TMPFS) && ends_deleted(text) && !strchr(text + strlen(TMPFS), '/'))
		return SHMEM_TMPFS;
	return SHMEM_NONE;
}

size_t shmem_name(const char *text, const char **name)
{
	size_t before = strlen(shmem_sort_of(text) == SHMEM_TMPFS ? TMPFS : MEMFD);

	*name = text + before;
	return strlen(text) - before - strlen(DELETED);
}

uint32_t shmem_key(const char *text)
{
	return (uint32_t)strtoul(text + strlen(SYSV), NULL, 16);
}

size_t shmem_huge_devices(struct shmem_huge out[SHMEM_HUGE_MOST])
{
	static const unsigned int logs[] = { 16, 20, 21, 25, 28, 29, 30, 34 };
	size_t n = 0;

	_Static_assert(sizeof(logs) / sizeof(logs[0]) <= SHMEM_HUGE_MOST, "room for all");
	for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
		auto_fd fd =
			memfd_create("cr", MFD_CLOEXEC | MFD_HUGETLB | (logs[i] << MAP_HUGE_SHIFT));
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0)
			out[n++] = (struct shmem_huge){ st.st_dev, 1ull << logs[i] };
	}
	return n;
}

int shmem_device(dev_t *dev, dev_t *tmpfs, struct error *e)
{
	auto_fd fd = memfd_create("cr", MFD_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(e, errno, "make a memory file");
	*dev = st.st_dev;
	*tmpfs = stat(TMPFS, &st) == 0 ? st.st_dev : 0;
	return 0;
}
