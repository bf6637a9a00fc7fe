/* SPDX-License-Identifier: MIT */
/* MMSP: an address space as a record. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "arch/arch.h"
#include "base/fd.h"
#include "base/str.h"
#include "dump/equal.h"
#include "dump/pages.h"
#include "dump/same.h"
#include "dump/shmem.h"
#include "mm.pb-c.h"
#include "remote/memory.h"

#define ANON_NAME "[anon:"

static FileIdentity *identify(struct dump *d, const char *path, const struct stat *st)
{
	FileIdentity *f = arena_alloc(&d->arena, sizeof(*f));

	file_identity__init(f);
	f->path = arena_strdup(&d->arena, path);
	f->size = (uint64_t)st->st_size;
	f->mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
	f->inode = st->st_ino;
	f->dev = st->st_dev;
	return f;
}

/* Where the beginning of the file is mapped as it is, its first page is in memory. One process tells for all
 * that have the file. */
static void read_build_id(struct dump *d, const struct dump_process *p, const struct vma *v,
			  struct mapped_file *file, FileIdentity *f)
{
	uint8_t page[4096];

	if (v->offset || v->shared || !(v->flags & VMF(rd)) || v->flags & VMF(wr))
		return;
	if (!file->n_build_id && memory_read(speaker_id(p), v->start, page, sizeof(page)) >= 0)
		file->n_build_id = arch_elf_build_id(page, sizeof(page), file->build_id);
	f->has_build_id = file->n_build_id != 0;
	f->build_id.len = file->n_build_id;
	f->build_id.data =
		f->has_build_id ? arena_copy(&d->arena, file->build_id, file->n_build_id) : NULL;
}

/* --- mappings ---------------------------------------------------------------------------------- */

/* Most often the file is that of the mapping before. */
static int find_file(struct dump *d, const struct dump_process *p, Mm *mm, const struct vma *v,
		     uint32_t *index, struct error *e)
{
	struct mapped_file *file;

	for (size_t i = mm->n_files; i-- > 0;) {
		if (!strcmp(mm->files[i]->path, v->name)) {
			*index = (uint32_t)i;
			return 0;
		}
	}
	file = find_mapped_file(d, v);
	if (!file)
		return fail(e, 0, "the file %s was not looked at, an error in cr", v->name);
	*index = (uint32_t)mm->n_files;
	mm->files[mm->n_files++] = identify(d, v->name, &file->st);
	read_build_id(d, p, v, file, mm->files[*index]);
	return 0;
}

static char *anon_name(struct dump *d, const char *name)
{
	size_t n = strlen(name);

	if (!str_starts(name, ANON_NAME))
		return NULL;
	return arena_strndup(&d->arena, name + strlen(ANON_NAME), n - strlen(ANON_NAME) - 1);
}

static int fill_mapping(struct dump *d, const struct dump_process *p, Mm *mm, const struct vma *v,
			Mapping *m, struct error *e)
{
	mapping__init(m);
	m->start = v->start;
	m->end = v->end;
	m->prot = v->prot;
	m->flags = v->flags;
	m->has_key = v->key != 0;
	m->key = v->key;
	switch (mapping_sort(v)) {
	case MAPPING_VDSO:
		m->sort = MAPPING__SORT__VDSO;
		return 0;
	case MAPPING_VVAR:
		m->sort = MAPPING__SORT__VVAR;
		return 0;
	case MAPPING_FILE:
		m->sort = v->shared ? MAPPING__SORT__FILE_SHARED : MAPPING__SORT__FILE_PRIVATE;
		m->has_file = m->has_offset = true;
		m->offset = v->offset;
		return find_file(d, p, mm, v, &m->file, e);
	case MAPPING_SHMEM:
		m->sort = v->shared ? MAPPING__SORT__SHMEM_SHARED : MAPPING__SORT__SHMEM_PRIVATE;
		m->has_memory = m->has_offset = true;
		m->offset = v->offset;
		m->memory = shmem_id(d, v->name, v->dev, v->inode);
		m->name = v->given ? arena_strdup(&d->arena, v->given) : NULL;
		return 0;
	default:
		m->sort = MAPPING__SORT__ANON;
		m->has_page_size = v->flags & VMF(ht);
		m->page_size = m->has_page_size ? v->page_size : 0;
		m->name = anon_name(d, v->name);
		return 0;
	}
}

