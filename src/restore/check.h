/* SPDX-License-Identifier: MIT */
/*
 * What image_open cannot know because it takes the kinds to know it: every id leads somewhere, every
 * number is in its range, the tree is one tree. `cr restore` and `cr verify` call it before they
 * believe a word of an image. Pure.
 *
 *   check.c         the tree, threads, descriptors, who a record belongs to
 *   check_mm.c      address spaces: mappings, extents, the kernel's own rules for prctl_mm_map
 *   check_shmem.c   shared memory, and mappings of it
 *   check_pages.c   the page stores
 *   check_values.c  by reflection, every message of whatever kind: paths, lengths of strings
 */
#ifndef RESTORE_CHECK_H
#define RESTORE_CHECK_H

#include "base/error.h"
#include "image/image.h"
#include "kind.h"
#include "mm.pb-c.h"
#include "shmem.pb-c.h"

#define CHECK_MAX_TASK 0x400000u            /* PID_MAX_LIMIT of the kernel: tids are below it */
#define CHECK_MAX_FD 0x100000u              /* descriptor numbers are below it */
#define CHECK_MAX_ADDRESS 0x800000000000ull /* of user space with four levels of page tables */
#define CHECK_PAGE 4096u

int restore_check(const struct image *img, struct error *e) must_check;
/* Bytes of memory that have their contents from the page stores. */
uint64_t restore_filled(const struct image *img);
/* image_check_pages; a damaged block is named with one whose pages it has. */
int restore_check_pages(struct image *img, const char *dir, unsigned int width,
			struct error *e) must_check;

/* Its parts. */
int check_mm(const struct image *img, const Mm *mm, struct error *e) must_check;
/* That what it has from its parent is there; NULL: it has none. Both have been checked alone. */
int check_mm_same(const Mm *mm, const Mm *above, struct error *e) must_check;
int check_shmem(const struct image *img, const SharedMemory *m, struct error *e) must_check;
int check_shmem_mapping(const struct image *img, const Mapping *m, struct error *e) must_check;
/* Of huge pages. */
int check_page_size(uint64_t size, struct error *e) must_check;
/* That pages lie where a store has some. */
int check_stored(const struct image *img, const Extent *x, struct error *e) must_check;
int check_values(const ProtobufCMessage *msg, struct error *e) must_check;

#endif
