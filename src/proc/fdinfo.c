/* SPDX-License-Identifier: MIT */
#include "proc/fdinfo.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"

/* The lines that every descriptor has, and has first. */
enum common {
	POS,
	FLAGS,
	MNT_ID,
	INO,
	N_COMMON
};

static enum common find_common(const char *key)
{
	static const char *const names[N_COMMON] = { "pos", "flags", "mnt_id", "ino" };
	unsigned int i = 0;

	while (i < N_COMMON && strcmp(names[i], key) != 0)
		i++;
	return (enum common)i;
}

static bool parse_position(const char *s, uint64_t *out)
{
	bool negative = *s == '-';

	if (!str_to_u64(s + negative, 10, out))
		return false;
	if (negative)
		*out = -*out;
	return true;
}

static bool parse_u32(const char *s, unsigned int base, uint32_t *out)
{
	uint64_t n;

	if (!str_to_u64(s, base, &n) || n > UINT32_MAX)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool parse_common(enum common which, const char *value, struct fdinfo *out)
{
	switch (which) {
	case POS:
		return parse_position(value, &out->pos);
	case FLAGS:
		return parse_u32(value, 8, &out->flags);
	case MNT_ID:
		return parse_u32(value, 10, &out->mnt_id);
	case INO:
		return str_to_u64(value, 10, &out->ino);
	case N_COMMON:
		break;
	}
	return false;
}

/* Splits a line in place; gives the value. */
static char *split(char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return line + strlen(line);
	*value++ = '\0';
	return value + strspn(value, " \t");
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	while ((text = strchr(text, '\n'))) {
		text++;
		n++;
	}
	return n;
}

int fdinfo_parse(const char *text, struct arena *a, struct fdinfo *out, struct error *e)
{
	unsigned int seen = 0;
	char *line, *end;

	*out = (struct fdinfo){ 0 };
	out->lines = arena_alloc(a, count_lines(text) * sizeof(*out->lines));
	for (line = arena_strdup(a, text); *line; line = end + 1) {
		enum common which;
		char *value;

		end = strchr(line, '\n');
		if (!end)
			return fail(e, 0, "fdinfo: the last line is cut off");
		*end = '\0';
		value = split(line);
		which = find_common(line);
		if (which != N_COMMON && !(seen & 1u << which)) {
			if (!parse_common(which, value, out))
				return fail(e, 0, "fdinfo: %s: not understood: %s", line, value);
			seen |= 1u << which;
			continue;
		}
		out->lines[out->n_lines].key = line;
		out->lines[out->n_lines++].value = value;
	}
	if ((seen | 1u << INO) != (1u << N_COMMON) - 1)
		return fail(e, 0, "fdinfo: no pos, flags or mnt_id");
	return 0;
}

int fdinfo_read(int proc, int fd, struct arena *a, struct fdinfo *out, struct error *e)
{
	auto_buf text = { 0 };
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	rc = fd_read_record(proc, path, &text);
	if (rc < 0)
		return fail(e, -rc, "read %s", path);
	return fdinfo_parse(text.p, a, out, e);
}