static int fill_mappings(struct dump *d, const struct dump_process *p, Mm *mm, struct error *e)
{
	size_t n = p->maps.list.n;
	int rc = 0;

	mm->mappings = arena_alloc(&d->arena, (n + 1) * sizeof(*mm->mappings));
	mm->files = arena_alloc(&d->arena, (n + 1) * sizeof(*mm->files));
	for (size_t i = 0; i < n && rc >= 0; i++) {
		const struct vma *v = &p->maps.list.v[i];

		if (mapping_sort(v) == MAPPING_NONE)
			continue;
		mm->mappings[mm->n_mappings] = arena_alloc(&d->arena, sizeof(Mapping));
		rc = fill_mapping(d, p, mm, v, mm->mappings[mm->n_mappings++], e);
	}
	return rc;
}

static Extent__Sort sort_of(enum pages_sort sort)
{
	switch (sort) {
	case PAGES_DATA:
		return EXTENT__SORT__DATA;
	case PAGES_SAME:
		return EXTENT__SORT__SAME;
	default:
		return EXTENT__SORT__ZERO;
	}
}

static void fill_extents(struct dump *d, const struct dump_process *p, Mm *mm)
{
	const struct page_list *pages = &p->pages;
	size_t n = pages->list.n;
	Extent *x = arena_alloc(&d->arena, (n + 1) * sizeof(*x));

	mm->extents = arena_alloc(&d->arena, (n + 1) * sizeof(*mm->extents));
	mm->n_extents = n;
	for (size_t i = 0; i < n; i++, x++) {
		const struct page_extent *from = &pages->list.v[i];

		extent__init(x);
		x->start = from->start;
		x->length = from->length;
		x->sort = sort_of(from->sort);
		x->has_store = x->has_offset = from->sort == PAGES_DATA;
		x->store = x->has_store ? from->store : 0;
		x->offset = x->has_offset ? from->offset : 0;
		x->has_mm = from->sort == PAGES_SAME;
		x->mm = x->has_mm ? (uint32_t)p->parent->memory->pid : 0;
		mm->extents[i] = x;
	}
}

static void fill_guards(struct dump *d, const struct dump_process *p, Mm *mm)
{
	size_t n = p->pages.guards.n;
	Guard *g = arena_alloc(&d->arena, (n + 1) * sizeof(*g));

	mm->guards = arena_alloc(&d->arena, (n + 1) * sizeof(*mm->guards));
	mm->n_guards = n;
	for (size_t i = 0; i < n; i++, g++) {
		guard__init(g);
		g->start = p->pages.guards.v[i].start;
		g->length = p->pages.guards.v[i].length;
		mm->guards[i] = g;
	}
}

static void fill_huge(struct dump *d, const struct dump_process *p, Mm *mm)
{
	size_t n = p->pages.huge.n;
	HugePages *h = arena_alloc(&d->arena, (n + 1) * sizeof(*h));

	mm->huge = arena_alloc(&d->arena, (n + 1) * sizeof(*mm->huge));
	mm->n_huge = n;
	for (size_t i = 0; i < n; i++, h++) {
		huge_pages__init(h);
		h->start = p->pages.huge.v[i].start;
		h->length = p->pages.huge.v[i].length;
		mm->huge[i] = h;
	}
}

/* --- fields ------------------------------------------------------------------------------------ */

int memory_read_auxv(struct dump_process *p, struct error *e)
{
	int rc = fd_read_record(p->dir, "auxv", &p->auxv);

	return rc < 0 ? fail(e, -rc, "read auxv") : 0;
}

