/* SPDX-License-Identifier: MIT */
/*
 * An image and a machine made by hand, to plan for: two processes or one with two threads. And what a
 * plan is held against: test/data/plan-*.txt, which CR_WRITE_GOLDEN=1 writes anew.
 */
#ifndef PLAN_ROOM_H
#define PLAN_ROOM_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "comm.pb-c.h"
#include "context.pb-c.h"
#include "eventfd.pb-c.h"
#include "fs.pb-c.h"
#include "memdev.pb-c.h"
#include "proc/maps.h"
#include "restore/internal.h"
#include "restore/sharing.h"
#include "sigactions.pb-c.h"
#include "tap.h"
#include "tidptrs.pb-c.h"

#define HAS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(text, part))
#define HAS_NOT(text, part) CU_ASSERT_PTR_NULL(strstr(text, part))

/* --- an image ---------------------------------------------------------------------------------- */

static inline void *put(struct restore *r, const struct record_type *type, uint32_t id)
{
	struct record *rec = vec_add(&r->img.records);

	rec->type = type;
	rec->id = id;
	rec->msg = arena_alloc(&r->arena, type->desc->sizeof_message);
	protobuf_c_message_init(type->desc, rec->msg);
	memcpy((char *)rec->msg + type->desc->fields[0].offset, &id, sizeof(id));
	return rec->msg;
}

