/* SPDX-License-Identifier: MIT */
/* Mappings, as smaps shows them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapshot.h"

struct area {
	unsigned long start, end, offset;
	char rest[PATH_MAX + 64]; /* permissions, device, inode, path */
	char flags[256];
	char key[16];                /* protection key, where the processor has them */
	bool anonymous, memory, set; /* memory: nobody's file, though it has a number */
};

/* Two neighbours that are alike are one or two as their history wants it: written as one. */
static bool area_join(struct area *a, const struct area *b)
{
	if (a->end != b->start || strcmp(a->rest, b->rest) != 0 ||
	    strcmp(a->flags, b->flags) != 0 || strcmp(a->key, b->key) != 0 ||
	    (!a->anonymous && a->offset + (a->end - a->start) != b->offset))
		return false;
	a->end = b->end;
	return true;
}

static void area_add(struct snapshot *s, const char *proc, const struct area *a)
{
	char value[PATH_MAX + 512];

	if (!a->set)
		return;
	snprintf(value, sizeof(value), "%lx offset %lx %s flags %skey %s", a->end, a->offset,
		 a->rest, a->flags, a->key);
	add(s, value, "%s/maps/%016lx", proc + strlen("/proc/"), a->start);
}

/* VmFlags without sd (written since soft-dirty was last reset: history). */
static void area_set_flags(struct area *a, const char *flags)
{
	const char *at = flags + strspn(flags, " \t");
	char *out = a->flags;

	for (; at[0] && at[1] && out < a->flags + sizeof(a->flags) - 4;
	     at += 2, at += strspn(at, " ")) {
		if (memcmp(at, "sd", 2) == 0)
			continue;
		*out++ = at[0];
		*out++ = at[1];
		*out++ = ' ';
	}
	*out = '\0';
}

bool is_memory(const char *name)
{
	return strcmp(name, "/anon_hugepage (deleted)") == 0 || strncmp(name, "/memfd:", 7) == 0 ||
	       strncmp(name, "[anon_shmem:", 12) == 0 || strcmp(name, "/dev/zero (deleted)") == 0 ||
	       (strncmp(name, "/dev/shm/", 9) == 0 && strstr(name, " (deleted)"));
}

/* Leaves *a alone unless the line begins an area. */
static void area_parse(struct snapshot *s, struct area *a, const char *line)
{
	struct area next = { .set = true };
	char perms[8], device[16], inode[24];
	int at = 0;

	if (sscanf(line, "%lx-%lx %7s %lx %15s %23s %n", &next.start, &next.end, perms,
		   &next.offset, device, inode, &at) < 6)
		return;
	/* Private huge pages have a file, which nobody else can have. */
	if (perms[3] == 'p' && strcmp(line + at, "/anon_hugepage (deleted)") == 0) {
		next.offset = 0;
		strcpy(inode, "0");
		at = (int)strlen(line);
	}
	next.anonymous = strcmp(inode, "0") == 0;
	next.memory = is_memory(line + at);
	if (next.memory)
		snprintf(inode, sizeof(inode), "#%zu",
			 inode_index(&s->memory, strtoul(inode, NULL, 10)));
	snprintf(next.rest, sizeof(next.rest), "%s %s %s %s", perms, device, inode, line + at);
	*a = next;
}

/* What is there, of anonymous memory and of memory files. The counters in `status` lag behind before Linux 6.16. */
struct resident {
	unsigned long anonymous_kb, memory_kb;
};

static void resident_add(struct resident *r, const struct area *a, const char *line)
{
	unsigned long kb;

	if (sscanf(line, "Anonymous: %lu", &kb) == 1)
		r->anonymous_kb += kb;
	else if (a->memory && sscanf(line, "Rss: %lu", &kb) == 1)
		r->memory_kb += kb;
}

static void resident_write(struct snapshot *s, const char *proc, const struct resident *r)
{
	char value[32];

	snprintf(value, sizeof(value), "%lu kB", r->anonymous_kb);
	add(s, value, "%s/resident/anonymous", proc + strlen("/proc/"));
	snprintf(value, sizeof(value), "%lu kB", r->memory_kb);
	add(s, value, "%s/resident/memory", proc + strlen("/proc/"));
}

void read_maps(struct snapshot *s, const char *proc)
{
	struct resident resident = { 0 };
	char path[PATH_MAX];
	struct area last = { .set = false }, now = { .set = false };
	char *text, *line, *save = NULL;

	snprintf(path, sizeof(path), "%s/smaps", proc);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		sscanf(line, "ProtectionKey: %15s", now.key);
		if (strncmp(line, "VmFlags:", 8) != 0) {
			area_parse(s, &now, line);
			resident_add(&resident, &now, line);
			continue;
		}
		area_set_flags(&now, line + 8);
		if (last.set && area_join(&last, &now))
			continue;
		area_add(s, proc, &last);
		last = now;
	}
	area_add(s, proc, &last);
	resident_write(s, proc, &resident);
	free(text);
}
