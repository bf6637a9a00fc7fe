/* SPDX-License-Identifier: MIT */
#include "image/record.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define PADDING 8
#define MAX_DEPTH 16

const struct record_type record_manifest = {
	.tag = "MANI",
	.version = 1,
	.desc = &manifest__descriptor,
};

static void check_depth(const ProtobufCMessageDescriptor *desc, int depth)
{
	assert(depth < MAX_DEPTH); /* unpacking and walking go down by recursion */
	for (unsigned int i = 0; i < desc->n_fields; i++)
		if (desc->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
			check_depth(desc->fields[i].descriptor, depth + 1);
}

void record_check_type(const struct record_type *type)
{
	const ProtobufCMessageDescriptor *d = type->desc;

	assert(strlen(type->tag) == 4);
	assert(d->n_fields > 0 && d->fields[0].id == 1 && strcmp(d->fields[0].name, "id") == 0);
	assert(d->fields[0].type == PROTOBUF_C_TYPE_UINT32);
	assert(d->fields[0].label == PROTOBUF_C_LABEL_REQUIRED);
	assert(!protobuf_c_message_descriptor_get_field_by_name(d, "tag"));
	assert(!protobuf_c_message_descriptor_get_field_by_name(d, "version"));
	check_depth(d, 0);
}

size_t record_value_size(const ProtobufCFieldDescriptor *f)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return sizeof(int32_t);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return sizeof(int64_t);
	case PROTOBUF_C_TYPE_FLOAT:
		return sizeof(float);
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(double);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_ENUM:
		return sizeof(int);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	}
	return 0;
}

uint32_t record_id(const ProtobufCMessage *msg)
{
	uint32_t id;

	memcpy(&id, (const char *)msg + msg->descriptor->fields[0].offset, sizeof(id));
	return id;
}

static size_t padded(size_t n)
{
	return (n + PADDING - 1) & ~(size_t)(PADDING - 1);
}

int record_put(struct buf *out, const struct record_type *type, const ProtobufCMessage *msg,
	       struct error *e)
{
	struct record_head head = { .version = htole32(type->version) };
	size_t n;
	uint8_t *p;

	assert(msg->descriptor == type->desc);
	if (!protobuf_c_message_check(msg))
		return fail(e, 0, "record %s %u: a field that must be there is not", type->tag,
			    record_id(msg));
	n = protobuf_c_message_get_packed_size(msg);
	if (n > RECORD_MAX)
		return fail(e, EFBIG, "record %s %u: %zu bytes", type->tag, record_id(msg), n);
	memcpy(head.tag, type->tag, sizeof(head.tag));
	head.length = htole64(n);
	p = buf_grow(out, sizeof(head) + padded(n));
	memcpy(p, &head, sizeof(head));
	p += sizeof(head);
	protobuf_c_message_pack(msg, p);
	memset(p + n, 0, padded(n) - n);
	return 0;
}

/* --- reading --------------------------------------------------------------------------------- */