static inline void *sub(struct restore *r, const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = arena_alloc(&r->arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	return m;
}

static inline int by_key(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int c = strcmp(x->type->tag, y->type->tag);

	return c ? c : x->id < y->id ? -1 : x->id > y->id;
}

static inline void put_index(struct restore *r)
{
	struct image *img = &r->img;

	img->index = arena_alloc(&r->arena, img->records.n * sizeof(*img->index));
	for (size_t i = 0; i < img->records.n; i++)
		img->index[i] = &img->records.v[i];
	qsort(img->index, img->records.n, sizeof(*img->index), by_key);
}

static inline void put_thread(struct restore *r, uint32_t tid, uint32_t pid, uint32_t group)
{
	Thread *t = put(r, &record_thread, tid);
	Context *c = put(r, &kind_context.record, tid);
	Comm *m = put(r, &kind_comm.record, tid);
	TidPtrs *p = put(r, &kind_tidptrs.record, tid);

	t->process = pid;
	t->mm = t->files = t->fs = t->sighand = group;
	c->n_regs = 27;
	c->regs = arena_alloc(&r->arena, 32 * sizeof(uint64_t));
	c->regs[15] = ~0ull;      /* orig_rax */
	c->regs[16] = 0x400800;   /* rip */
	c->regs[17] = 0x33;       /* cs */
	c->regs[19] = 0x7ffff000; /* rsp */
	c->regs[20] = 0x2b;       /* ss */
	c->regs[21] = 0x7fff1000; /* fs_base */
	c->xstate.len = 576;
	c->xstate.data = arena_alloc(&r->arena, 576);
	c->xstate.data[464] = 3;
	c->altstack_flags = 2;
	m->name.data = (uint8_t *)arena_strdup(&r->arena, "subject");
	m->name.len = 7;
	p->clear_child_tid = 0x7fff1100;
	p->robust_list = 0x7fff1200;
	p->robust_list_size = 24;
}

static inline void add_mapping(struct restore *r, Mm *mm, uint64_t start, uint64_t end,
			       Mapping__Sort sort, uint32_t prot, uint64_t flags)
{
	Mapping *m = sub(r, &mapping__descriptor);

	m->start = start;
	m->end = end;
	m->sort = sort;
	m->prot = prot;
	m->flags = flags;
	if (sort == MAPPING__SORT__FILE_PRIVATE || sort == MAPPING__SORT__FILE_SHARED)
		m->has_file = m->has_offset = true;
	mm->mappings[mm->n_mappings++] = m;
}

static inline void add_extent(struct restore *r, Mm *mm, uint64_t start, uint64_t length,
			      uint64_t offset)
{
	Extent *x = sub(r, &extent__descriptor);

	x->start = start;
	x->length = length;
	x->has_store = x->has_offset = true;
	x->offset = offset;
	mm->extents[mm->n_extents++] = x;
}

static inline void put_mm(struct restore *r, uint32_t id)
{
	Mm *mm = put(r, &record_mm, id);
	FileIdentity *f = sub(r, &file_identity__descriptor);

	f->path = arena_strdup(&r->arena, "/usr/bin/subject");
	f->size = 0x3000;
	mm->exe = f;
	mm->files = arena_alloc(&r->arena, sizeof(*mm->files));
	mm->files[mm->n_files++] = f;
	mm->mappings = arena_alloc(&r->arena, 16 * sizeof(*mm->mappings));
	mm->extents = arena_alloc(&r->arena, 16 * sizeof(*mm->extents));
	mm->auxv.data = arena_alloc(&r->arena, 32);
	mm->auxv.len = 32;
	/* over cr's own text */
	add_mapping(r, mm, 0x400000, 0x402000, MAPPING__SORT__FILE_PRIVATE, PROT_READ | PROT_EXEC,
		    VMF(rd) | VMF(ex));
	/* written, then made read-only */
	add_mapping(r, mm, 0x402000, 0x403000, MAPPING__SORT__FILE_PRIVATE, PROT_READ,
		    VMF(rd) | VMF(ac));
	add_mapping(r, mm, 0x500000, 0x510000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(ac) | VMF(dd) | VMF(lo));
	add_mapping(r, mm, 0x7ffe0000, 0x80000000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(gd) | VMF(ac));
	add_mapping(r, mm, 0x90000000, 0x90004000, MAPPING__SORT__VVAR, PROT_READ, VMF(rd));
	add_mapping(r, mm, 0x90004000, 0x90006000, MAPPING__SORT__VDSO, PROT_READ | PROT_EXEC,
		    VMF(rd));
	add_extent(r, mm, 0x402000, 0x1000, 0);
	add_extent(r, mm, 0x500000, 0x2000, 0x1000);
	add_extent(r, mm, 0x505000, 0x1000, 0x3000);
	add_extent(r, mm, 0x7fffe000, 0x2000, 0x10000);
}

static inline void add_fd(struct restore *r, FdTable *t, uint32_t fd, uint32_t description,
			  bool cloexec)
{
	Descriptor *d = sub(r, &descriptor__descriptor);

	d->fd = fd;
	d->description = description;
	d->cloexec = cloexec;
	t->fds[t->n_fds++] = d;
}

/* 0 and 1 and 7 are /dev/null, 2 an eventfd, 9 another with close-on-exec. */
static inline void put_files(struct restore *r, uint32_t id)
{
	FdTable *t = put(r, &record_fdtable, id);

	t->fds = arena_alloc(&r->arena, 16 * sizeof(*t->fds));
	add_fd(r, t, 0, 1, false);
	add_fd(r, t, 1, 1, false);
	add_fd(r, t, 2, 2, false);
	add_fd(r, t, 7, 1, true);
	add_fd(r, t, 9, 3, true);
}

static inline void put_descriptions(struct restore *r)
{
	for (uint32_t id = 1; id <= 3; id++) {
		Description *d = put(r, &record_description, id);

		d->kind = arena_strdup(&r->arena, id == 1 ? "MDEV" : "EVFD");
		d->flags = 2;
		if (id == 1)
			((MemDev *)put(r, &kind_memdev.record, id))->path =
				arena_strdup(&r->arena, "/dev/null");
		else
			put(r, &kind_eventfd.record, id);
	}
}

static inline void put_process(struct restore *r, uint32_t pid, uint32_t parent, uint32_t n_threads)
{
	Process *p = put(r, &record_process, pid);
	Fs *fs = put(r, &kind_fs.record, pid);
	SigActions *s = put(r, &kind_sigactions.record, pid);

	p->parent = parent;
	p->group = p->session = 100;
	p->exit_signal = 17;
	p->n_threads = n_threads;
	p->threads = arena_alloc(&r->arena, 8 * sizeof(*p->threads));
	for (uint32_t i = 0; i < n_threads; i++) {
		p->threads[i] = pid + i;
		put_thread(r, pid + i, pid, pid);
	}
	put_mm(r, pid);
	put_files(r, pid);
	fs->cwd = arena_strdup(&r->arena, "/srv");
	fs->root = arena_strdup(&r->arena, "/");
	fs->umask = 027;
	s->actions = arena_alloc(&r->arena, sizeof(*s->actions));
	s->n_actions = 1;
	s->actions[0] = sub(r, &sig_action__descriptor);
	s->actions[0]->signal = 10;
	s->actions[0]->handler = 0x400900;
}

static inline void make_host(struct host *h)
{
	static struct host_range mapped[] = {
		{ 0x400000, 0x480000 },
		{ 0x70000000, 0x70100000 },
		{ 0x90002000, 0x90008000 },
	};
	static struct cr_rst_range own[] = {
		{ 0x400000, 0x401000, 0, PROT_READ, MAP_PRIVATE },
		{ 0x401000, 0x470000, 0x1000, PROT_READ | PROT_EXEC, MAP_PRIVATE },
		{ 0x470000, 0x480000, 0x70000, PROT_READ | PROT_WRITE, MAP_PRIVATE },
	};

	h->pid = 50;
	h->lowest = 0x10000;
	h->highest = 0x7ffffffff000;
	h->mapped = mapped;
	h->n_mapped = 3;
	h->own = own;
	h->n_own = 3;
	/* overlaps where the image wants its own */
	h->vvar[0] = (struct host_range){ 0x90002000, 0x90006000 };
	h->n_vvar = 1;
	h->vdso = (struct host_range){ 0x90006000, 0x90008000 };
	h->rseq_address = 0x70001000;
	h->rseq_size = 32;
	h->rseq_signature = 0x53053053;
	h->ignored = 1ull << 12; /* SIGPIPE */
	h->umask = 022;
	h->xsave_mask = 7;
	h->xsave_size = 832;
	h->cap_eff = h->cap_prm = h->cap_bnd = ~0ull;
	h->limits[3].rlim_cur = 8 << 20; /* RLIMIT_STACK */
}

static inline void make(struct restore *r, bool child)
{
	static const struct restore_options opt;
	static int store = -1;

	*r = (struct restore){ .opt = &opt, .self_pidfd = 4 };
	r->img.manifest = arena_alloc(&r->arena, sizeof(Manifest));
	manifest__init(r->img.manifest);
	r->img.manifest->root = 100;
	r->img.stores = &store;
	r->img.n_stores = 1;
	put_process(r, 100, 0, child ? 1 : 2);
	if (child)
		put_process(r, 110, 100, 1);
	put_descriptions(r);
	put_index(r);
	make_host(&r->host);
}

static inline void unmake(struct restore *r)
{
	for (size_t i = 0; i < r->plans.n; i++)
		plan_free(&r->plans.v[i]->plan);
	sharing_free(r);
	vec_free(&r->plans);
	vec_free(&r->slots);
	vec_free(&r->img.records);
	arena_free(&r->arena);
}

static inline Context *context_of(struct restore *r, uint32_t tid)
{
	vec_each(rec, &r->img.records) {
		if (rec->type == &kind_context.record && rec->id == tid)
			return (Context *)rec->msg;
	}
	return NULL;
}

/* --- golden plans ------------------------------------------------------------------------------ */

static inline void print(struct restore *r, struct buf *out)
{
	for (size_t i = 0; i < r->plans.n; i++) {
		plan_title(r->plans.v[i], out);
		buf_printf(out, ":\n");
		plan_explain(&r->plans.v[i]->plan, out);
	}
	for (size_t i = 0; i < r->slots.n; i++)
		slot_print(r, (uint32_t)i, out);
}

static inline void compare(const char *name, const struct buf *got)
{
	const char *dir = getenv("srcdir");
	struct arena a = { 0 };
	char *path = arena_printf(&a, "%s/test/data/%s", dir ? dir : ".", name);
	auto_buf want = { 0 };

	if (getenv("CR_WRITE_GOLDEN")) {
		FILE *f = fopen(path, "w");

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fwrite(got->p, 1, got->len, f);
		fclose(f);
	}
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, &want), 0);
	CU_ASSERT_EQUAL(want.len, got->len);
	CU_ASSERT(want.len == got->len && !memcmp(want.p, got->p, want.len));
	if (want.len != got->len || memcmp(want.p, got->p, want.len))
		printf("# %s differs:\n%s\n", name, got->p);
	arena_free(&a);
}

#endif
