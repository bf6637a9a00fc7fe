/* SPDX-License-Identifier: MIT */
/* restore_check: a valid image made by hand, and for each rule one that breaks it. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compat.h"
#include "comm.pb-c.h"
#include "context.pb-c.h"
#include "eventfd.pb-c.h"
#include "files.pb-c.h"
#include "fs.pb-c.h"
#include "kind.h"
#include "mm.pb-c.h"
#include "process.pb-c.h"
#include "proc/maps.h"
#include "regfile.pb-c.h"
#include "restore/check.h"
#include "sigactions.pb-c.h"
#include "shmem.pb-c.h"
#include "tap.h"

#define EXE 0x400000ull
#define HEAP 0x10000000ull
#define MID 0x20000000ull

/* Process 100 with threads 100 and 101, process 110 below it. */
struct fixture {
	struct image img;
	Manifest *manifest;
	Process *process, *child;
	Thread *leader, *thread, *child_leader;
	Mm *mm, *child_mm;
	FdTable *fds;
	Description *event, *file;
	Fs *fs;
	RegFile *regfile;
	SharedMemory *shmem;
};

static void *message(struct fixture *f, const ProtobufCMessageDescriptor *d, uint32_t id)
{
	ProtobufCMessage *m = arena_alloc(&f->img.arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	memcpy((char *)m + d->fields[0].offset, &id, sizeof(id));
	return m;
}

static void *put(struct fixture *f, const struct record_type *type, uint32_t id)
{
	struct record *r = vec_add(&f->img.records);

	r->type = type;
	r->msg = message(f, type->desc, id);
	return r->msg;
}

static void *sub(struct fixture *f, const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = arena_alloc(&f->img.arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	return m;
}

static void *list(struct fixture *f, size_t n)
{
	return arena_alloc(&f->img.arena, n * sizeof(uint64_t));
}

/* --- a valid image --------------------------------------------------------------------------- */

static Thread *make_thread(struct fixture *f, uint32_t tid, uint32_t pid, uint32_t shared)
{
	Thread *t = put(f, &record_thread, tid);
	Comm *c = put(f, &kind_comm.record, tid);
	Context *x = put(f, &kind_context.record, tid);

	t->process = pid;
	t->mm = t->files = t->fs = t->sighand = shared;
	c->name.data = (uint8_t *)arena_strdup(&f->img.arena, "subject");
	c->name.len = 7;
	(void)x;
	return t;
}

static Process *make_process(struct fixture *f, uint32_t pid, uint32_t parent, uint32_t n_threads)
{
	Process *p = put(f, &record_process, pid);

	p->parent = parent;
	p->group = p->session = 100;
	p->exit_signal = 17;
	p->n_threads = n_threads;
	p->threads = list(f, n_threads);
	for (uint32_t i = 0; i < n_threads; i++)
		p->threads[i] = pid + i;
	return p;
}

static FileIdentity *make_identity(struct fixture *f, const char *path)
{
	FileIdentity *i = sub(f, &file_identity__descriptor);

	i->path = arena_strdup(&f->img.arena, path);
	i->size = 0x2000;
	return i;
}

static void add_mapping(struct fixture *f, Mm *mm, uint64_t start, uint64_t pages,
			Mapping__Sort sort)
{
	Mapping *m = sub(f, &mapping__descriptor);

	m->start = start;
	m->end = start + pages * CHECK_PAGE;
	m->sort = sort;
	m->prot = PROT_READ;
	m->flags = VMF(rd);
	if (sort == MAPPING__SORT__FILE_PRIVATE || sort == MAPPING__SORT__FILE_SHARED)
		m->has_file = m->has_offset = true;
	if (sort == MAPPING__SORT__SHMEM_SHARED)
		m->has_memory = m->has_offset = m->memory = 1;
	mm->mappings[mm->n_mappings++] = m;
}

static void add_extent(struct fixture *f, Mm *mm, uint64_t start, uint64_t pages, Extent__Sort sort,
		       uint64_t offset)
{
	Extent *x = sub(f, &extent__descriptor);

	x->start = start;
	x->length = pages * CHECK_PAGE;
	x->sort = sort;
	x->has_store = x->has_offset = sort == EXTENT__SORT__DATA;
	x->offset = offset;
	mm->extents[mm->n_extents++] = x;
}

static Mm *make_mm(struct fixture *f, uint32_t id)
{
	Mm *mm = put(f, &record_mm, id);

	mm->start_code = EXE;
	mm->end_code = EXE + 0x1000;
	mm->start_brk = mm->brk = HEAP;
	mm->auxv.len = 352;
	mm->auxv.data = arena_alloc(&f->img.arena, mm->auxv.len);
	mm->exe = make_identity(f, "/bin/subject");
	mm->files = list(f, 1);
	mm->files[mm->n_files++] = make_identity(f, "/bin/subject");
	mm->mappings = list(f, 8);
	add_mapping(f, mm, EXE, 2, MAPPING__SORT__FILE_PRIVATE);
	add_mapping(f, mm, HEAP, 4, MAPPING__SORT__ANON);
	add_mapping(f, mm, MID, 1, MAPPING__SORT__FILE_SHARED);
	add_mapping(f, mm, 0x7ffff0000000, 4, MAPPING__SORT__VVAR);
	add_mapping(f, mm, 0x7ffff0004000, 2, MAPPING__SORT__VDSO);
	mm->extents = list(f, 4);
	add_extent(f, mm, EXE + 0x1000, 1, EXTENT__SORT__ZERO, 0);
	add_extent(f, mm, HEAP, 1, EXTENT__SORT__DATA, 0);
	add_extent(f, mm, HEAP + 0x2000, 2, EXTENT__SORT__DATA, 0x1000);
	return mm;
}

/* Into one of pages that other memory has. */
static Extent *turn_same(Extent *x, uint32_t mm)
{
	x->sort = EXTENT__SORT__SAME;
	x->has_store = x->has_offset = false;
	x->has_mm = true;
	x->mm = mm;
	return x;
}

/* An extent of the child is the parent's. */
static Extent *make_same(struct fixture *f, size_t i)
{
	return turn_same(f->child_mm->extents[i], f->mm->id);
}

/* The heap, which is too small for one. */
static Mapping *make_huge(struct fixture *f)
{
	Mapping *m = f->mm->mappings[1];

	m->flags |= VMF(ht);
	m->has_page_size = true;
	m->page_size = 0x200000;
	return m;
}

/* One page. */
static Guard *make_guard(struct fixture *f, uint64_t start)
{
	Guard *g = sub(f, &guard__descriptor);

	if (!f->mm->guards)
		f->mm->guards = list(f, 2);
	f->mm->guards[f->mm->n_guards++] = g;
	g->start = start;
	g->length = CHECK_PAGE;
	return g;
}

#define SHMEM_AT 0x7ffff0010000ull

/* Shared memory of two pages, of which one has contents, mapped as a whole. */
static SharedMemory *make_shmem(struct fixture *f, SharedMemory__Sort sort)
{
	SharedMemory *m = put(f, &record_shmem, 1);
	Extent *x = sub(f, &extent__descriptor);

	f->shmem = m;
	m->sort = sort;
	m->size = 0x2000;
	m->mode = 0600;
	if (sort == SHARED_MEMORY__SORT__FILE || sort == SHARED_MEMORY__SORT__TMPFS)
		m->name = arena_strdup(&f->img.arena, "name");
	m->has_seals = sort == SHARED_MEMORY__SORT__FILE;
	m->has_shmid = m->has_key = m->has_cpid = m->has_ctime = sort == SHARED_MEMORY__SORT__SYSV;
	m->extents = list(f, 1);
	m->extents[m->n_extents++] = x;
	x->length = 0x1000;
	x->has_store = x->has_offset = true;
	add_mapping(f, f->mm, SHMEM_AT, 2, MAPPING__SORT__SHMEM_SHARED);
	return m;
}

static void make_huge_shmem(struct fixture *f, SharedMemory__Sort sort, uint64_t page_size)
{
	SharedMemory *m = make_shmem(f, sort);

	m->has_page_size = true;
	m->page_size = page_size;
	f->mm->mappings[f->mm->n_mappings - 1]->flags |= VMF(ht);
}

static Mapping *shmem_mapping(struct fixture *f, SharedMemory__Sort sort)
{
	make_shmem(f, sort);
	return f->mm->mappings[f->mm->n_mappings - 1];
}
#define ANON SHARED_MEMORY__SORT__ANON
#define MEMFD SHARED_MEMORY__SORT__FILE
#define SYSV SHARED_MEMORY__SORT__SYSV
#define TMPFS SHARED_MEMORY__SORT__TMPFS

static Description *make_description(struct fixture *f, uint32_t id, const char *kind)
{
	Description *d = put(f, &record_description, id);

	d->kind = arena_strdup(&f->img.arena, kind);
	return d;
}

static FdTable *make_fds(struct fixture *f, uint32_t id)
{
	static const uint32_t numbers[] = { 0, 1, 7 }, descriptions[] = { 1, 1, 2 };
	FdTable *t = put(f, &record_fdtable, id);

	t->fds = list(f, 3);
	for (; t->n_fds < 3; t->n_fds++) {
		t->fds[t->n_fds] = sub(f, &descriptor__descriptor);
		t->fds[t->n_fds]->fd = numbers[t->n_fds];
		t->fds[t->n_fds]->description = descriptions[t->n_fds];
	}
	return t;
}

static Fs *make_fs(struct fixture *f, uint32_t id)
{
	Fs *fs = put(f, &kind_fs.record, id);

	fs->cwd = arena_strdup(&f->img.arena, "/tmp");
	fs->root = arena_strdup(&f->img.arena, "/");
	return fs;
}

static void make_files(struct fixture *f)
{
	f->event = make_description(f, 1, kind_eventfd.record.tag);
	f->file = make_description(f, 2, kind_regfile.record.tag);
	f->event->owner = sub(f, &owner__descriptor);
	f->event->owner->type = 1;
	f->event->owner->pid = 100;
	put(f, &kind_eventfd.record, 1);
	f->regfile = put(f, &kind_regfile.record, 2);
	f->regfile->path = arena_strdup(&f->img.arena, "/tmp/file");
}

static void make(struct fixture *f)
{
	*f = (struct fixture){ 0 };
	f->manifest = f->img.manifest = sub(f, &manifest__descriptor);
	f->manifest->root = 100;
	f->manifest->tool = f->manifest->arch = f->manifest->kernel = f->manifest->kernel_version =
		f->manifest->host = f->manifest->boot_id = f->manifest->cpu =
			arena_strdup(&f->img.arena, "x");
	f->process = make_process(f, 100, 0, 2);
	f->child = make_process(f, 110, 100, 1);
	f->leader = make_thread(f, 100, 100, 1);
	f->thread = make_thread(f, 101, 100, 1);
	f->child_leader = make_thread(f, 110, 110, 2);
	f->mm = make_mm(f, 1);
	f->child_mm = make_mm(f, 2);
	f->fds = make_fds(f, 1);
	make_fds(f, 2);
	f->fs = make_fs(f, 1);
	make_fs(f, 2);
	put(f, &kind_sigactions.record, 1);
	put(f, &kind_sigactions.record, 2);
	make_files(f);
	f->img.n_stores = 1;
	f->img.store_sizes = list(f, 1);
	f->img.store_sizes[0] = 3 * CHECK_PAGE;
}

/* --- checking it ----------------------------------------------------------------------------- */

static int by_tag_and_id(const void *a, const void *b)
{
	const struct record *r = *(struct record *const *)a, *s = *(struct record *const *)b;
	int order = strcmp(r->type->tag, s->type->tag);

	return order ? order : r->id < s->id ? -1 : r->id > s->id;
}

/* As image_open would have left it. */
static void finish(struct fixture *f)
{
	size_t n = 0;

	f->img.index = list(f, f->img.records.n + 1);
	vec_each(r, &f->img.records) {
		memcpy(&r->id, (char *)r->msg + r->type->desc->fields[0].offset, sizeof(r->id));
		f->img.index[n++] = r;
	}
	qsort(f->img.index, n, sizeof(*f->img.index), by_tag_and_id);
}

static void drop(struct fixture *f, const char *tag, uint32_t id)
{
	finish(f);
	vec_each(r, &f->img.records) {
		if (!strcmp(r->type->tag, tag) && r->id == id) {
			*r = f->img.records.v[--f->img.records.n];
			return;
		}
	}
	CU_FAIL("there is no such record");
}

static void finish_and_expect(struct fixture *f, const char *text)
{
	struct error e = { 0 };
	int rc;

	finish(f);
	rc = restore_check(&f->img, &e);
	if (text && (rc >= 0 || !strstr(e.text, text)))
		fprintf(stderr, "wanted '%s', got %d '%s'\n", text, rc, e.text);
	if (!text && rc < 0)
		fprintf(stderr, "wanted success, got '%s'\n", e.text);
	CU_ASSERT(text ? rc < 0 && strstr(e.text, text) : rc == 0);
	vec_free(&f->img.records);
	arena_free(&f->img.arena);
}

static void valid(void)
{
	struct fixture f;

	make(&f);
	finish_and_expect(&f, NULL);
	make(&f);
	make_same(&f, 1);
	make_same(&f, 2);
	finish_and_expect(&f, NULL);
}

/* One test: the valid image, then `change`, must give an error with this text. */
#define BROKEN(name, text, change)           \
	static void name(void)               \
	{                                    \
		struct fixture f;            \
                                             \
		make(&f);                    \
		change;                      \
		finish_and_expect(&f, text); \
	}

/* clang-format off */
BROKEN(pid_large, "pid 4194304 is out of range", f.manifest->root = f.process->id = 0x400000)
BROKEN(group_zero, "process group 0 is out of range", f.process->group = 0)
BROKEN(session_large, "session 5000000 is out of range", f.process->session = 5000000)
BROKEN(root_missing, "there is no record of the root task 99",
       (f.manifest->root = 99, f.process->parent = f.child->id))
BROKEN(root_has_parent, "the root task has a parent", f.process->parent = 110)
BROKEN(second_root, "it has no parent", f.child->parent = 0)
BROKEN(parent_missing, "no record of its parent 77", f.child->parent = 77)
BROKEN(parent_is_itself, "1 processes do not descend", f.child->parent = 110)
BROKEN(stop_signal_unknown, "signal 9 does not stop",
       (f.child->has_stop_signal = true, f.child->stop_signal = 9))
BROKEN(stop_told_alone, "a stop that there is not",
       (f.child->has_stop_told = true, f.child->stop_told = true))
BROKEN(continued_root, "told that it was continued",
       (f.process->has_was_continued = true, f.process->was_continued = true))
BROKEN(continued_stopped, "told that it was continued",
       (f.child->has_was_continued = true, f.child->has_stop_signal = true,
	f.child->stop_signal = 19))
BROKEN(exit_signal_large, "exit signal 65", f.child->exit_signal = 65)
BROKEN(leader_not_first, "first thread is not the leader", f.process->threads[0] = 101)
BROKEN(no_threads, "first thread is not the leader", f.process->n_threads = 0)
BROKEN(thread_twice, "a thread is listed twice", f.process->threads[1] = 100)
BROKEN(thread_missing, "no record of its thread 105", f.process->threads[1] = 105)
BROKEN(exited_second, "its thread 101 cannot have exited", f.thread->has_exit_status = true)
BROKEN(exited_alone, "its thread 110 cannot have exited", f.child_leader->has_exit_status = true)
BROKEN(thread_of_other, "its thread 101 names process 110", f.thread->process = 110)
BROKEN(thread_unlisted, "1 threads are not in the list", f.process->n_threads = 1)
BROKEN(thread_other_mm, "other memory or signal actions", f.thread->mm = 2)
BROKEN(thread_other_sighand, "other memory or signal actions", f.thread->sighand = 2)
BROKEN(thread_no_process, "no record of its process 111", make_thread(&f, 120, 111, 2))
BROKEN(mm_zero, "its memory or its signal actions have no number", f.child_leader->mm = 0)
BROKEN(sighand_zero, "its memory or its signal actions have no number", f.child_leader->sighand = 0)
BROKEN(mm_missing, "no record of its memory 3", f.child_leader->mm = 3)
BROKEN(files_missing, "no record of its descriptors 3", f.child_leader->files = 3)
BROKEN(fs_missing, "no record of its folders 3", f.child_leader->fs = 3)
BROKEN(sighand_missing, "no record of its signal actions 3", f.child_leader->sighand = 3)
BROKEN(context_missing, "there is no CTXT record", drop(&f, "CTXT", 101))

BROKEN(fd_large, "fd 1048576 is out of range", f.fds->fds[2]->fd = 1 << 20)
BROKEN(fd_twice, "fd 1 comes twice", f.fds->fds[2]->fd = 1)
BROKEN(fd_order, "fd 0 comes twice or out of order", (f.fds->fds[0]->fd = 1, f.fds->fds[1]->fd = 0))
BROKEN(description_missing, "no record of description 9", f.fds->fds[2]->description = 9)
BROKEN(description_zero, "cannot have this id", make_description(&f, 0, "EVFD"))
BROKEN(kind_unknown, "'ABCD' is not a kind", f.file->kind = arena_strdup(&f.img.arena, "ABCD"))
BROKEN(kind_of_task, "'COMM' is not a kind", f.file->kind = arena_strdup(&f.img.arena, "COMM"))
BROKEN(kind_record_missing, "there is no EVFD record", drop(&f, "EVFD", 1))
BROKEN(flags_create, "flags 0100, which", f.file->flags = O_RDWR | O_CREAT)
BROKEN(flags_truncate, "flags 01000, which", f.file->flags = O_RDWR | O_TRUNC)
BROKEN(flags_unknown, "flags 020000000000, which", f.file->flags = 1u << 31)
BROKEN(mm_alone, "MMSP 555: no thread has it", make_mm(&f, 555))
BROKEN(files_alone, "FDTB 555: no thread has it", put(&f, &record_fdtable, 555))
BROKEN(owner_type, "owner type 3", f.event->owner->type = 3)
BROKEN(owner_pid, "owner 4194304", f.event->owner->pid = 0x400000)
BROKEN(owner_signal, "signal 65", f.event->owner->signal = 65)
BROKEN(fd_record_alone, "it belongs to no description", put(&f, &kind_eventfd.record, 5))
BROKEN(fd_record_second, "it belongs to no description", put(&f, &kind_eventfd.record, 2))
BROKEN(thread_record_alone, "COMM 555: it belongs to nothing", put(&f, &kind_comm.record, 555))
BROKEN(fs_record_alone, "FSTR 9: it belongs to nothing", make_fs(&f, 9))
BROKEN(sighand_record_alone, "SIGH 9: it belongs to nothing", put(&f, &kind_sigactions.record, 9))

BROKEN(map_unaligned, "begin and end at a page", f.mm->mappings[1]->start++)
BROKEN(map_empty, "ends at or before its begin", f.mm->mappings[1]->end = HEAP)
BROKEN(map_in_kernel, "not in user space", f.mm->mappings[4]->end = 0x800000001000)
BROKEN(map_overlap, "overlaps the one before", f.mm->mappings[1]->end = MID + 0x1000)
BROKEN(map_order, "out of order", f.mm->mappings[1]->start = EXE + 0x1000)
BROKEN(map_prot, "protection 0x8", f.mm->mappings[1]->prot = 8)
BROKEN(map_flags, "are unknown", f.mm->mappings[1]->flags = VMF(UNKNOWN))
BROKEN(map_name, "it has a name", f.mm->mappings[0]->name = arena_strdup(&f.img.arena, "n"))
BROKEN(map_huge_size, "does not say of which size", f.mm->mappings[1]->flags |= VMF(ht))
BROKEN(map_huge_flag, "which its sort or flags cannot be", f.mm->mappings[1]->has_page_size = true;
       f.mm->mappings[1]->page_size = 0x200000)
BROKEN(map_huge_odd, "no huge pages of 2097153 bytes", make_huge(&f)->page_size = 0x200001)
BROKEN(map_huge_small, "no huge pages of 4096 bytes", make_huge(&f)->page_size = 0x1000)
BROKEN(map_huge_large, "no huge pages of 34359738368 bytes", make_huge(&f)->page_size = 32ull << 30)
BROKEN(map_huge_unaligned, "begin and end at a huge page", make_huge(&f))
BROKEN(map_huge_file, "which its sort cannot be", f.mm->mappings[0]->flags |= VMF(ht))
BROKEN(map_huge_stack, "which its sort cannot be", make_huge(&f)->flags |= VMF(gd))
BROKEN(shmem_huge_sort, "which its sort cannot be", make_huge_shmem(&f, SYSV, 0x2000))
BROKEN(shmem_huge_size, "no huge pages of 3 bytes", make_huge_shmem(&f, MEMFD, 3))
BROKEN(shmem_huge_zero, "no huge pages of 0 bytes", make_huge_shmem(&f, MEMFD, 0))
BROKEN(shmem_huge_part, "begin and end at a huge page", make_huge_shmem(&f, MEMFD, 0x200000))
BROKEN(shmem_huge_whole, "whole huge pages", make_huge_shmem(&f, MEMFD, 0x2000); f.shmem->size = 0x3000)
BROKEN(shmem_huge_one, "either it or its shared memory", make_shmem(&f, MEMFD)->has_page_size = true;
       f.shmem->page_size = f.shmem->size = 0x200000)
BROKEN(map_key, "there is no protection key 16", f.mm->mappings[1]->has_key = true;
       f.mm->mappings[1]->key = 16)
BROKEN(map_key_zero, "there is no protection key 0", f.mm->mappings[1]->has_key = true)
BROKEN(map_key_vdso, "it has a protection key", f.mm->mappings[4]->has_key = true;
       f.mm->mappings[4]->key = 1)
BROKEN(mm_keys, "protection keys 0x10000", f.mm->has_keys = true; f.mm->keys = 0x10000)
BROKEN(mm_key_zero, "protection keys 0x1", f.mm->has_keys = true; f.mm->keys = 1)
BROKEN(map_droppable_file, "it is droppable, which its sort cannot be", f.mm->mappings[0]->flags |= VMF(dp))
BROKEN(map_droppable_stack, "it is droppable, which its sort cannot be",
       f.mm->mappings[1]->flags |= VMF(dp) | VMF(gd))
BROKEN(map_anon_file, "it has a file", f.mm->mappings[1]->has_file = true)
BROKEN(map_no_file, "it has a file, which its sort cannot have, or none", f.mm->mappings[0]->has_file = false)
BROKEN(map_file_index, "its file is not in the list", f.mm->mappings[0]->file = 1)
BROKEN(map_offset, "offset is missing or not of a page", f.mm->mappings[0]->offset = 5)
BROKEN(map_offset_large, "its offset is too large",
       f.mm->mappings[0]->offset = INT64_MAX - INT64_MAX % CHECK_PAGE)
BROKEN(map_two_vdsos, "there are 2 vDSOs", f.mm->mappings[3]->sort = MAPPING__SORT__VDSO)
BROKEN(map_vvar_alone, "without a vDSO", f.mm->n_mappings--)

BROKEN(shmem_alone, "SHRM 1: nobody has it", shmem_mapping(&f, ANON)->sort = MAPPING__SORT__ANON;
       f.mm->mappings[5]->has_memory = f.mm->mappings[5]->has_offset = false)
BROKEN(shmem_missing, "no record of its shared memory 2", shmem_mapping(&f, ANON)->memory = 2)
BROKEN(shmem_none, "shared memory, which its sort", shmem_mapping(&f, ANON)->has_memory = false)
BROKEN(shmem_no_sort, "shared memory, which its sort", f.mm->mappings[1]->has_memory = true)
BROKEN(shmem_id, "cannot have this id", put(&f, &record_shmem, 0))
BROKEN(shmem_empty, "a size of 0 bytes", make_shmem(&f, ANON)->size = 0)
BROKEN(shmem_odd, "no whole pages", make_shmem(&f, ANON)->size = 0x2001)
BROKEN(shmem_huge, "a size of", make_shmem(&f, MEMFD)->size = INT64_MAX)
BROKEN(shmem_mode, "permissions 010000", make_shmem(&f, MEMFD)->mode = 010000)
BROKEN(shmem_owner, "user 4294967295", make_shmem(&f, MEMFD)->uid = UINT32_MAX)
BROKEN(shmem_name, "has a name and seals", make_shmem(&f, MEMFD)->name = NULL)
BROKEN(shmem_seals_none, "has a name and seals", make_shmem(&f, ANON)->has_seals = true)
BROKEN(shmem_seals, "seals 0x100 are unknown", make_shmem(&f, MEMFD)->seals = 0x100)
BROKEN(shmem_tmpfs_name, "a file cannot have its name", make_shmem(&f, TMPFS)->name = "../x")
BROKEN(shmem_tmpfs_none, "has a name and seals", make_shmem(&f, TMPFS)->name = NULL)
BROKEN(shmem_name_long, "its name is too long",
       make_shmem(&f, MEMFD)->name = memset(arena_alloc(&f.img.arena, 251), 'x', 250))
BROKEN(shmem_number, "has a number and a key", make_shmem(&f, ANON)->has_shmid = true)
BROKEN(shmem_no_key, "has a number and a key", make_shmem(&f, SYSV)->has_key = false)
BROKEN(shmem_negative, "of number -1", make_shmem(&f, SYSV)->shmid = -1)
BROKEN(shmem_sealed, "its memory is sealed", make_shmem(&f, MEMFD)->seals = F_SEAL_WRITE;
       f.mm->mappings[5]->flags |= VMF(mw))
BROKEN(segment_private, "mapped privately", shmem_mapping(&f, SYSV)->sort = MAPPING__SORT__SHMEM_PRIVATE)
BROKEN(segment_beyond, "beyond the end of the System V", shmem_mapping(&f, SYSV)->end += 0x1000)
BROKEN(segment_offset, "beyond the end of the System V", shmem_mapping(&f, SYSV)->offset = 0x1000)
BROKEN(segment_low, "would not lie in user space", make_shmem(&f, SYSV)->size = 1ull << 48;
       f.mm->mappings[5]->offset = SHMEM_AT + 0x1000)
BROKEN(segment_high, "would not lie in user space", make_shmem(&f, SYSV)->size = 1ull << 40)
BROKEN(shmem_extent_odd, "begin and end at a page", make_shmem(&f, ANON)->extents[0]->start = 1)
BROKEN(shmem_extent_end, "behind the end of the memory", make_shmem(&f, ANON)->extents[0]->start = 0x2000)
BROKEN(shmem_extent_large, "behind the end of the memory", make_shmem(&f, ANON)->extents[0]->length = 1ull << 40)
BROKEN(shmem_extent_zero, "it has no data", make_shmem(&f, ANON)->extents[0]->sort = EXTENT__SORT__ZERO)
BROKEN(shmem_extent_place, "no page store 7", make_shmem(&f, ANON)->extents[0]->store = 7)

BROKEN(extent_unaligned, "begin and end at a page", f.mm->extents[1]->length = 5)
BROKEN(extent_empty, "ends at or before its begin", f.mm->extents[1]->length = 0)
BROKEN(extent_wraps, "not in user space", f.mm->extents[1]->length = ~0ull << 12)
BROKEN(extent_overlap, "overlaps the one before", f.mm->extents[2]->start = HEAP)
BROKEN(extent_outside, "does not lie in one mapping", f.mm->extents[2]->start = HEAP + 0x4000)
BROKEN(extent_beyond, "does not lie in one mapping", f.mm->extents[2]->length = 3 * CHECK_PAGE)
BROKEN(extent_shared, "no pages of its own", f.mm->extents[2]->start = MID; f.mm->extents[2]->length = 0x1000)
BROKEN(extent_no_place, "does not say where", f.mm->extents[1]->has_offset = false)
BROKEN(extent_no_store, "no page store 1", f.mm->extents[1]->store = 1)
BROKEN(extent_offset, "offset is not of a page", f.mm->extents[1]->offset = 5)
BROKEN(extent_past_end, "beyond the end of pages-0", f.mm->extents[2]->offset = 0x2000)
BROKEN(extent_far_past_end, "beyond the end of pages-0", f.mm->extents[2]->offset = ~0ull << 12)
BROKEN(extent_zero_store, "no data, but a place", f.mm->extents[0]->has_store = true)
BROKEN(extent_sort, "its sort 3 is unknown", f.mm->extents[0]->sort = (Extent__Sort)3)
BROKEN(guard_unaligned, "does not begin and end at a page", make_guard(&f, HEAP + 0x1000)->length = 5)
BROKEN(guard_empty, "ends at or before its begin", make_guard(&f, HEAP + 0x1000)->length = 0)
BROKEN(guard_far, "not in user space", make_guard(&f, ~0ull << 12))
BROKEN(guard_outside, "does not lie in one mapping", make_guard(&f, HEAP + 0x4000))
BROKEN(guard_beyond, "does not lie in one mapping", make_guard(&f, MID)->length = 0x2000)
BROKEN(guard_order, "overlaps the one before it", make_guard(&f, MID); make_guard(&f, HEAP + 0x1000))
BROKEN(guard_twice, "overlaps the one before it", make_guard(&f, MID); make_guard(&f, MID))
BROKEN(guard_vdso, "it lies in the vDSO", make_guard(&f, 0x7ffff0004000))
BROKEN(guard_contents, "pages with contents in it", make_guard(&f, HEAP + 0x3000))
BROKEN(guard_contents_behind, "pages with contents in it", make_guard(&f, HEAP + 0x1000)->length = 0x2000)
BROKEN(extent_data_mm, "it names other memory", f.mm->extents[1]->has_mm = true)
BROKEN(same_no_mm, "it names other memory, which its sort cannot do, or none", make_same(&f, 1)->has_mm = false)
BROKEN(same_place, "no data, but a place", make_same(&f, 1)->has_offset = true)
BROKEN(same_itself, "those of memory 2, which is not that of its parent", make_same(&f, 1)->mm = 2)
BROKEN(same_nobody, "those of memory 77, which is not that of its parent", make_same(&f, 1)->mm = 77)
BROKEN(same_above_root, "those of memory 2, which is not that of its parent",
       turn_same(f.mm->extents[1], 2))
BROKEN(same_nothing, "no pages of the image at 10001000", make_same(&f, 1)->length = 0x2000)
BROKEN(same_zero, "no pages of the image at 401000", turn_same(f.child_mm->extents[0], 1))
BROKEN(same_before, "no pages of the image at 10001000",
       make_same(&f, 2)->start -= 0x1000)

BROKEN(mm_address, "address 800000000000 is not in user space", f.mm->arg_end = CHECK_MAX_ADDRESS)
BROKEN(mm_order, "end before they begin", f.mm->start_brk = HEAP + 1)
BROKEN(mm_auxv_odd, "vector of 100 bytes", f.mm->auxv.len = 100)
BROKEN(mm_locks_current, "locks of memory to come: 0x3",
       (f.mm->has_lock_future = true, f.mm->lock_future = 3))
BROKEN(mm_auxv_large, "vector of 1040 bytes", f.mm->auxv.len = 1040)
BROKEN(mm_build_id, "a build id of 33 bytes",
       (f.mm->exe->has_build_id = true, f.mm->exe->build_id.len = 33))
BROKEN(mm_file_size, "a size of", f.mm->exe->size = 1ull << 63)

BROKEN(path_relative, "path is not an absolute path: 'tmp'",
       f.regfile->path = arena_strdup(&f.img.arena, "tmp"))
BROKEN(path_empty, "path is not an absolute path", f.regfile->path = arena_strdup(&f.img.arena, ""))
BROKEN(path_nested, "files[0]: path is not", f.mm->files[0]->path = arena_strdup(&f.img.arena, "x"))
BROKEN(path_long, "path is too long",
       f.regfile->path = memset(arena_alloc(&f.img.arena, 4097), '/', 4096))
BROKEN(cwd_relative, "cwd is not an absolute path", f.fs->cwd = arena_strdup(&f.img.arena, "."))

#define ROW(name) { #name, name }
/* clang-format on */
static CU_TestInfo tests[] = {
	ROW(valid),
	ROW(pid_large),
	ROW(group_zero),
	ROW(session_large),
	ROW(root_missing),
	ROW(root_has_parent),
	ROW(second_root),
	ROW(parent_missing),
	ROW(parent_is_itself),
	ROW(exit_signal_large),
	ROW(stop_signal_unknown),
	ROW(stop_told_alone),
	ROW(continued_root),
	ROW(continued_stopped),
	ROW(leader_not_first),
	ROW(no_threads),
	ROW(thread_twice),
	ROW(thread_missing),
	ROW(exited_second),
	ROW(exited_alone),
	ROW(thread_of_other),
	ROW(thread_unlisted),
	ROW(thread_other_mm),
	ROW(thread_other_sighand),
	ROW(thread_no_process),
	ROW(mm_zero),
	ROW(sighand_zero),
	ROW(mm_missing),
	ROW(files_missing),
	ROW(fs_missing),
	ROW(sighand_missing),
	ROW(context_missing),
	ROW(fd_large),
	ROW(fd_twice),
	ROW(fd_order),
	ROW(description_missing),
	ROW(description_zero),
	ROW(kind_unknown),
	ROW(kind_of_task),
	ROW(kind_record_missing),
	ROW(flags_create),
	ROW(flags_truncate),
	ROW(flags_unknown),
	ROW(mm_alone),
	ROW(files_alone),
	ROW(owner_type),
	ROW(owner_pid),
	ROW(owner_signal),
	ROW(fd_record_alone),
	ROW(fd_record_second),
	ROW(thread_record_alone),
	ROW(fs_record_alone),
	ROW(sighand_record_alone),
	ROW(map_unaligned),
	ROW(map_empty),
	ROW(map_in_kernel),
	ROW(map_overlap),
	ROW(map_order),
	ROW(map_prot),
	ROW(map_flags),
	ROW(map_name),
	ROW(map_huge_size),
	ROW(map_huge_flag),
	ROW(map_huge_odd),
	ROW(map_huge_small),
	ROW(map_huge_large),
	ROW(map_huge_unaligned),
	ROW(map_huge_file),
	ROW(map_huge_stack),
	ROW(shmem_huge_sort),
	ROW(shmem_huge_size),
	ROW(shmem_huge_zero),
	ROW(shmem_huge_part),
	ROW(shmem_huge_whole),
	ROW(shmem_huge_one),
	ROW(map_key),
	ROW(map_key_zero),
	ROW(map_key_vdso),
	ROW(mm_keys),
	ROW(mm_key_zero),
	ROW(map_droppable_file),
	ROW(map_droppable_stack),
	ROW(map_anon_file),
	ROW(map_no_file),
	ROW(map_file_index),
	ROW(map_offset),
	ROW(map_offset_large),
	ROW(map_two_vdsos),
	ROW(map_vvar_alone),
	ROW(shmem_alone),
	ROW(shmem_missing),
	ROW(shmem_none),
	ROW(shmem_no_sort),
	ROW(shmem_id),
	ROW(shmem_empty),
	ROW(shmem_odd),
	ROW(shmem_huge),
	ROW(shmem_mode),
	ROW(shmem_owner),
	ROW(shmem_name),
	ROW(shmem_seals_none),
	ROW(shmem_seals),
	ROW(shmem_tmpfs_name),
	ROW(shmem_tmpfs_none),
	ROW(shmem_name_long),
	ROW(shmem_number),
	ROW(shmem_no_key),
	ROW(shmem_negative),
	ROW(shmem_sealed),
	ROW(segment_private),
	ROW(segment_beyond),
	ROW(segment_offset),
	ROW(segment_low),
	ROW(segment_high),
	ROW(shmem_extent_odd),
	ROW(shmem_extent_end),
	ROW(shmem_extent_large),
	ROW(shmem_extent_zero),
	ROW(shmem_extent_place),
	ROW(extent_unaligned),
	ROW(extent_empty),
	ROW(extent_wraps),
	ROW(extent_overlap),
	ROW(extent_outside),
	ROW(extent_beyond),
	ROW(extent_shared),
	ROW(extent_no_place),
	ROW(extent_no_store),
	ROW(extent_offset),
	ROW(extent_past_end),
	ROW(extent_far_past_end),
	ROW(extent_zero_store),
	ROW(extent_sort),
	ROW(guard_unaligned),
	ROW(guard_empty),
	ROW(guard_far),
	ROW(guard_outside),
	ROW(guard_beyond),
	ROW(guard_order),
	ROW(guard_twice),
	ROW(guard_vdso),
	ROW(guard_contents),
	ROW(guard_contents_behind),
	ROW(extent_data_mm),
	ROW(same_no_mm),
	ROW(same_place),
	ROW(same_itself),
	ROW(same_nobody),
	ROW(same_above_root),
	ROW(same_nothing),
	ROW(same_zero),
	ROW(same_before),
	ROW(mm_address),
	ROW(mm_order),
	ROW(mm_auxv_odd),
	ROW(mm_locks_current),
	ROW(mm_build_id),
	ROW(mm_auxv_large),
	ROW(mm_file_size),
	ROW(path_relative),
	ROW(path_empty),
	ROW(path_nested),
	ROW(path_long),
	ROW(cwd_relative),
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = { { "check", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };

	return tap_run(suites);
}
