/* SPDX-License-Identifier: MIT */
#include "proc/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"

static const char vm_flags[][3] = {
	"rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "pf", "dw", "lo", "io", "sr",
	"rr", "dc", "de", "ac", "nr", "ht", "sf", "nl", "ar", "wf", "dd", "sd", "mm", "hg",
	"nh", "mg", "bt", "mt", "um", "uw", "ui", "ss", "sl", "lf", "dp", "gu",
};
_Static_assert(sizeof(vm_flags) / sizeof(vm_flags[0]) == VMF_UNKNOWN, "one name for each VMF_*");

/* How often a list that changed under the reader is read anew. */
#define TRIES 4
/* That is read at once, longer than any line. */
#define PIECE ((size_t)64 * 1024 - 1)

/* The kernel writes a newline in a path as \012, and nothing else differently: a backslash stays,
 * so a path that really holds the four characters \012 cannot be told from one with a newline. */
static char *unescape(struct arena *a, const char *p, size_t n)
{
	char *name = arena_alloc(a, n + 1), *out = name;

	for (const char *end = p + n; p < end;) {
		if (end - p >= 4 && memcmp(p, "\\012", 4) == 0) {
			*out++ = '\n';
			p += 4;
		} else {
			*out++ = *p++;
		}
	}
	return name;
}

/* Neighbours are often of the same file: one copy of the name does for them. */
static const char *keep_name(struct arena *a, const char *p, size_t n, const char *previous)
{
	if (n == 0)
		return "";
	if (memchr(p, '\\', n))
		return unescape(a, p, n);
	if (previous && strncmp(previous, p, n) == 0 && previous[n] == '\0')
		return previous;
	return arena_strndup(a, p, n);
}

static bool take(const char **p, char c)
{
	if (**p != c)
		return false;
	++*p;
	return true;
}

static bool take_perms(const char **p, struct vma *v)
{
	const char *s = *p;

	for (int i = 0; i < 3; i++)
		if (s[i] != "rwx"[i] && s[i] != '-')
			return false;
	if (s[3] != 'p' && s[3] != 's')
		return false;
	v->prot = (s[0] == 'r' ? PROT_READ : 0) | (s[1] == 'w' ? PROT_WRITE : 0) |
		  (s[2] == 'x' ? PROT_EXEC : 0);
	v->shared = s[3] == 's';
	*p += 4;
	return true;
}

/* "start-end perms offset major:minor inode", all numbers but the inode hexadecimal. */
static bool take_head(const char **p, struct vma *v)
{
	uint64_t major, minor;

	if (!str_take_u64(p, 16, &v->start) || !take(p, '-') || !str_take_u64(p, 16, &v->end) ||
	    !take(p, ' ') || !take_perms(p, v) || !take(p, ' ') ||
	    !str_take_u64(p, 16, &v->offset) || !take(p, ' ') || !str_take_u64(p, 16, &major) ||
	    !take(p, ':') || !str_take_u64(p, 16, &minor) || !take(p, ' ') ||
	    !str_take_u64(p, 10, &v->inode))
		return false;
	if (major > UINT32_MAX || minor > UINT32_MAX || v->start >= v->end)
		return false;
	v->dev = makedev((unsigned int)major, (unsigned int)minor);
	while (**p == ' ')
		++*p;
	return true;
}

static void set_flag(struct vma *v, const char *two)
{
	for (unsigned int i = 0; i < VMF_UNKNOWN; i++) {
		if (memcmp(vm_flags[i], two, 2) == 0) {
			v->flags |= 1ull << i;
			return;
		}
	}
	/* A flag without letters: before 6.8 that of MLOCK_ONFAULT, which never comes without lo. */
	if (!memcmp(two, "??", 2) && v->flags & VMF(lo) && !(v->flags & VMF(lf))) {
		v->flags |= VMF(lf);
		return;
	}
	v->flags |= VMF(UNKNOWN);
	memcpy(v->unknown, two, 2);
}

