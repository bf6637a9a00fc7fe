/* SPDX-License-Identifier: MIT */
/*
 * Slots: descriptors that cr opens, in the ordinary libc world, and that the tasks fetch by
 * pidfd_getfd. And the calls of restore/api.h, which kinds make.
 */
#include "restore/internal.h"
#include "restore/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/arch.h"
#include "base/compat.h"
#include "base/escape.h"
#include "base/fd.h"

uint32_t slot_add(struct restore *r, struct slot s)
{
	s.fd = -1;
	*vec_add(&r->slots) = s;
	return (uint32_t)r->slots.n - 1;
}

/* --- what kinds may call ------------------------------------------------------------------------- */

const void *restore_record(struct restore *r, const char *tag, uint32_t id)
{
	const struct record *rec = image_find(&r->img, tag, id);

	return rec ? rec->msg : NULL;
}

int restore_flags(struct restore *r, uint32_t description, uint32_t *flags, struct error *e)
{
	const Description *d = restore_record(r, "DESC", description);

	if (!d)
		return fail(e, 0, "there is no open file description %u", description);
	*flags = d->flags;
	return 0;
}

const struct host *restore_host(struct restore *r)
{
	return &r->host;
}

struct arena *restore_arena(struct restore *r)
{
	return &r->arena;
}

size_t restore_threads(struct restore *r, uint32_t pid, const uint32_t **tids)
{
	const Process *p = restore_record(r, record_process.tag, pid);

	*tids = p ? p->threads : NULL;
	return p ? p->n_threads : 0;
}

bool restore_shares_io(struct restore *r, uint32_t tid)
{
	const Thread *t = restore_record(r, record_thread.tag, tid);

	return t && t->io_context;
}

bool restore_has_shared_io(const struct restore *r)
{
	return r->has_contexts;
}

int restore_words(struct restore *r, uint32_t n, uint64_t *at, struct error *e)
{
	if (n > REGION_WORDS - r->n_words)
		return fail(e, 0, "too many processes whose threads have to wait for each other");
	*at = WORD_AT(words) + r->n_words * sizeof(uint32_t);
	r->n_words += n;
	return 0;
}

void **restore_note(struct restore *r, const struct kind *k, uint32_t id)
{
	struct note *n;

	vec_each(it, &r->notes)
		if ((*it)->kind == k && (*it)->id == id)
			return &(*it)->of_kind;
	n = arena_alloc(&r->arena, sizeof(*n));
	*n = (struct note){ k, id, NULL };
	*vec_add(&r->notes) = n;
	return &n->of_kind;
}

int *restore_shared_fd(struct restore *r, const struct kind *k, uint64_t key, unsigned int which)
{
	struct known *of = key <= UINT32_MAX ? tree_known(r, k->record.tag, (uint32_t)key) : NULL;
	struct shared_fd **list = of ? &of->shared : &r->shared_others, *s;

	for (s = *list; s; s = s->next) {
		if (s->kind == k && s->key == key && s->which == which)
			return &s->fd;
	}
	s = arena_alloc(&r->arena, sizeof(*s));
	*s = (struct shared_fd){ *list, k, key, which, -1 };
	*list = s;
	*vec_add(&r->shared) = s;
	return &s->fd;
}

int restore_open(struct restore *r, const char *path, int flags, struct error *e)
{
	int fd;

	(void)r;
	if (path[0] != '/')
		return fail(e, 0, "%s: not an absolute path", path);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return fail(e, errno, "open %s", path);
	return fd;
}

uint32_t restore_path_slot(struct restore *r, const char *path, int flags)
{
	return slot_add(r, (struct slot){ .sort = SLOT_PATH, .path = path, .flags = flags });
}

uint32_t restore_emit_fetch(struct restore *r, struct plan *p, uint32_t slot)
{
	return plan_call(p, SYS_pidfd_getfd, arg_num((uint64_t)r->self_pidfd), arg_slot(slot),
			 arg_num(0));
}

