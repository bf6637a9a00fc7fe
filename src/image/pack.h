/* SPDX-License-Identifier: MIT */
/* Compression of blocks, each by itself. */
#ifndef IMAGE_PACK_H
#define IMAGE_PACK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "manifest.pb-c.h"

struct pack {
	Packing how;
	int level; /* 0: the library's own choice */
};
/* From "zstd", "lz4", "zstd:19". */
int pack_parse(const char *text, struct pack *out, struct error *e) must_check;
const char *pack_name(Packing how);

struct packer; /* what a library needs, for one block after the other */
/* Not for PACKING__NONE. */
struct packer *packer_new(struct pack pack);
void packer_free(struct packer *p); /* may be NULL */
/* Bytes that it has become, fewer than n; 0: it does not get smaller. `to` has room for n. */
size_t packer_run(struct packer *p, const void *from, size_t n, void *to);

/* False: those are not the bytes of a block of exactly `size`. */
bool pack_undo(Packing how, const void *from, size_t n, void *to, size_t size);

#endif
