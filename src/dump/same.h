/* SPDX-License-Identifier: MIT */
/*
 * Which pages several processes of a tree share copy-on-write, so that each is stored once.
 *
 * By frame: a page that more than one process has (pagemap tells that without rights) is noted with its
 * frame when it is stored. A later process with this frame at the same address has the page of the one who
 * was noted, its holder, if that holder has the frame there still. The kernel may move pages and use their
 * frames again even while nothing runs, so it is read thrice: the process, then the holder, then the
 * process again. Frames that are equal in all three are one page, whose contents are those that were
 * stored for the holder: nothing that is frozen changes them, wherever they lie.
 *
 * By content, where frames are not shown (without CAP_SYS_ADMIN): noted is a checksum of address and
 * contents, and what has the same one is compared with the memory of the holder.
 *
 * What is shared is read through /proc/PID/mem: process_vm_readv pins the pages, for which the kernel makes
 * copies of those that are shared.
 *
 * The table takes 16 to 32 bytes for each page that is shared, stored once; pages that a process has
 * alone are not in it.
 */
#ifndef DUMP_SAME_H
#define DUMP_SAME_H

#include "dump/internal.h"

#define SAME_MOST 128u /* pages that are compared at once */

/* NULL for a single process, which all the others take. */
struct same *same_new(struct dump *d);
void same_free(struct same *s);

/* The process with this index is looked at now, those before it have been. */
void same_begin(struct same *s, size_t process, int pagemap);
/*
 * Who has the pages from `start` on; *stop: how far that goes, at most to `end`. `limit`: up to where it may
 * be read ahead. SAME_ALONE: nobody else; SAME_SHARED: somebody, of whom nothing was stored; SAME_MAYBE:
 * somebody, their contents will tell; else a holder.
 */
#define SAME_ALONE 0
#define SAME_SHARED 0x7ffffffeu
#define SAME_MAYBE 0x7fffffffu
int64_t same_holder(struct same *s, uint64_t start, uint64_t end, uint64_t limit, uint64_t *stop,
		    struct error *e) must_check;
/*
 * Of n pages (up to SAME_MOST) with these addresses and contents, who has them too; 0: nobody. Addresses
 * that are 0 are passed over.
 */
int same_compare(struct same *s, const uint64_t *at, const char *pages, size_t n, uint32_t *holders,
		 struct error *e) must_check;

/* What is known of the pages from `at` on, up to `length`, of a holder. */
struct same_piece {
	uint64_t length;
	enum pages_sort sort; /* PAGES_SAME, PAGES_DATA; PAGES_ZERO: they were not stored */
	uint32_t store;       /* PAGES_DATA */
	uint64_t offset;
};
/* For a process that has the same pages. */
struct same_piece same_place(const struct same *s, const struct dump_process *p, uint32_t holder,
			     uint64_t at, uint64_t length);

#endif
