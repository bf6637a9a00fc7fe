/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a task's memory carry information: by PAGEMAP_SCAN (Linux 6.7) or, without it, by
 * reading /proc/PID/pagemap. What the kernel can do is asked once, by trying.
 */
#ifndef PROC_PAGEMAP_H
#define PROC_PAGEMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Open on /proc/PID/pagemap. Zero-initialise, set fd. */
struct pagemap {
	int fd;
	bool no_scan;    /* found out: the ioctl is not there */
	bool no_guard;   /* found out: it does not know guard regions (before 6.16) */
	bool force_read; /* for tests: never use the ioctl */
};

/* Entries of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PM_FRAME ((1ull << 55) - 1) /* all 0 without CAP_SYS_ADMIN */
#define PM_EXCLUSIVE (1ull << 56)   /* nobody else has the page */
#define PM_GUARD (1ull << 58)       /* a guard; 6.15 */
#define PM_FILE (1ull << 61)
#define PM_SWAP (1ull << 62)
#define PM_PRESENT (1ull << 63)

/* The entries of n pages from `start` on, by one read. How many there are, fewer behind the end of what a
 * task can have; or -errno with text. */
int pagemap_read(const struct pagemap *p, uint64_t start, size_t n, uint64_t *entries,
		 struct error *e) must_check;

enum pagemap_what {
	PAGEMAP_PAGES,        /* in memory or in swap, and guards */
	PAGEMAP_PRIVATE_FILE, /* the same, but for what is the file's: what was copied on write */
	PAGEMAP_GUARDS,       /* guards alone */
	PAGEMAP_HUGE,         /* huge pages alone; nothing where the ioctl is not there */
};
typedef int pagemap_found(void *arg, uint64_t start, uint64_t end, bool guard);

/*
 * Calls found for each maximal run of such pages in [start, end); guard: it is a guard region
 * (MADV_GUARD_INSTALL), which has no contents. The zero page does not count where the ioctl can tell. On
 * Linux 6.13 and 6.14 nothing tells guards from pages in swap: they cannot be read. Kernels up to at least
 * 6.18 give back a wrong walk_end for vec_len > 512, so batches are smaller than that.
 * Stops at the first negative value of found and gives it.
 */
int pagemap_walk(struct pagemap *p, uint64_t start, uint64_t end, enum pagemap_what what,
		 pagemap_found *found, void *arg, struct error *e) must_check;

#endif
