/* SPDX-License-Identifier: MIT */
/*
 * Images that no cr has written, for fuzzers and tests. A *blob* is an image in one piece, as it is kept
 * in test/data/fuzz: the length of the manifest's record (32 bits, little endian), that record, and the
 * file `objects`. Checksums are not in it: they are made when it is written as a folder, so that what has
 * been changed gets past them.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "image/image.h"

/* --- blobs and folders (blob.c) ---------------------------------------------------------------- */

struct hostile_record {
	const struct record_type *type;
	ProtobufCMessage *msg;
	const void *raw; /* NULL, or what stands in the file in place of the packed message */
	size_t n_raw;
};

/* A blob that has been taken apart. */
struct hostile {
	struct arena arena;
	Manifest *manifest;
	vec(struct hostile_record) records;
};

/* False if it is no image, down to the messages: then there is nothing to free. */
bool hostile_parse(struct hostile *h, const uint8_t *blob, size_t n);
void hostile_free(struct hostile *h);
void hostile_pack(const struct hostile *h, struct buf *blob);
/* The list of tags in the manifest, after records were added or taken away. */
void hostile_fix_tags(struct hostile *h);
struct kind;
/* Adds a record of the kind where it would belong, all zero; false if the image has one. */
bool hostile_add_kind(struct hostile *h, const struct kind *k);
/* Adds an open file of the kind, under no number; gives the id. */
uint32_t hostile_add_description(struct hostile *h, const struct kind *k, uint32_t id);

/* The blob of an image folder. */
int hostile_read(const char *dir, struct buf *blob, struct error *e) must_check;

/* A folder in memory that is written again and again. */
struct hostile_dir {
	char path[64];
	int dir;
};
int hostile_dir_make(struct hostile_dir *d);
void hostile_dir_remove(struct hostile_dir *d);
/* Writes an image; page stores get as many zeros as the manifest says, up to a MiB. */
void hostile_dir_write(const struct hostile_dir *d, const uint8_t *blob, size_t n);
/* The same in a folder that is there, with stores of its own that are left alone. */
void hostile_write(int dir, const uint8_t *blob, size_t n);
/* Writes a file as it is. */
void hostile_write_file(int dir, const char *name, const void *p, size_t n);

/* --- changes by descriptor (mutate.c) ------------------------------------------------------------ */

/* A field of a message. */
struct hostile_place {
	ProtobufCMessage *msg;
	const ProtobufCFieldDescriptor *field;
};
/* All fields of a message and of those inside (of long lists, the first two and the last). */
void hostile_each_place(ProtobufCMessage *msg, void *arg,
			void (*each)(void *arg, const struct hostile_place *p));
/*
 * Gives the field its n-th odd value: 0, extremes, empty, long, absent ... false: there are not so many.
 * Only the struct of p->msg itself is changed, so who has a copy of it can undo the change.
 */
bool hostile_set(struct arena *a, const struct hostile_place *p, unsigned int n);
/* The record's n-th damage as bytes: a field left out, twice, another order, an unknown one. */
bool hostile_damage(struct arena *a, struct hostile_record *r, unsigned int n);

/* One random change of a blob; rest: what else may change the bytes (NULL: nothing). The new size. */
size_t hostile_mutate(uint8_t *blob, size_t n, size_t room, unsigned int seed,
		      size_t (*rest)(uint8_t *data, size_t n, size_t room));

/* --- what is done with an image (consume.c) ------------------------------------------------------ */

enum hostile_use {
	HOSTILE_VERIFY = 1,
	HOSTILE_SHOW = 2,
	HOSTILE_JSON = 4,
	HOSTILE_PLAN = 8, /* the pure part of a restore, for a made-up machine */
	HOSTILE_ALL = 15,
};
/*
 * Does that with the image in the folder. 0: it would be restored, else a negative value: it was refused,
 * with a sentence; whatever else is wrong ends the program by abort().
 */
int hostile_use(const char *dir, unsigned int uses, struct error *e);

#endif