void restore_emit_close(struct restore *r, struct plan *p, uint32_t fetch)
{
	(void)r;
	plan_call_is(p, 0, SYS_close, arg_result(fetch));
}

/* --- opening ------------------------------------------------------------------------------------- */

/* It tells more than the time of modification: a package that is installed anew has the old id, and
 * another build of the same size another one. */
static int check_build_id(int fd, const FileIdentity *f, struct error *e)
{
	uint8_t page[4096], id[32];
	ssize_t size = pread(fd, page, sizeof(page), 0);
	uint32_t n = size > 0 ? arch_elf_build_id(page, (size_t)size, id) : 0;

	if (n == f->build_id.len && !memcmp(id, f->build_id.data, n))
		return 0;
	return fail(e, 0,
		    "%s: was changed since the dump (another build id); put the old file back",
		    f->path);
}

/* A mapped file must be the one that it was: code and data in memory refer to its contents. */
static int open_file(struct restore *r, const struct slot *s, struct error *e)
{
	const FileIdentity *f = s->file;
	struct stat st;

	/* Before it is opened: the image names it, and to open a device can be to do something. */
	if (stat(f->path, &st) < 0)
		return fail(e, errno, "open %s", f->path);
	if (!S_ISREG(st.st_mode))
		return fail(e, 0, "%s: is not a regular file, but was mapped as one", f->path);
	/* A named pipe that takes its place now must not make cr wait for somebody at the other end. */
	auto_fd fd = restore_open(r, f->path, s->flags | O_NONBLOCK | O_NOCTTY, e);
	if (fd < 0)
		return fd;
	if (s->flags == O_RDWR && (uint64_t)st.st_size >= f->size)
		return take_fd(&fd);
	if ((uint64_t)st.st_size != f->size)
		return fail(e, 0, "%s: has %lld bytes, had %llu at the dump; put the old file back",
			    f->path, (long long)st.st_size, (unsigned long long)f->size);
	if (f->has_build_id) {
		int rc = check_build_id(fd, f, e);

		return rc < 0 ? rc : take_fd(&fd);
	}
	if (st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec != f->mtime_ns)
		return fail(e, 0,
			    "%s: was changed since the dump (another time of modification); "
			    "put the old file back",
			    f->path);
	return take_fd(&fd);
}

static int open_description(struct restore *r, const struct slot *s, struct error *e)
{
	const uint32_t settable = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;
	const Description *d = restore_record(r, "DESC", s->id);
	const struct kind *k = kind_by_tag(d->kind);
	const void *rec = restore_record(r, d->kind, s->id);
	int fd = k->fd->open(r, rec, d->flags, e);

	if (fd < 0)
		return within(e, fd, "%s", k->name);
	/* F_SETFL also clears the flags it is not given, so it gets those that open has set as well. */
	if (d->flags & k->fd->late_flags && fcntl(fd, F_SETFL, (int)(d->flags & settable)) < 0) {
		int rc = fail(e, errno, "%s: F_SETFL %#x", k->name, d->flags);

		close(fd);
		return rc;
	}
	return fd;
}

/*
 * cr's executable under another path, mount and dentry being what the kernel compares: a clone of
 * the mount that is attached nowhere. Not an error if it cannot be had: there is another way.
 */
