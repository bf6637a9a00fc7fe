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

#define STORE_NAME_ROOM 16
void store_name(char name[STORE_NAME_ROOM], unsigned int n); /* "pages-N" */

/* A page store that is being written; zero-initialised is not yet open. */
struct store {
	void *hash; /* running checksum; not NULL: open */
	int fd;
	uint64_t size;
};
int store_create(struct store *s, int dir, unsigned int n, struct error *e) must_check;
int store_append(struct store *s, const void *p, size_t n, struct error *e) must_check;
/* Checks that all went well and closes; gives size and checksum. */
int store_finish(struct store *s, bool sync, uint64_t *size, uint64_t *xxh3,
		 struct error *e) must_check;
void store_drop(struct store *s);

/* Creates a file 0600 with these bytes. */
int store_write_file(int dir, const char *name, const void *p, size_t n, bool sync,
		     struct error *e) must_check;
/* The checksum of the first `size` bytes of a file. */
int store_hash(int fd, uint64_t size, uint64_t *xxh3, struct error *e) must_check;

/*
 * 0 if the folder holds only files that an image can have (and, with whole, a manifest); else an
 * error that names the first other one.
 */
int store_check_folder(int dir, bool whole, struct error *e) must_check;
/* Removes those files, and then parent/name, which dir is open on; refuses what store_check_folder
 * does. */
int store_remove_folder(int parent, const char *name, int dir, struct error *e) must_check;

#endif
