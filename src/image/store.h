/* SPDX-License-Identifier: MIT */
/*
 * The files of an image: their names, one page store that is written, the folder as a whole.
 */
#ifndef IMAGE_STORE_H
#define IMAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "image/pack.h"

#define STORE_NAME_ROOM 16
void store_name(char name[STORE_NAME_ROOM], unsigned int n); /* "pages-N" */

/* Pages are cut into blocks of this size, each with a checksum of its own, and compressed by itself. */
#define STORE_BLOCK ((size_t)1 << 20)

/* A page store that is being written; zero-initialised is not yet open. */
struct store {
	void *hash; /* of the block that grows; not NULL: open */
	int fd;
	uint64_t size; /* bytes of pages */
	/* Compressed stores: the block that grows, room for what becomes of it. */
	struct packer *packer;
	char *block, *packed;
	uint64_t written;      /* bytes of the file */
	vec(uint64_t) sums;    /* of the blocks that are whole */
	vec(uint32_t) lengths; /* compressed stores: of these in the file */
};
int store_create(struct store *s, int dir, unsigned int n, struct pack pack,
		 struct error *e) must_check;
int store_append(struct store *s, const void *p, size_t n, struct error *e) must_check;
/* Checks that all went well and closes. */
int store_finish(struct store *s, bool sync, struct error *e) must_check;
/* Frees what is left, closes if it was not finished. */
void store_drop(struct store *s);

/* Creates a file 0600 with these bytes. */
int store_write_file(int dir, const char *name, const void *p, size_t n, bool sync,
		     struct error *e) must_check;
/* The checksum of `size` bytes of a file from `at` on. */
int store_hash(int fd, uint64_t at, uint64_t size, uint64_t *xxh3, struct error *e) must_check;
uint64_t store_hash_bytes(const void *p, size_t n);
/* Of a list of checksums, little endian. */
uint64_t store_hash_blocks(const uint64_t *sums, size_t n);

/*
 * 0 if the folder holds only files that an image can have (and, with whole, a manifest); else an
 * error that names the first other one.
 */
int store_check_folder(int dir, bool whole, struct error *e) must_check;
/* Removes those files, and then parent/name, which dir is open on; refuses what store_check_folder
 * does. */
int store_remove_folder(int parent, const char *name, int dir, struct error *e) must_check;

#endif