static int open_own_exe(struct restore *r, struct error *e)
{
	auto_fd tree =
		sys_open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	char path[32] = "/proc/self/exe";

	if (tree >= 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", tree);
	return restore_open(r, path, O_RDONLY, e);
}

static int open_own(int fd, struct error *e)
{
	int n = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return n < 0 ? fail(e, errno, "F_DUPFD of cr's descriptor %d", fd) : n;
}

static int open_slot(struct restore *r, const struct slot *s, struct error *e)
{
	switch (s->sort) {
	case SLOT_PATH:
		return restore_open(r, s->path, s->flags, e);
	case SLOT_FILE:
		return open_file(r, s, e);
	case SLOT_DESCRIPTION:
		return open_description(r, s, e);
	case SLOT_STORE:
		return r->img.stores[s->id];
	case SLOT_SHMEM:
		return shmem_open(r, s->id, s->flags, e);
	case SLOT_OWN_EXE:
		return open_own_exe(r, e);
	case SLOT_STANDARD:
		return open_own((int)s->id, e);
	case SLOT_TERMINAL:
		return open_own(r->terminal.fd, e);
	}
	return -EINVAL;
}

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* 0: what one gives does for the other too. A file is checked against what is known of it each time. */
static int compare_slots(const struct slot *a, const struct slot *b)
{
	int order = compare(a->sort, b->sort);

	if (!order)
		order = compare((uint64_t)a->flags, (uint64_t)b->flags);
	if (!order)
		order = compare(a->id, b->id);
	if (!order && a->sort == SLOT_PATH)
		order = strcmp(a->path, b->path);
	if (order || a->sort != SLOT_FILE)
		return order;
	order = strcmp(a->file->path, b->file->path);
	if (!order)
		order = compare(a->file->size, b->file->size);
	return order ? order : compare((uint64_t)a->file->mtime_ns, (uint64_t)b->file->mtime_ns);
}

/* Then by their place, so that the first of equal ones comes first. */
static int slot_order(const void *x, const void *y)
{
	const struct slot *a = *(struct slot *const *)x, *b = *(struct slot *const *)y;
	int order = compare_slots(a, b);

	return order ? order : a < b ? -1 : a > b;
}

static bool can_be_shared(const struct slot *s)
{
	return s->sort != SLOT_DESCRIPTION && (s->sort != SLOT_PATH || s->flags & O_PATH);
}

/* For each slot the first that is the same, in the arena. */
static struct slot **find_same(struct restore *r)
{
	size_t n = r->slots.n;
	struct slot **order = arena_alloc(&r->arena, (n + 1) * sizeof(*order));
	struct slot **same = arena_alloc(&r->arena, (n + 1) * sizeof(*same));

	for (size_t i = 0; i < n; i++)
		order[i] = &r->slots.v[i];
	if (n)
		qsort(order, n, sizeof(*order), slot_order);
	for (size_t i = 0; i < n; i++) {
		struct slot *s = order[i], *before = i ? order[i - 1] : NULL;
		bool is_same = before && can_be_shared(s) && !compare_slots(before, s);

		same[s - r->slots.v] = is_same ? same[before - r->slots.v] : s;
	}
	return same;
}

/* Whether all kinds that must be open before have been. */
static bool comes_now(struct restore *r, const struct slot *s, unsigned int round)
{
	const Description *d;
	const struct kind *k;

	if (s->sort != SLOT_DESCRIPTION)
		return round == 0;
	d = restore_record(r, "DESC", s->id);
	k = kind_by_tag(d->kind);
	return round == (k->after ? 1u : 0u);
}

int slots_open(struct restore *r, struct error *e)
{
	struct slot **same = find_same(r);

	for (unsigned int round = 0; round < 2; round++) {
		for (size_t i = 0; i < r->slots.n; i++) {
			struct slot *s = &r->slots.v[i];

			if (!comes_now(r, s, round))
				continue;
			s->fd = same[i] != s ? same[i]->fd : open_slot(r, s, e);
			if (s->fd < 0)
				return s->fd;
		}
	}
	vec_each(s, &r->shared) {
		if ((*s)->fd >= 0)
			close((*s)->fd);
		(*s)->fd = -1;
	}
	return 0;
}

int *slots_numbers(struct restore *r)
{
	int *n = arena_alloc(&r->arena, (r->slots.n + 1) * sizeof(*n));

	for (size_t i = 0; i < r->slots.n; i++)
		n[i] = r->slots.v[i].fd;
	return n;
}

/* A number that somebody else has by now would get the signals. */
static bool is_owner_ours(struct restore *r, const Owner *o)
{
	const Process *leader = restore_record(r, "PROC", o->pid);

	if (!o->pid)
		return true;
	if (o->type != F_OWNER_PGRP)
		return restore_record(r, "THRD", o->pid);
	/* Nearly always its leader is in it. */
	if (leader && leader->group == o->pid)
		return true;
	for (size_t i = 0; leader && i < r->n_processes; i++) {
		if (r->processes[i].rec->group == o->pid)
			return true;
	}
	return false;
}

/* Owners are numbers of tasks, which must be there. */
int slots_set_owners(struct restore *r, struct error *e)
{
	vec_each(s, &r->slots) {
		const Description *d;
		struct f_owner_ex own;

		if (s->sort != SLOT_DESCRIPTION)
			continue;
		d = restore_record(r, "DESC", s->id);
		if (!d->owner)
			continue;
		if (!is_owner_ours(r, d->owner))
			return fail(e, 0, "the owner %u of a %s is not in the tree", d->owner->pid,
				    kind_by_tag(d->kind)->name);
		own.type = d->owner->type;
		own.pid = (pid_t)d->owner->pid;
		if (own.pid && fcntl(s->fd, F_SETOWN_EX, &own) < 0)
			return fail(e, errno, "F_SETOWN_EX of a %s to %d",
				    kind_by_tag(d->kind)->name, own.pid);
		if (fcntl(s->fd, F_SETSIG, (int)d->owner->signal) < 0)
			return fail(e, errno, "F_SETSIG of a %s", kind_by_tag(d->kind)->name);
	}
	return 0;
}

int slots_start(struct restore *r, struct error *e)
{
	vec_each(s, &r->slots) {
		const Description *d;
		const struct kind *k;
		int rc;

		if (s->sort != SLOT_DESCRIPTION)
			continue;
		d = restore_record(r, "DESC", s->id);
		k = kind_by_tag(d->kind);
		if (!k->fd->start)
			continue;
		rc = k->fd->start(r, restore_record(r, d->kind, s->id), s->fd, e);
		if (rc < 0)
			return within(e, rc, "%s %u", k->name, s->id);
	}
	return 0;
}

static int fd_order(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static bool is_store(const struct restore *r, int fd)
{
	for (size_t i = 0; i < r->img.n_stores; i++) {
		if (r->img.stores[i] == fd)
			return true;
	}
	return false;
}

/* Several slots may have one descriptor. */
void slots_close(struct restore *r)
{
	int *fds = slots_numbers(r);
	size_t n = r->slots.n;

	if (n)
		qsort(fds, n, sizeof(*fds), fd_order);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0 && (!i || fds[i] != fds[i - 1]) && !is_store(r, fds[i]))
			close(fds[i]);
	}
	vec_each(s, &r->slots)
		s->fd = -1;
}