static void *take_from_arena(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

static void keep_in_arena(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static const struct record_type *find_type(const struct record_cursor *c, const char *tag)
{
	for (size_t i = 0; i < c->n_types; i++)
		if (memcmp(c->types[i].tag, tag, 4) == 0)
			return &c->types[i];
	return NULL;
}

static int check_head(const struct record_cursor *c, const struct record_head *head,
		      const struct record_type **type, struct error *e)
{
	uint32_t version = le32toh(head->version);

	*type = find_type(c, head->tag);
	if (!*type)
		return fail(
			e, 0,
			"%s: byte %zu: a record %.4s, which this cr does not know; a newer one may",
			c->file, c->at, head->tag);
	if (version != (*type)->version)
		return fail(e, 0, "%s: byte %zu: a record %.4s of version %u; this cr knows %u",
			    c->file, c->at, head->tag, version, (*type)->version);
	return 0;
}

static bool is_known(const ProtobufCMessage *msg);

static bool is_known_value(const ProtobufCFieldDescriptor *f, const void *value)
{
	ProtobufCMessage *sub;
	int number;

	switch (f->type) {
	case PROTOBUF_C_TYPE_MESSAGE:
		memcpy(&sub, value, sizeof(sub));
		return !sub || is_known(sub);
	case PROTOBUF_C_TYPE_ENUM:
		memcpy(&number, value, sizeof(number));
		return protobuf_c_enum_descriptor_get_value(f->descriptor, number) != NULL;
	default:
		return true;
	}
}

static bool is_known_field(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)msg, *at = base + f->offset, *list;
	size_t n, size = f->type == PROTOBUF_C_TYPE_MESSAGE ? sizeof(void *) : sizeof(int);
	uint32_t which;

	if (f->type != PROTOBUF_C_TYPE_MESSAGE && f->type != PROTOBUF_C_TYPE_ENUM)
		return true;
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&which, base + f->quantifier_offset, sizeof(which));
		return which != f->id || is_known_value(f, at);
	}
	if (f->label != PROTOBUF_C_LABEL_REPEATED) /* an absent enum holds its default */
		return is_known_value(f, at);
	memcpy(&n, base + f->quantifier_offset, sizeof(n));
	memcpy(&list, at, sizeof(list));
	for (size_t i = 0; i < n; i++)
		if (!is_known_value(f, list + i * size))
			return false;
	return true;
}

/* No field and no enum value that the descriptor lacks, at any depth. */
static bool is_known(const ProtobufCMessage *msg)
{
	if (msg->n_unknown_fields > 0)
		return false;
	for (unsigned int i = 0; i < msg->descriptor->n_fields; i++)
		if (!is_known_field(msg, &msg->descriptor->fields[i]))
			return false;
	return true;
}

static int unpack(struct record_cursor *c, const struct record_type *type, const uint8_t *p,
		  size_t n, struct record *out, struct error *e)
{
	ProtobufCAllocator arena = { take_from_arena, keep_in_arena, c->arena };
	ProtobufCMessage *msg = protobuf_c_message_unpack(type->desc, &arena, n, p);

	if (!msg)
		return fail(e, 0, "%s: byte %zu: a record %s that is damaged or lacks a field",
			    c->file, c->at, type->tag);
	*out = (struct record){ type, record_id(msg), msg };
	if (!is_known(msg))
		return fail(e, 0, "%s: record %s %u: a field or value that this cr does not know",
			    c->file, type->tag, out->id);
	/* What unpacking drops without a word: a field given twice, bytes behind a NUL in a string.
	 *  */
	if (protobuf_c_message_get_packed_size(msg) != n)
		return fail(e, 0, "%s: record %s %u: not in the form that cr writes", c->file,
			    type->tag, out->id);
	return 0;
}

int record_next(struct record_cursor *c, struct record *out, struct error *e)
{
	const struct record_type *type;
	struct record_head head;
	size_t left = c->size - c->at;
	uint64_t length;
	int rc;

	if (left == 0)
		return 0;
	if (left < sizeof(head))
		return fail(e, 0, "%s: cut off at byte %zu", c->file, c->at);
	memcpy(&head, c->p + c->at, sizeof(head));
	rc = check_head(c, &head, &type, e);
	if (rc < 0)
		return rc;
	length = le64toh(head.length);
	left -= sizeof(head);
	if (length > RECORD_MAX || padded(length) > left)
		return fail(e, 0, "%s: cut off in the record %s at byte %zu", c->file, type->tag,
			    c->at);
	rc = unpack(c, type, c->p + c->at + sizeof(head), length, out, e);
	if (rc < 0)
		return rc;
	for (size_t i = length; i < padded(length); i++)
		if (c->p[c->at + sizeof(head) + i] != 0)
			return fail(e, 0, "%s: record %s %u: bytes behind its end", c->file,
				    type->tag, out->id);
	c->at += sizeof(head) + padded(length);
	return 1;
}
