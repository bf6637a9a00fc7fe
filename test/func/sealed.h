/* SPDX-License-Identifier: MIT */
/* Sealed mappings (mseal, Linux 6.10). */
#ifndef SEALED_H
#define SEALED_H

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* 0, or -1 and ENOSYS where there is no such thing. */
static inline int seal(char *p, size_t size)
{
	return (int)syscall(SYS_mseal, p, size, 0ul);
}

/* 0, or which of the things that are not allowed to a sealed mapping has been done to its first page. */
static inline int is_open(char *p)
{
	const size_t page = 4096;

	if (munmap(p, page) == 0 || errno != EPERM)
		return 1;
	if (mprotect(p, page, PROT_NONE) == 0 || errno != EPERM)
		return 2;
	if (mremap(p, page, 2 * page, MREMAP_MAYMOVE) != MAP_FAILED || errno != EPERM)
		return 3;
	return 0;
}

#endif