void slot_print(const struct restore *r, uint32_t i, struct buf *out)
{
	const struct slot *s = &r->slots.v[i];

	buf_printf(out, "%4u  ", i);
	switch (s->sort) {
	case SLOT_PATH:
		buf_printf(out, "open ");
		escape_add(out, s->path, strlen(s->path));
		buf_printf(out, ", flags %#o\n", (unsigned int)s->flags);
		break;
	case SLOT_FILE:
		buf_printf(out, "open ");
		escape_add(out, s->file->path, strlen(s->file->path));
		buf_printf(out, ", flags %#o, and check it\n", (unsigned int)s->flags);
		break;
	case SLOT_DESCRIPTION:
		buf_printf(out, "open file description %u\n", s->id);
		break;
	case SLOT_STORE:
		buf_printf(out, "pages-%u\n", s->id);
		break;
	case SLOT_SHMEM:
		buf_printf(out, "shared memory %u, flags %#o\n", s->id, (unsigned int)s->flags);
		break;
	case SLOT_OWN_EXE:
		buf_printf(out, "cr's executable through a mount of its own\n");
		break;
	case SLOT_STANDARD:
		buf_printf(out, "cr's own descriptor %u\n", s->id);
		break;
	case SLOT_TERMINAL:
		buf_printf(out, "cr's terminal\n");
		break;
	}
}
