/* SPDX-License-Identifier: MIT */
/*
 * An image is a folder: `manifest`, `objects` and the page store `pages-0` ... It is whole or not
 * there: everything is written into DIR.partial, synced, the manifest with the checksums of all
 * other files last, then DIR.partial becomes DIR by one rename.
 *
 *   objects    a sequence of framed records: a head of 16 bytes and one protobuf message, padded
 *              with zero bytes to a multiple of 8. Field 1 of every message is `uint32 id`.
 *   pages-N    pages, append only, in blocks of 1 MiB; the records say which page lies where. Raw, or each
 *              block compressed: then places are those before compression
 *   manifest   one framed record MANI and behind it XXH3_64bits of all bytes before, little endian
 *
 * An image is input from outside: whatever is in it, reading gives an error or valid records, and
 * never looks at a file outside the folder (names are fixed, opened with O_NOFOLLOW).
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "image/pack.h"
#include "manifest.pb-c.h"

#define IMAGE_FORMAT 2u       /* of the whole image */
#define IMAGE_FORMAT_FIRST 1u /* that can be read: page stores have one checksum */
#define IMAGE_STORES 16u      /* page stores at most */

/* What a record can be. The tag is on disk: four letters, never reused. Field 1 of the message is
 * the id; none is called "tag" or "version", which would hide them in the JSON form. */
struct record_type {
	const char *tag;
	uint32_t version;
	const ProtobufCMessageDescriptor *desc;
};

struct record_head {
	char tag[4];
	uint32_t version;
	uint64_t length; /* of the message, without head and padding */
};
_Static_assert(sizeof(struct record_head) == 16, "on disk");

struct record {
	const struct record_type *type;
	uint32_t id;
	ProtobufCMessage *msg;
};

/* --- writing --------------------------------------------------------------------------------- */

struct image_writer;
/*
 * Creates DIR.partial (0700; one that an earlier dump left behind is removed first, one that
 * another dump is writing is refused). EEXIST if DIR exists and force is not set; with force it
 * must look like an image (a manifest, and nothing that an image does not have), so that nothing
 * else is ever removed.
 */
int image_create(struct image_writer **w, const char *dir, bool force, bool sync,
		 struct error *e) must_check;
/* The pages that are put from now on are compressed; before the first ones. */
void image_compress(struct image_writer *w, struct pack pack);
/* Appends a record (in memory until image_finish). The message's id field is its id. */
int image_put(struct image_writer *w, const struct record_type *type, const ProtobufCMessage *msg,
	      struct error *e) must_check;
/*
 * Appends n bytes (whole pages) to page store `store` (0, 1, ...; one writer thread each, opened at
 * first use, with its checksum kept up). image_next_place, which that thread may ask before, tells where
 * they begin.
 */
int image_put_pages(struct image_writer *w, unsigned int store, const void *p, size_t n,
		    struct error *e) must_check;
uint64_t image_next_place(const struct image_writer *w, unsigned int store);
/*
 * Writes objects and manifest, syncs. After this DIR.partial is whole. Fills in id, format, tags
 * and files of m; these live until image_close.
 */
int image_finish(struct image_writer *w, Manifest *m, struct error *e) must_check;
/*
 * Makes DIR.partial DIR: renameat2(RENAME_NOREPLACE), or with force and an existing DIR an
 * exchange, the old one then removed; syncs the parent folder. After a failure DIR is as it was.
 * May be called in a process forked after image_create (it uses only descriptors and names that
 * both have); nothing else of the writer may.
 */
int image_publish(struct image_writer *w, struct error *e) must_check;
/* The same in steps: the name; that it is on the disk; after a failure of that (rc), the name taken away
 * again; and what is left to do when there is time. */
int image_name(struct image_writer *w, struct error *e) must_check;
int image_sync_name(struct image_writer *w, struct error *e) must_check;
int image_unname(struct image_writer *w, int rc, struct error *e) must_check;
void image_remove_replaced(struct image_writer *w);
/* When the process that was to do this has died on the way: whether the image has got its name. If so,
 * what is left can be done here; if not, an old DIR is as it was. */
bool image_has_name(struct image_writer *w);
/* Frees the writer; removes DIR.partial unless it was published, by any process (or `keep`). w may
 * be NULL. */
void image_close(struct image_writer *w, bool keep);

/* --- reading --------------------------------------------------------------------------------- */

struct image {
	struct arena arena;
	int dir;
	Manifest *manifest;
	vec(struct record) records; /* in file order; sorted index inside */
	struct record **index;      /* by tag, then id */
	int *stores; /* descriptors of pages-N, O_RDONLY; once checked, of compressed ones: of the pages */
	uint64_t *store_sizes; /* bytes of pages */
	size_t n_stores;
};

/*
 * Opens DIR, checks every checksum (pages too, as image_check_pages, unless skip_pages), unpacks every record. Refused: a
 * missing or unknown file in the manifest's list, another format version, an unknown tag or
 * version, unknown or missing fields, two records of the same tag and id, bytes behind the last
 * record. After a failure there is nothing to free, though image_free does no harm.
 */
int image_open(struct image *img, const char *dir, const struct record_type *types, size_t n_types,
	       bool skip_pages, struct error *e) must_check;
/*
 * Checks all page stores, block by block, by `width` workers (0: one for each processor); compressed ones become readable: their pages are
 * put into memory. After a failure *at tells which store it was, and where in its pages.
 */
struct image_place {
	uint32_t store;
	uint64_t offset, length; /* 0, 0: nowhere */
};
int image_check_pages(struct image *img, const char *dir, unsigned int width,
		      struct image_place *at, struct error *e) must_check;
/* How many blocks a store has: they are numbered through all stores, one behind the other. */
size_t image_blocks(const struct image *img, uint32_t store);
/* Bytes of a block of this store, and the checksum of the one in which byte `at` of the pages lies, if it is that of
 * the pages themselves; 0: it is not, or there is none. */
uint64_t image_block(const struct image *img, uint32_t store, uint64_t *xxh3, uint64_t at);
/*
 * The same beside other things, by up to `width` threads that last until image_check_end, which must follow. Where it
 * can wait: there is enough to do for several, nothing has to be unpacked before it is read, and no store is a single
 * block (format 1). done: of all blocks, those that somebody else checks. may_go_on is asked before each block, by
 * any of the threads: a failure ends the check, and no block is to blame. give_up: what is not checked by then is not
 * checked at all.
 */
struct image_check;
bool image_check_can_wait(const struct image *img, unsigned int width);
struct image_check *image_check_begin(struct image *img, const char *dir, unsigned int width,
				      const bool *done,
				      int (*may_go_on)(void *arg, struct error *e), void *arg);
bool image_check_has_failed(const struct image_check *c);
int image_check_end(struct image_check *c, bool give_up, struct image_place *at,
		    struct error *e) must_check;
void image_free(struct image *img);
/* The record, or NULL. */
const struct record *image_find(const struct image *img, const char *tag, uint32_t id);

/* --- printing -------------------------------------------------------------------------------- */

#include <jansson.h>
/* Any message by reflection: integers as numbers (those over 2^63 as text), fixed32/fixed64 (masks,
 * addresses) as "0x...", bytes as hex text (long ones too), enums by name, absent optional fields
 * left out. Bytes of a string that are no UTF-8 become \xNN. New reference. */
json_t *image_message_json(const ProtobufCMessage *msg);
/* The whole image: {"manifest": {...}, "records": [{"tag":, "version":, ...}]}. */
json_t *image_json(const struct image *img);

#endif