static int fill_fields(struct dump *d, struct dump_process *p, Mm *mm, struct error *e)
{
	const struct proc_stat *s = &speaker_of(p)->stat;
	int rc = p->auxv.len ? 0 : memory_read_auxv(p, e);

	if (rc < 0)
		return rc;
	mm->start_code = s->start_code;
	mm->end_code = s->end_code;
	mm->start_data = s->start_data;
	mm->end_data = s->end_data;
	mm->start_brk = s->start_brk;
	mm->brk = p->brk;
	mm->start_stack = s->start_stack;
	mm->arg_start = s->arg_start;
	mm->arg_end = s->arg_end;
	mm->env_start = s->env_start;
	mm->env_end = s->env_end;
	mm->auxv.len = p->auxv.len;
	mm->auxv.data = arena_copy(&d->arena, p->auxv.p, p->auxv.len);
	return 0;
}

/* Whether pages are locked only when they are used, nobody tells; but all mappings will be alike. */
static void fill_locks(const struct dump_process *p, Mm *mm)
{
	bool any = false, all_on_fault = true;

	vec_each(v, &p->maps.list) {
		any = any || v->flags & VMF(lo);
		all_on_fault = all_on_fault && (!(v->flags & VMF(lo)) || v->flags & VMF(lf));
	}
	mm->has_lock_future = p->locks_future;
	mm->lock_future = MCL_FUTURE | (any && all_on_fault ? MCL_ONFAULT : 0);
}

static int peek(void *holder, int tid, uint64_t address, void *p, size_t n, struct error *e)
{
	return holder_peek(holder, tid, address, p, n, e);
}

struct memory memory_of(struct dump *d, const struct dump_process *p, int mem)
{
	struct dump *whole = d->whole ? d->whole : d;

	return (struct memory){ speaker_id(p), mem, peek, &whole->holder };
}

int memory_save_pages(struct dump *d, size_t end, struct error *e)
{
	struct chunks c = { .d = d, .first = d->n_paged, .quiet = end == d->processes.n };
	int rc = 0;

	if (!d->n_paged && !d->same)
		d->same = same_new(d);
	if (d->opt->dedup && !d->equal)
		rc = equal_new(&d->equal, d->processes.n, e);
	while (d->n_paged < end && rc >= 0) {
		struct dump_process *p = d->processes.v[d->n_paged];

		if (has_own_memory(p))
			rc = within(e, pages_find(d, p, &c, e), "task %d", p->pid);
		d->n_paged++;
		/* The next one is compared with what is stored of this one. */
		if (rc >= 0 && c.asks)
			rc = chunks_settle(&c, e);
	}
	if (rc >= 0)
		rc = chunks_settle(&c, e);
	chunks_free(&c);
	return rc;
}

int memory_save(struct dump *d, struct dump_process *p, struct error *e)
{
	Mm mm = MM__INIT;
	int rc;

	if (!has_own_memory(p))
		return 0;
	mm.id = (uint32_t)p->pid;
	mm.exe = identify(d, p->exe, &p->exe_stat);
	fill_locks(p, &mm);
	mm.has_keys = p->keys != 0;
	mm.keys = p->keys;
	fill_extents(d, p, &mm);
	fill_guards(d, p, &mm);
	fill_huge(d, p, &mm);
	rc = fill_fields(d, p, &mm, e);
	if (rc >= 0)
		rc = fill_mappings(d, p, &mm, e);
	for (size_t i = 0; i < mm.n_files && rc >= 0; i++) {
		if (!strcmp(mm.files[i]->path, mm.exe->path)) {
			mm.exe->has_build_id = mm.files[i]->has_build_id;
			mm.exe->build_id = mm.files[i]->build_id;
		}
	}
	if (rc >= 0)
		rc = records_put(d, &record_mm, &mm.base, e);
	return within(e, rc, "task %d", p->pid);
}
