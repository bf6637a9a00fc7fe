/* SPDX-License-Identifier: MIT */
/*
 * The framing of records: what lies in `objects` and `manifest`. The functions work on memory, so
 * that the reader can be fuzzed without files.
 */
#ifndef IMAGE_RECORD_H
#define IMAGE_RECORD_H

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"
#include "image/image.h"

#define RECORD_MAX ((uint64_t)1 << 30) /* bytes of one message */
#define MANIFEST_MAX \
	((uint64_t)64 << 20) /* bytes of the manifest: 8 for each block of pages, and more */
#define OBJECTS_MAX ((uint64_t)4 << 30) /* bytes of the file objects, which is held in memory */

/* The manifest as a record. */
extern const struct record_type record_manifest;

/* Asserts what only a bug can break: field 1 is the id, messages do not contain themselves. */
void record_check_type(const struct record_type *type);
uint32_t record_id(const ProtobufCMessage *msg);
/* Bytes of one value of the field in the unpacked message. */
size_t record_value_size(const ProtobufCFieldDescriptor *f);

/* Appends a framed record. */
int record_put(struct buf *out, const struct record_type *type, const ProtobufCMessage *msg,
	       struct error *e) must_check;

/* Records in memory, one behind the other. */
struct record_cursor {
	const uint8_t *p;
	size_t size, at;
	const char *file; /* for messages: "image/objects" */
	const struct record_type *types;
	size_t n_types;
	struct arena *arena; /* messages go here */
};
/* 1 and the next record, 0 at the end, or -errno. */
int record_next(struct record_cursor *c, struct record *out, struct error *e) must_check;

#endif
