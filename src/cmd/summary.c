/* SPDX-License-Identifier: MIT */
#include "cmd/summary.h"

#include <inttypes.h>
#include <string.h>

#include "base/escape.h"
#include "image/record.h"

#define SHORT_BYTES 32u /* longer or unprintable ones are only counted */
#define SHORT_LIST 4u

static void add_bytes(struct buf *out, const ProtobufCBinaryData *b)
{
	if (b->len <= SHORT_BYTES && escape_is_plain((const char *)b->data, b->len))
		escape_add(out, (const char *)b->data, b->len);
	else
		summary_size(out, b->len);
}

static void add_enum(struct buf *out, const ProtobufCEnumDescriptor *d, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(d, value);

	if (v)
		buf_printf(out, "%s", v->name);
	else
		buf_printf(out, "%d", value);
}

static void add_value(struct buf *out, const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		buf_printf(out, "%" PRId32, *(const int32_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT32:
		buf_printf(out, "%" PRIu32, *(const uint32_t *)at);
		return;
	case PROTOBUF_C_TYPE_FIXED32:
		buf_printf(out, "0x%" PRIx32, *(const uint32_t *)at);
		return;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		buf_printf(out, "%" PRId64, *(const int64_t *)at);
		return;
	case PROTOBUF_C_TYPE_UINT64:
		buf_printf(out, "%" PRIu64, *(const uint64_t *)at);
		return;
	case PROTOBUF_C_TYPE_FIXED64:
		buf_printf(out, "0x%" PRIx64, *(const uint64_t *)at);
		return;
	case PROTOBUF_C_TYPE_BOOL:
		buf_printf(out, "%s", *(const protobuf_c_boolean *)at ? "yes" : "no");
		return;
	case PROTOBUF_C_TYPE_ENUM:
		add_enum(out, f->descriptor, *(const int *)at);
		return;
	case PROTOBUF_C_TYPE_STRING:
		escape_add(out, *(char *const *)at, strlen(*(char *const *)at));
		return;
	case PROTOBUF_C_TYPE_BYTES:
		add_bytes(out, at);
		return;
	case PROTOBUF_C_TYPE_MESSAGE:
		buf_add(out, "(", 1);
		summary_add(out, *(ProtobufCMessage *const *)at);
		buf_add(out, ")", 1);
		return;
	case PROTOBUF_C_TYPE_FLOAT:
	case PROTOBUF_C_TYPE_DOUBLE:
		buf_printf(out, "?");
	}
}

static void add_list(struct buf *out, const ProtobufCFieldDescriptor *f, const char *v, size_t n)
{
	if (n > SHORT_LIST) {
		buf_printf(out, "[%zu]", n);
		return;
	}
	buf_add(out, "[", 1);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_add(out, " ", 1);
		add_value(out, f, v + i * record_value_size(f));
	}
	buf_add(out, "]", 1);
}

static bool is_absent(const ProtobufCFieldDescriptor *f, const char *base)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return !*(const size_t *)(base + f->quantifier_offset);
	if (f->label != PROTOBUF_C_LABEL_OPTIONAL)
		return false;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return !*(void *const *)(base + f->offset);
	return !*(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

static void add_field(struct buf *out, const ProtobufCFieldDescriptor *f, const char *base)
{
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		add_list(out, f, *(const char *const *)(base + f->offset),
			 *(const size_t *)(base + f->quantifier_offset));
	else
		add_value(out, f, base + f->offset);
}

void summary_add(struct buf *out, const ProtobufCMessage *msg)
{
	const char *base = (const char *)msg, *comma = "";
	const ProtobufCFieldDescriptor *path =
		protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "path");

	if (path && !is_absent(path, base)) {
		add_field(out, path, base);
		comma = ", ";
	}
	for (unsigned int i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];

		if (f == path || !strcmp(f->name, "id") || is_absent(f, base))
			continue;
		buf_printf(out, "%s%s ", comma, f->name);
		add_field(out, f, base);
		comma = ", ";
	}
}

void summary_field(struct buf *out, const ProtobufCMessage *msg, const char *field)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, field);
	const char *base = (const char *)msg;
	const ProtobufCBinaryData *b;

	if (!f || f->label == PROTOBUF_C_LABEL_REPEATED || is_absent(f, base))
		return;
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		add_value(out, f, base + f->offset);
	} else if (f->type == PROTOBUF_C_TYPE_BYTES) {
		b = (const ProtobufCBinaryData *)(base + f->offset);
		escape_add(out, (const char *)b->data, b->len);
	}
}

void summary_size(struct buf *out, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		buf_printf(out, "%" PRIu64 " bytes", bytes);
		return;
	}
	while (n >= 1024 && unit < 3) {
		n /= 1024;
		unit++;
	}
	buf_printf(out, "%.1f %s", n, units[unit]);
}
