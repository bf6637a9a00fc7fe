/* SPDX-License-Identifier: MIT */
/* Mappings: which sort each is, and what cannot be saved. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/str.h"
#include "dump/shmem.h"
#include "proc/link.h"
#include "remote/memory.h"

/* Flags that the restore brings back, or that mean nothing for it. */
#define GOOD_FLAGS                                                                                 \
	(VMF(rd) | VMF(wr) | VMF(ex) | VMF(sh) | VMF(mr) | VMF(mw) | VMF(me) | VMF(ms) | VMF(gd) | \
	 VMF(lo) | VMF(lf) | VMF(sr) | VMF(rr) | VMF(dc) | VMF(ac) | VMF(nr) | VMF(wf) | VMF(dd) | \
	 VMF(sd) | VMF(hg) | VMF(nh) | VMF(mg) | VMF(sl) | VMF(gu) | VMF(dp))

static const struct {
	uint64_t flag;
	const char *why;
} bad_flags[] = {
	{ VMF(um) | VMF(uw) | VMF(ui),
	  "memory that is registered with a userfaultfd cannot be saved yet" },
	{ VMF(ss), "a shadow stack cannot be saved yet" },
	{ VMF(io) | VMF(pf) | VMF(mm) | VMF(de),
	  "a mapping of a device or of a driver's memory cannot be saved" },
	{ VMF(mt), "memory with tags (PROT_MTE) cannot be saved yet" },
	{ VMF(sf), "MAP_SYNC cannot be saved yet" },
};

enum mapping_sort mapping_sort(const struct vma *v)
{
	if (!strcmp(v->name, "[vsyscall]"))
		return MAPPING_NONE;
	if (!strcmp(v->name, "[vdso]"))
		return MAPPING_VDSO;
	if (str_starts(v->name, "[vvar"))
		return MAPPING_VVAR;
	/* Huge pages that are private have a file as well, but are the process' own. */
	if (v->flags & VMF(ht) && !v->shared && shmem_sort_of(v->name) == SHMEM_ANON)
		return MAPPING_ANON;
	if (shmem_sort_of(v->name) != SHMEM_NONE)
		return MAPPING_SHMEM;
	return v->inode || v->name[0] == '/' ? MAPPING_FILE : MAPPING_ANON;
}

/* Of files on hugetlbfs nobody tells what differs from the file. */
static int check_flags(const struct vma *v, struct error *e)
{
	uint64_t good = GOOD_FLAGS;

	if (v->flags & VMF(ht) && mapping_sort(v) == MAPPING_FILE)
		return fail(e, 0, "a file of hugetlbfs cannot be saved yet");
	if (v->flags & VMF(ht))
		good |= VMF(ht) | VMF(de);
	for (size_t i = 0; i < sizeof(bad_flags) / sizeof(bad_flags[0]); i++)
		if (v->flags & bad_flags[i].flag & ~good)
			return fail(e, 0, "%s", bad_flags[i].why);
	if (v->flags & VMF(UNKNOWN))
		return fail(e, 0, "has the flag '%s', which this cr does not know", v->unknown);
	if (v->flags & ~good)
		return fail(e, 0, "has a flag that cannot be saved (VmFlags 0x%llx)",
			    (unsigned long long)(v->flags & ~good));
	return 0;
}

static const char *shared_without_name(const char *name)
{
	if (str_starts(name, "/[aio]"))
		return "a ring of asynchronous I/O (io_setup)";
	return NULL;
}

/* Some file systems (overlay, btrfs) show another device in maps than stat(2) gives. */
static int stat_mapped(const struct dump_process *p, const struct vma *v, struct stat *st,
		       struct error *e)
{
	char path[64];

	snprintf(path, sizeof(path), "map_files/%llx-%llx", (unsigned long long)v->start,
		 (unsigned long long)v->end);
	if (fstatat(p->dir, path, st, 0) == 0)
		return 0;
	if (errno == ENOENT)
		return fail(e, 0, "has changed while it was looked at; try again");
	return fail(e, errno, "compare the mapped file with %s (%s)", v->name, path);
}

/* Most often the one found last, or the next. */
struct mapped_file *find_mapped_file(struct dump *d, const struct vma *v)
{
	size_t n = d->files.n;

	for (size_t i = 0; i < n; i++) {
		size_t k = (d->last_file + i) % n;
		struct mapped_file *f = &d->files.v[k];

		if (f->dev != v->dev || f->inode != v->inode || strcmp(f->path, v->name))
			continue;
		d->last_file = k;
		return f;
	}
	return NULL;
}

static int check_file(struct dump *d, const struct dump_process *p, const struct vma *v,
		      struct error *e)
{
	const char *what = shared_without_name(v->name);
	struct stat st = { 0 };
	int rc = 0;