static bool parse_flags(const char *p, const char *end, struct vma *v)
{
	while (p < end) {
		if (*p == ' ') {
			p++;
			continue;
		}
		if (end - p < 2 || p[1] == ' ' || (end - p > 2 && p[2] != ' '))
			return false;
		set_flag(v, p);
		p += 2;
	}
	return true;
}

static bool parse_kilobytes(const char *p, const char *end, uint64_t *bytes)
{
	uint64_t n;

	while (*p == ' ' || *p == '\t')
		p++;
	if (!str_take_u64(&p, 10, &n) || end - p != 3 || memcmp(p, " kB", 3) != 0)
		return false;
	return !__builtin_mul_overflow(n, (uint64_t)1024, bytes);
}

static bool parse_key(const char *p, const char *end, struct vma *v)
{
	uint64_t n;

	while (*p == ' ')
		p++;
	if (!str_take_u64(&p, 10, &n) || p != end || n > UINT8_MAX)
		return false;
	v->key = (uint8_t)n;
	v->has_key = true;
	return true;
}

/* A line "Key: value" of smaps. done: VmFlags, the last line of each mapping, was there. */
static bool parse_detail(const char *p, const char *end, struct vma *v, bool *done)
{
	if (*p == 'R' && str_starts(p, "Rss:"))
		return parse_kilobytes(p + 4, end, &v->rss);
	if (*p == 'A' && str_starts(p, "AnonHugePages:"))
		return parse_kilobytes(p + 14, end, &v->huge);
	if (*p == 'K' && str_starts(p, "KernelPageSize:"))
		return parse_kilobytes(p + 15, end, &v->page_size);
	if (*p == 'P' && str_starts(p, "ProtectionKey:"))
		return parse_key(p + 14, end, v);
	if (*p == 'S' && str_starts(p, "Swap:"))
		return parse_kilobytes(p + 5, end, &v->swap);
	if (*p == 'V' && str_starts(p, "VmFlags:")) {
		*done = true;
		return parse_flags(p + 8, end, v);
	}
	return true;
}

static struct vma *parse_mapping(const char *p, const char *end, struct arena *a, struct maps *out)
{
	const char *previous = out->list.n > 0 ? out->list.v[out->list.n - 1].name : NULL;
	struct vma v = { 0 }, *kept;

	if (!take_head(&p, &v) || p > end)
		return NULL;
	v.name = keep_name(a, p, (size_t)(end - p), previous);
	kept = vec_add(&out->list);
	*kept = v;
	return kept;
}

/* A line that is no mapping: a detail of the last one. */
static bool is_detail(const char *line)
{
	return *line >= 'A' && *line <= 'Z';
}

struct parser {
	const char *what; /* maps or smaps */
	bool smaps;
	struct arena *arena;
	struct maps *out;
	struct vma *v;   /* the mapping that details belong to; NULL: none yet */
	uint64_t before; /* where the one before has ended */
	bool done;       /* all of it was there */
	size_t n;        /* lines */
};

static struct parser begin(bool smaps, struct arena *a, struct maps *out)
{
	out->list.n = 0;
	return (struct parser){
		.what = smaps ? "smaps" : "maps",
		.smaps = smaps,
		.arena = a,
		.out = out,
		.done = true,
	};
}

static int parse_line(struct parser *p, const char *text, const char *end, struct error *e)
{
	p->n++;
	if (p->smaps && p->v && is_detail(text))
		return parse_detail(text, end, p->v, &p->done)
			       ? 0
			       : fail(e, 0, "%s: line %zu is not understood", p->what, p->n);
	if (!p->done)
		return fail(e, 0, "%s: no VmFlags before line %zu", p->what, p->n);
	p->v = parse_mapping(text, end, p->arena, p->out);
	if (!p->v)
		return fail(e, 0, "%s: line %zu is not understood", p->what, p->n);
	if (p->v->start < p->before)
		return fail(e, EAGAIN, "%s: line %zu: mappings overlap", p->what, p->n);
	p->before = p->v->end;
	p->done = !p->smaps;
	return 0;
}

/* Whole lines; *rest: what is left behind them. Behind `end` lies a NUL. */
static int parse_lines(struct parser *p, const char *text, const char *end, const char **rest,
		       struct error *e)
{
	const char *stop;
	int rc = 0;

