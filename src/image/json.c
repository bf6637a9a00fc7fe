/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "image/image.h"
#include "image/record.h"

static json_t *there(json_t *value)
{
	if (!value)
		mem_exhausted();
	return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, there(value)) < 0)
		mem_exhausted();
}

static void append(json_t *array, json_t *value)
{
	if (json_array_append_new(array, there(value)) < 0)
		mem_exhausted();
}

static json_t *hex_number(uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, n);
	return json_string(text);
}

/* JSON has no bound for numbers, but jansson's end at 2^63, as do those of many readers. */
static json_t *number(uint64_t n)
{
	char text[24];

	if (n <= INT64_MAX)
		return json_integer((json_int_t)n);
	snprintf(text, sizeof(text), "%" PRIu64, n);
	return json_string(text);
}

static json_t *real(double d)
{
	json_t *value = json_real(d); /* NULL for what is not a finite number */

	return value ? value : json_string(d != d ? "nan" : d > 0 ? "inf" : "-inf");
}

static json_t *bytes(const ProtobufCBinaryData *b)
{
	static const char digits[] = "0123456789abcdef";
	auto_buf text = { 0 };
	char *p = buf_grow(&text, b->len * 2);

	for (size_t i = 0; i < b->len; i++) {
		*p++ = digits[b->data[i] >> 4];
		*p++ = digits[b->data[i] & 15];
	}
	return json_stringn(text.p, text.len);
}

/* How many bytes at p are one character, by what jansson takes for one; 0: none. */
static size_t character(const char *p)
{
	size_t left = strnlen(p, 4);

	for (size_t n = 1; n <= left; n++) {
		json_t *one = json_stringn(p, n);

		if (one) {
			json_decref(one);
			return n;
		}
	}
	return 0;
}

/* A path is bytes, and need not be UTF-8. */
static json_t *string(const char *s)
{
	json_t *value = json_string(s);
	auto_buf text = { 0 };

	if (value)
		return value;
	while (*s) {
		size_t n = character(s);

		if (n > 0)
			buf_add(&text, s, n);
		else
			buf_printf(&text, "\\x%02x", (unsigned char)*s);
		s += n > 0 ? n : 1;
	}
	return json_stringn(text.p, text.len);
}

static json_t *enumerator(const ProtobufCEnumDescriptor *desc, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(desc, value);

	return v ? json_string(v->name) : json_integer(value);
}

#define AS(type) (*(const type *)at)
static json_t *value_json(const ProtobufCFieldDescriptor *f, const void *at)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_integer(AS(int32_t));
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_integer(AS(int64_t));
	case PROTOBUF_C_TYPE_UINT32:
		return json_integer(AS(uint32_t));
	case PROTOBUF_C_TYPE_UINT64:
		return number(AS(uint64_t));
	case PROTOBUF_C_TYPE_FIXED32:
		return hex_number(AS(uint32_t));
	case PROTOBUF_C_TYPE_FIXED64:
		return hex_number(AS(uint64_t));
	case PROTOBUF_C_TYPE_FLOAT:
		return real((double)AS(float));
	case PROTOBUF_C_TYPE_DOUBLE:
		return real(AS(double));
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(AS(protobuf_c_boolean));
	case PROTOBUF_C_TYPE_ENUM:
		return enumerator(f->descriptor, AS(int));
	case PROTOBUF_C_TYPE_STRING:
		return string(AS(char *));
	case PROTOBUF_C_TYPE_BYTES:
		return bytes(&AS(ProtobufCBinaryData));
	case PROTOBUF_C_TYPE_MESSAGE:
		return image_message_json(AS(ProtobufCMessage *));
	}
	return json_null();
}

static json_t *list_json(const ProtobufCFieldDescriptor *f, const char *at, size_t n)
{
	json_t *list = there(json_array());

	for (size_t i = 0; i < n; i++)
		append(list, value_json(f, at + i * record_value_size(f)));
	return list;
}

static bool is_absent(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f)
{
	const char *base = (const char *)msg, *at = base + f->offset;

	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(base + f->quantifier_offset) != f->id;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return !AS(void *);
	return f->label == PROTOBUF_C_LABEL_OPTIONAL &&
	       !*(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

json_t *image_message_json(const ProtobufCMessage *msg)
{
	const ProtobufCMessageDescriptor *desc = msg->descriptor;
	const char *base = (const char *)msg;
	json_t *object = there(json_object());

	for (unsigned int i = 0; i < desc->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &desc->fields[i];
		const char *at = base + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			set(object, f->name,
			    list_json(f, AS(char *),
				      *(const size_t *)(base + f->quantifier_offset)));
		else if (!is_absent(msg, f))
			set(object, f->name, value_json(f, at));
	}
	return object;
}

static json_t *record_json(const struct record *r)
{
	json_t *object = there(json_object()), *fields = image_message_json(r->msg);

	set(object, "tag", json_string(r->type->tag));
	set(object, "version", json_integer(r->type->version));
	if (json_object_update(object, fields) < 0)
		mem_exhausted();
	json_decref(fields);
	return object;
}

json_t *image_json(const struct image *img)
{
	json_t *all = there(json_object()), *records = there(json_array());

	set(all, "manifest", image_message_json(&img->manifest->base));
	for (size_t i = 0; i < img->records.n; i++)
		append(records, record_json(&img->records.v[i]));
	set(all, "records", records);
	return all;
}