	if (find_mapped_file(d, v))
		return 0;
	if (v->name[0] != '/')
		return fail(e, 0, "a mapping of %s cannot be saved", v->name);
	if (stat(v->name, &st) < 0 && what)
		return fail(e, 0, "%s cannot be saved yet", what);
	if (st.st_dev != v->dev || st.st_ino != v->inode) {
		rc = stat_mapped(p, v, &st, e);
		if (rc >= 0)
			rc = link_check(v->name, &st, true, e);
	}
	if (rc >= 0 && !S_ISREG(st.st_mode))
		return fail(e, 0,
			    "a mapping of something that is not a regular file cannot be saved");
	if (rc >= 0)
		*vec_add(&d->files) = (struct mapped_file){
			.path = v->name, .dev = v->dev, .inode = v->inode, .st = st
		};
	return rc;
}

static int check_mapping(struct dump *d, const struct dump_process *p, const struct vma *v,
			 struct error *e)
{
	enum mapping_sort sort = mapping_sort(v);
	int rc = 0;

	if (sort == MAPPING_VDSO || sort == MAPPING_VVAR || sort == MAPPING_NONE)
		return 0;
	if (!strcmp(v->name, "[uprobes]"))
		return fail(e, 0, "uprobes are set in the process; remove them");
	if (sort == MAPPING_FILE)
		rc = check_file(d, p, v, e);
	if (rc >= 0)
		rc = check_flags(v, e);
	if (rc >= 0 && sort == MAPPING_SHMEM)
		rc = shmem_add_mapping(d, p, v, e);
	if (rc >= 0 && sort == MAPPING_ANON && v->shared)
		rc = fail(e, 0, "shared memory of a driver cannot be saved");
	return rc;
}

/* --- all of a process ------------------------------------------------------------------------------ */

/* A 64-bit program or one of another sort? Registers tell after the freeze. */
static int check_class(const struct dump_process *p, const char *exe, struct error *e)
{
	unsigned char ident[EI_NIDENT];

	for (size_t i = 0; i < p->maps.list.n; i++) {
		const struct vma *v = &p->maps.list.v[i];

		if (v->offset || strcmp(v->name, exe) || !(v->prot & 1))
			continue;
		if (memory_read(speaker_id(p), v->start, ident, sizeof(ident)) < 0)
			return 0;
		if (!memcmp(ident, ELFMAG, SELFMAG) && ident[EI_CLASS] != ELFCLASS64)
			return fail(e, 0, "is a 32-bit program; only 64-bit ones can be saved");
		return 0;
	}
	return 0;
}

static int check_exe(struct dump *d, struct dump_process *p, struct error *e)
{
	struct known_name name = { 0 };
	int rc;

	p->exe = fd_readlink(&d->arena, p->dir, "exe");
	/* ENOENT: it has no memory any more. */
	if (!p->exe || fstatat(p->dir, "exe", &p->exe_stat, 0) < 0)
		return errno == ENOENT
			       ? fail(e, ESRCH,
				      "process %d has ended, or runs another program, since "
				      "it was looked at; try again",
				      p->pid)
			       : fail(e, errno, "read the link exe");
	name.text = p->exe;
	name.dev = p->exe_stat.st_dev;
	name.inode = p->exe_stat.st_ino;
	if (probe_knows(d, &name))
		return 0;
	rc = link_check(p->exe, &p->exe_stat, true, e);
	if (rc >= 0)
		rc = check_class(p, p->exe, e);
	if (rc >= 0)
		probe_note(d, name);
	return rc;
}

static bool is_same_group(const struct vma *a, const struct vma *b)
{
	return a->dev == b->dev && a->inode == b->inode && !strcmp(a->name, b->name);
}

static const char *name_of(const struct vma *v)
{
	return *v->name ? v->name : "anonymous memory";
}

/* Neighbours of one name and verdict make one object of a report. */
static int probe_group(struct dump *d, struct dump_process *p, size_t *at, struct error *e)
{
	const struct vma *first = &p->maps.list.v[*at], *last = first;
	struct object o = { "mapping", p->pid, 0 };
	size_t end = p->maps.list.n;
	int rc = 0;

	while (*at < end && rc >= 0 && is_same_group(first, &p->maps.list.v[*at])) {
		last = &p->maps.list.v[*at];
		rc = check_mapping(d, p, last, e);
		++*at;
	}
	if (rc < 0)
		first = last;
	return verdict(d, o, rc, e, "memory at %llx-%llx, %s", (unsigned long long)first->start,
		       (unsigned long long)last->end, name_of(first));
}

static int read_mappings(struct dump *d, struct dump_process *p, struct error *e)
{
	if (p->has_fresh_maps) {
		p->has_fresh_maps = false;
		return 0;
	}
	maps_free(&p->maps);
	return smaps_read(p->dir, &d->arena, &p->maps, e);
}

int probe_mappings_alone(struct dump *d, struct dump_process *p, struct error *e)
{
	int rc = read_mappings(d, p, e);

	return rc < 0 ? rc : check_exe(d, p, e);
}

int probe_mappings(struct dump *d, struct dump_process *p, struct error *e)
{
	struct object o = { "mapping", p->pid, 0 };
	int rc = p->seen_memory.is_there ? finding_take(&p->seen_memory, e)
					 : probe_mappings_alone(d, p, e);

	if (rc == -ESRCH)
		return rc;
	rc = verdict(d, o, rc, e, "executable");
	for (size_t i = 0; i < p->maps.list.n && rc >= 0;)
		rc = probe_group(d, p, &i, e);
	return rc;
}