	for (; rc == 0 && (stop = memchr(text, '\n', (size_t)(end - text))); text = stop + 1)
		rc = parse_line(p, text, stop, e);
	*rest = text;
	return rc;
}

static int finish(const struct parser *p, bool is_rest, struct error *e)
{
	if (is_rest)
		return fail(e, 0, "%s: line %zu is cut off", p->what, p->n + 1);
	return p->done ? 0 : fail(e, 0, "%s: no VmFlags at the end", p->what);
}

int maps_parse(const char *text, bool smaps, struct arena *a, struct maps *out, struct error *e)
{
	struct parser p = begin(smaps, a, out);
	const char *rest;
	int rc = parse_lines(&p, text, text + strlen(text), &rest, e);

	return rc < 0 ? rc : finish(&p, *rest, e);
}

static int not_read(const struct parser *p, int code, struct error *e)
{
	return fail(e, code == ENOENT ? ESRCH : code, "read %s", p->what);
}

/*
 * Piece by piece, since the kernel gives it so: of a process with many mappings it is tens of megabytes, and
 * memory that is touched for the first time costs more than the reading.
 */
static int read_pieces(struct parser *p, int fd, char *buffer, struct error *e)
{
	size_t left = 0; /* of a line that has begun */
	const char *rest;
	ssize_t got;
	int rc;

	do {
		got = read(fd, buffer + left, PIECE - left);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return not_read(p, errno, e);
		buffer[left + (size_t)got] = '\0';
		rc = parse_lines(p, buffer, buffer + left + got, &rest, e);
		if (rc < 0)
			return rc;
		left += (size_t)(got - (rest - buffer));
		memmove(buffer, rest, left);
	} while (got && left < PIECE);
	if (!p->n && !left)
		return fail(e, ESRCH, "%s is empty (exited, or a kernel thread)", p->what);
	return finish(p, left, e);
}

static int read_once(struct parser *p, int proc, char *buffer, struct error *e)
{
	auto_fd fd = fd_open(proc, p->what, O_RDONLY | O_NOCTTY);

	return fd < 0 ? not_read(p, -fd, e) : read_pieces(p, fd, buffer, e);
}

#define GIVEN "[anon_shmem:"

/* What hides behind a given name; if that cannot be seen, the name stands for itself. */
static void look_behind_names(int proc, struct arena *a, struct maps *m)
{
	char path[64];

	vec_each(v, &m->list) {
		const char *link;

		if (v->name[0] != '[' || !str_starts(v->name, GIVEN))
			continue;
		snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)v->start,
			 (unsigned long long)v->end);
		link = fd_readlink(a, proc, path);
		if (!link)
			continue;
		v->given = arena_strndup(a, v->name + strlen(GIVEN),
					 strlen(v->name) - strlen(GIVEN) - 1);
		v->name = link;
	}
}

static int read_list(int proc, bool smaps, struct arena *a, struct maps *out, struct error *e)
{
	auto_free char *buffer = mem_realloc(NULL, PIECE + 1);
	int rc = -EAGAIN;

	/* A running task may merge mappings between two reads; the kernel then shows one from its
	 * new beginning on, which lies before what it has shown already. */
	for (int i = 0; i < TRIES && rc == -EAGAIN; i++) {
		struct parser p = begin(smaps, a, out);

		rc = read_once(&p, proc, buffer, e);
	}
	if (rc >= 0)
		look_behind_names(proc, a, out);
	return rc;
}

int maps_read(int proc, struct arena *a, struct maps *out, struct error *e)
{
	return read_list(proc, false, a, out, e);
}

int smaps_read(int proc, struct arena *a, struct maps *out, struct error *e)
{
	return read_list(proc, true, a, out, e);
}

void maps_free(struct maps *m)
{
	vec_free(&m->list);
}

const struct vma *maps_find(const struct maps *m, uint64_t address)
{
	size_t low = 0, high = m->list.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct vma *v = &m->list.v[middle];

		if (address < v->start)
			high = middle;
		else if (address >= v->end)
			low = middle + 1;
		else
			return v;
	}
	return NULL;
}
