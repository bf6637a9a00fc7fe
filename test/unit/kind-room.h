/* SPDX-License-Identifier: MIT */
/*
 * A room for kinds: engines that are just enough, so that a kind can look at an object of this very
 * process, write its record, and make the object again from it.
 */
#ifndef KIND_ROOM_H
#define KIND_ROOM_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "dump/api.h"
#include "files.pb-c.h"
#include "kind.h"
#include "process.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"

/* --- messages in an arena ----------------------------------------------------------------------- */

static void *room_take(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

static void room_keep(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static inline ProtobufCMessage *room_unpack(struct arena *a, const ProtobufCMessageDescriptor *d,
					    size_t n, const uint8_t *bytes)
{
	ProtobufCAllocator in_arena = { room_take, room_keep, a };

	return protobuf_c_message_unpack(d, &in_arena, n, bytes);
}

/* --- the engines ------------------------------------------------------------------------------- */

struct room_shared {
	const struct kind *kind;
	uint64_t key;
	unsigned int which;
	uint32_t id;
	int fd;
};

struct dump {
	struct arena arena;
	const struct held_thread *held; /* the only one */
	vec(struct fd_view) views;
	vec(struct room_shared) shared;
};

struct room_note {
	uint32_t id;
	void *of_kind;
};

struct room_record {
	const char *tag;
	uint32_t id;
	const void *msg;
};

struct restore {
	struct arena arena;
	struct host host;
	uint64_t blocked;
	vec(struct room_record) records;
	vec(struct room_shared *) shared;
	vec(struct room_note *) notes;
};

struct arena *dump_arena(struct dump *d)
{
	return &d->arena;
}

uint32_t dump_description(struct dump *d, int pid, int fd)
{
	(void)pid;
	vec_each(v, &d->views) {
		if (v->fd == fd)
			return v->id;
	}
	return 0;
}

uint32_t dump_shared(struct dump *d, const struct kind *k, uint64_t key, uint32_t id)
{
	vec_each(s, &d->shared) {
		if (s->kind == k && s->key == key)
			return s->id;
	}
	*vec_add(&d->shared) = (struct room_shared){ k, key, 0, id, -1 };
	return id;
}

int dump_each_thread(struct dump *d, int pid,
		     int (*each)(void *arg, const struct held_thread *held), void *arg)
{
	(void)pid;
	return d->held ? each(arg, d->held) : 0;
}

/* Here the number of a descriptor stands for the memory behind it. */
uint32_t dump_shmem(struct dump *d, const struct fd_view *v)
{
	(void)d;
	return (uint32_t)v->fd + 1;
}

int restore_shmem(struct restore *r, uint32_t id)
{
	(void)r;
	return (int)id - 1;
}

int dump_each_description(struct dump *d, int (*each)(void *arg, const struct fd_view *v),
			  void *arg)
{
	vec_each(v, &d->views) {
		int rc = each(arg, v);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Those of listeners are; all are in one table, of process 7. */
bool dump_is_late(const struct dump *d, uint32_t description)
{
	vec_each(v, &d->views) {
		if (v->id == description)
			return !strcmp(v->link, "anon_inode:seccomp notify");
	}
	return false;
}

size_t dump_n_late(const struct dump *d)
{
	size_t n = 0;

	vec_each(v, &d->views) {
		n += dump_is_late(d, v->id);
	}
	return n;
}

uint32_t dump_table_of(struct dump *d, int tid)
{
	(void)d;
	return (uint32_t)tid;
}

bool dump_table_has(struct dump *d, uint32_t table, uint32_t description)
{
	(void)d, (void)description;
	return table == 7;
}

uint32_t dump_make_late(struct dump *d, uint32_t description, uint32_t tid)
{
	(void)d, (void)description;
	return tid;
}

bool dump_table_is_own(struct dump *d, int pid)
{
	(void)d;
	return pid == 7;
}

int dump_check_numbers(struct dump *d, const struct task_view *v, uint32_t n, uint32_t *lowest,
		       struct error *e)
{
	(void)d, (void)v, (void)n, (void)e;
	*lowest = 3;
	return 0;
}

const void *restore_record(struct restore *r, const char *tag, uint32_t id)
{
	vec_each(rec, &r->records) {
		if (!strcmp(rec->tag, tag) && rec->id == id)
			return rec->msg;
	}
	return !strcmp(tag, "SHRM") && id ? r : NULL;
}

/* Here a description is any record with that id. */
int restore_flags(struct restore *r, uint32_t description, uint32_t *flags, struct error *e)
{
	*flags = 0;
	vec_each(rec, &r->records) {
		if (rec->id == description)
			return 0;
	}
	return fail(e, 0, "there is no open file description %u", description);
}

/* Here all numbers are free. */
int restore_check_numbers(struct restore *r, uint32_t pid, uint32_t table, uint32_t n,
			  uint32_t *lowest, struct error *e)
{
	(void)r, (void)pid, (void)table, (void)n, (void)e;
	*lowest = 0;
	return 0;
}

int restore_late(struct restore *r, uint32_t description, enum late_part part, struct late *out,
		 struct error *e)
{
	const Description *d = restore_record(r, "DESC", description);

	(void)part;
	if (!d || !d->late)
		return fail(e, 0, "description %u is made by nobody", description);
	*out = (struct late){ 0x200, 0x204,    d->late->task,     d->late->task,
			      0,     d->flags, d->late->n_tables, d->late->tables };
	return 0;
}

bool restore_is_late(struct restore *r, uint32_t description)
{
	const Description *d = restore_record(r, "DESC", description);

	return d && d->late;
}

int restore_emit_late(struct restore *r, struct plan *p, uint32_t description, uint32_t table,
		      struct error *e)
{
	(void)r, (void)e;
	plan_note(p, "what others of %u do with %u", table, description);
	plan_call_any(p, SYS_gettid, arg_num(0));
	return 0;
}

const struct host *restore_host(struct restore *r)
{
	return &r->host;
}

void restore_keep_blocked(struct restore *r, uint32_t signal)
{
	if (signal >= 1 && signal <= 64)
		r->blocked |= 1ull << (signal - 1);
}

struct arena *restore_arena(struct restore *r)
{
	return &r->arena;
}

static bool room_shares_io;

bool restore_shares_io(struct restore *r, uint32_t tid)
{
	(void)r;
	(void)tid;
	return room_shares_io;
}

bool restore_has_shared_io(const struct restore *r)
{
	(void)r;
	return room_shares_io;
}

size_t restore_threads(struct restore *r, uint32_t pid, const uint32_t **tids)
{
	const Process *p = restore_record(r, "PROC", pid);

	*tids = p ? p->threads : NULL;
	return p ? p->n_threads : 0;
}

int restore_words(struct restore *r, uint32_t n, uint64_t *at, struct error *e)
{
	(void)r;
	(void)n;
	(void)e;
	*at = 0x100;
	return 0;
}

/* One kind at a time. */
void **restore_note(struct restore *r, const struct kind *k, uint32_t id)
{
	struct room_note *n;

	(void)k;
	vec_each(it, &r->notes)
		if ((*it)->id == id)
			return &(*it)->of_kind;
	n = arena_alloc(&r->arena, sizeof(*n));
	n->id = id;
	*vec_add(&r->notes) = n;
	return &n->of_kind;
}

int *restore_shared_fd(struct restore *r, const struct kind *k, uint64_t key, unsigned int which)
{
	struct room_shared *s;

	vec_each(it, &r->shared) {
		if ((*it)->kind == k && (*it)->key == key && (*it)->which == which)
			return &(*it)->fd;
	}
	s = arena_alloc(&r->arena, sizeof(*s));
	*s = (struct room_shared){ k, key, which, 0, -1 };
	*vec_add(&r->shared) = s;
	return &s->fd;
}

int restore_open(struct restore *r, const char *path, int flags, struct error *e)
{
	int fd = open(path, flags | O_CLOEXEC);

	(void)r;
	return fd < 0 ? fail(e, errno, "open %s", path) : fd;
}

/* The last settings that a kind has told; the terminal is that of the room. */
static struct terminal_settings room_settings;
static const char *room_terminal;

void restore_terminal(struct restore *r, const struct terminal_settings *t)
{
	(void)r;
	if (t)
		room_settings = *t;
}

int restore_open_terminal(struct restore *r, bool by_tty, int flags, struct error *e)
{
	return by_tty || !room_terminal ? fail(e, ENXIO, "/dev/tty")
					: restore_open(r, room_terminal, flags, e);
}

uint32_t restore_path_slot(struct restore *r, const char *path, int flags)
{
	(void)r;
	(void)path;
	(void)flags;
	return 0;
}

void *restore_stop_frame(struct restore *r, uint32_t tid, size_t size, uint64_t *at)
{
	(void)r, (void)tid, (void)size, (void)at;
	return NULL;
}

uint32_t restore_emit_fetch(struct restore *r, struct plan *p, uint32_t slot)
{
	(void)r;
	return plan_call(p, SYS_pidfd_getfd, arg_num(0), arg_slot(slot), arg_num(0));
}

void restore_emit_close(struct restore *r, struct plan *p, uint32_t fetch)
{
	(void)r;
	plan_call_is(p, 0, SYS_close, arg_result(fetch));
}

/* All descriptions are open: what they shared goes. */
static inline void room_end_open(struct restore *r)
{
	vec_each(it, &r->shared) {
		if ((*it)->fd >= 0)
			close((*it)->fd);
		(*it)->fd = -1;
	}
}

static inline void room_dump_free(struct dump *d)
{
	vec_each(v, &d->views) {
		if (v->dup >= 0)
			close(v->dup);
		if (v->proc >= 0)
			close(v->proc);
	}
	vec_free(&d->views);
	vec_free(&d->shared);
	arena_free(&d->arena);
}

static inline void room_restore_free(struct restore *r)
{
	room_end_open(r);
	vec_free(&r->records);
	vec_free(&r->shared);
	vec_free(&r->notes);
	arena_free(&r->arena);
}

/* --- records ----------------------------------------------------------------------------------- */

static inline void *room_message(struct arena *a, const struct kind *k, uint32_t id)
{
	char *m = arena_alloc(a, k->record.desc->sizeof_message);

	protobuf_c_message_init(k->record.desc, m);
	memcpy(m + k->record.desc->fields[0].offset, &id, sizeof(id));
	return m;
}

static inline const struct kind *room_kind(const char *name)
{
	for (size_t i = 0; i < n_kinds; i++) {
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	}
	abort();
}

/* Runs a plan in the calling thread; its results and data stay in the region, which is never freed
 * since plans that fork go on in it. The first failure: its index, or -1. */
struct room_run {
	char *region;
	const int64_t *results;
	const uint8_t *data;
	int failed;
	int64_t result;
};

static inline struct room_run room_run(const struct plan *p)
{
	const uint64_t at = 64;
	size_t size = at + plan_size(p, 4096);
	char *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct cr_rst_report *report = (const void *)region;
	struct room_run run = { .region = region, .failed = -1 };

	if (region == MAP_FAILED)
		abort();
	plan_write(p, region, at, 4096, 0);
	if (cr_rst_run((struct cr_rst_plan *)(region + at)) < 0) {
		run.failed = (int)report->index;
		run.result = report->result;
	}
	run.results = (const int64_t *)(region + plan_results_at(p, at));
	run.data = (const uint8_t *)(region + plan_data_at(p, at));
	return run;
}

/* The plan that the kind makes of the record, in words; or its error. */
static inline const char *room_plan_of(struct restore *r, const char *kind, const void *record)
{
	auto_buf text = { 0 };
	struct error e = { 0 };
	const struct task_ops *ops = room_kind(kind)->task;
	struct plan p;

	plan_init(&p, &r->arena, 7);
	if (ops->emit(r, &p, record, 7, &e) < 0 ||
	    (ops->emit_late && ops->emit_late(r, &p, record, 7, &e) < 0))
		buf_printf(&text, "%s\n", e.text);
	else
		plan_explain(&p, &text);
	buf_add(&text, "", 1);
	plan_free(&p);
	return arena_strdup(&r->arena, text.p);
}

/* A failure whose text has this part. */
#define REFUSED(rc, e, part)                                    \
	do {                                                    \
		CU_ASSERT((rc) < 0);                            \
		if (!strstr((e).text, part))                    \
			printf("# %s\n", (e).text);             \
		CU_ASSERT_PTR_NOT_NULL(strstr((e).text, part)); \
	} while (0)

#endif
