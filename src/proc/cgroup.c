/* SPDX-License-Identifier: MIT */
#include "proc/cgroup.h"

#include <string.h>

#include "base/str.h"

/* "4:memory:/a/b", "1:name=systemd:/", "0::/a". A path may have colons of its own. */
static int parse_line(const char *line, size_t n, struct arena *a, struct cgroup *out,
		      struct error *e)
{
	const char *colon = memchr(line, ':', n);
	const char *second = colon ? memchr(colon + 1, ':', n - (size_t)(colon + 1 - line)) : NULL;

	if (!second || second[1] != '/')
		return fail(e, 0, "cgroup: not a line with a group: %.*s", (int)n, line);
	out->controllers = arena_strndup(a, colon + 1, (size_t)(second - colon - 1));
	out->path = arena_strndup(a, second + 1, n - (size_t)(second + 1 - line));
	return 0;
}

int cgroups_parse(const char *text, struct arena *a, struct cgroups *out, struct error *e)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		int rc = parse_line(text, n, a, vec_add(&out->list), e);

		if (rc < 0)
			return rc;
		text += n + (text[n] == '\n');
	}
	return 0;
}

const char *cgroups_find(const struct cgroups *g, const char *controllers)
{
	vec_each(it, &g->list)
		if (!strcmp(it->controllers, controllers))
			return it->path;
	return NULL;
}

/* --- mountinfo --------------------------------------------------------------------------------- */

/* The next field of a line, blanks taken off; "" at its end. */
static const char *next_field(const char **line, size_t *n)
{
	const char *field = *line + strspn(*line, " ");

	*n = strcspn(field, " \n");
	*line = field + *n;
	return field;
}

/* Blanks, tabs, newlines and backslashes stand there as three octal digits. */
static char *unescape(struct arena *a, const char *field, size_t n)
{
	char *text = arena_alloc(a, n + 1), *out = text;

	for (size_t i = 0; i < n; i++) {
		if (field[i] == '\\' && n - i > 3) {
			*out++ = (char)((field[i + 1] - '0') << 6 | (field[i + 2] - '0') << 3 |
					(field[i + 3] - '0'));
			i += 3;
		} else {
			*out++ = field[i];
		}
	}
	return text;
}

/* Whether a word of a list with commas is this one. */
static bool has_word(const char *list, size_t n, const char *word, size_t length)
{
	for (size_t i = 0; i < n;) {
		const char *comma = memchr(list + i, ',', n - i);
		size_t end = comma ? (size_t)(comma - list) : n;

		if (end - i == length && !memcmp(list + i, word, length))
			return true;
		i = end + 1;
	}
	return false;
}

static bool has_all(const char *options, size_t n, const char *controllers)
{
	while (*controllers) {
		size_t length = strcspn(controllers, ",");

		if (!has_word(options, n, controllers, length))
			return false;
		controllers += length + (controllers[length] == ',');
	}
	return true;
}

/* What of the path lies below the folder that is mounted there; NULL: it does not. */
static const char *below(const char *path, const char *root)
{
	size_t n = strlen(root);

	if (!strcmp(root, "/"))
		return path + 1;
	if (strncmp(path, root, n) || (path[n] && path[n] != '/'))
		return NULL;
	return path + n + (path[n] == '/');
}

static bool is_it(const char *line, const struct cgroup *g, struct arena *a,
		  struct cgroup_place *out)
{
	const char *root, *mount, *type, *options, *field;
	size_t root_len, mount_len, n;

	for (int i = 0; i < 3; i++)
		next_field(&line, &n);
	root = next_field(&line, &root_len);
	mount = next_field(&line, &mount_len);
	do
		field = next_field(&line, &n);
	while (n && !(n == 1 && *field == '-'));
	type = next_field(&line, &n);
	out->is_v2 = n == 7 && !memcmp(type, "cgroup2", 7);
	if (!out->is_v2 && !(n == 6 && !memcmp(type, "cgroup", 6)))
		return false;
	next_field(&line, &n);
	options = next_field(&line, &n);
	if (out->is_v2 != !*g->controllers || (!out->is_v2 && !has_all(options, n, g->controllers)))
		return false;
	out->below = below(g->path, unescape(a, root, root_len));
	out->mount = unescape(a, mount, mount_len);
	return out->below != NULL;
}

int cgroup_place_find(const char *mountinfo, const struct cgroup *g, struct arena *a,
		      struct cgroup_place *out)
{
	while (*mountinfo) {
		if (is_it(mountinfo, g, a, out))
			return 1;
		mountinfo += strcspn(mountinfo, "\n");
		mountinfo += *mountinfo == '\n';
	}
	return 0;
}
