/* SPDX-License-Identifier: MIT */
#include "restore/check.h"

#include <limits.h>
#include <string.h>

/* Fields of these names hold an absolute path, in whatever message they are. */
static const char *const path_fields[] = { "path", "cwd", "root" };

static bool is_path_field(const char *name)
{
	for (size_t i = 0; i < sizeof(path_fields) / sizeof(path_fields[0]); i++) {
		if (!strcmp(name, path_fields[i]))
			return true;
	}
	return false;
}

static int check_string(const ProtobufCFieldDescriptor *f, const char *s, struct error *e)
{
	if (!s)
		return fail(e, 0, "%s is missing", f->name);
	if (strlen(s) >= PATH_MAX)
		return fail(e, 0, "%s is too long", f->name);
	if (is_path_field(f->name) && *s != '/')
		return fail(e, 0, "%s is not an absolute path: '%s'", f->name, s);
	return 0;
}

static int check_one(const ProtobufCFieldDescriptor *f, const void *at, struct error *e)
{
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return check_string(f, *(char *const *)at, e);
	case PROTOBUF_C_TYPE_MESSAGE:
		return check_values(*(ProtobufCMessage *const *)at, e);
	default:
		return 0;
	}
}

static int check_repeated(const ProtobufCFieldDescriptor *f, const char *v, size_t n,
			  struct error *e)
{
	for (size_t i = 0; i < n; i++) {
		int rc = check_one(f, v + i * sizeof(void *), e);

		if (rc < 0)
			return within(e, rc, "%s[%zu]", f->name, i);
	}
	return 0;
}

static bool is_absent(const ProtobufCFieldDescriptor *f, const char *base)
{
	if (f->label != PROTOBUF_C_LABEL_OPTIONAL)
		return false;
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE)
		return !*(void *const *)(base + f->offset);
	return !*(const protobuf_c_boolean *)(base + f->quantifier_offset);
}

int check_values(const ProtobufCMessage *msg, struct error *e)
{
	const char *base = (const char *)msg;

	for (unsigned int i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		int rc;

		if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			rc = check_repeated(f, *(const char *const *)(base + f->offset),
					    *(const size_t *)(base + f->quantifier_offset), e);
		else
			rc = is_absent(f, base) ? 0 : check_one(f, base + f->offset, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
