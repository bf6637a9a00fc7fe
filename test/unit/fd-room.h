/* SPDX-License-Identifier: MIT */
/*
 * A room for kinds of descriptors on real ones: each object is looked at and written into a
 * record, the record goes through its bytes, and what is made from it is compared with the first.
 */
#ifndef FD_ROOM_H
#define FD_ROOM_H

#include <sys/stat.h>

#include "kind-room.h"
#include "tap.h"

/* --- there and back ---------------------------------------------------------------------------- */

static inline int look(struct dump *d, int fd, struct fd_view *v)
{
	char path[32];
	struct error e;

	*v = (struct fd_view){ .pid = getpid(),
			       .tid = getpid(),
			       .fd = fd,
			       .dup = -1,
			       .id = (uint32_t)d->views.n + 1 };
	v->proc = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "fd/%d", fd);
	v->link = fd_readlink(&d->arena, v->proc, path);
	if (!v->link || fstatat(v->proc, path, &v->st, 0) < 0)
		return -errno;
	return fdinfo_read(v->proc, fd, &d->arena, &v->info, &e);
}

/* Adds a view of the descriptor, as the engine has it after the freeze. */
static inline struct fd_view *add(struct dump *d, int fd)
{
	struct fd_view v;

	if (look(d, fd, &v) < 0)
		abort();
	v.dup = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	*vec_add(&d->views) = v;
	return &d->views.v[d->views.n - 1];
}

static inline int probe(int fd, struct error *e)
{
	const struct kind *second, *k;
	struct dump d = { 0 };
	struct fd_view v;
	int rc;

	*e = (struct error){ 0 };
	if (look(&d, fd, &v) < 0)
		abort();
	k = kind_of_fd(&v, &second);
	rc = !k ? -ENOENT : k->fd->probe ? k->fd->probe(&v, e) : 0;
	close(v.proc);
	arena_free(&d.arena);
	return rc;
}

/* The record of every view, through its bytes, into r. */
static inline int dump_all(struct dump *d, struct restore *r, struct error *e)
{
	*e = (struct error){ 0 };
	vec_each(v, &d->views) {
		const struct kind *second, *k = kind_of_fd(v, &second);
		ProtobufCMessage *m = room_message(&d->arena, k, v->id);
		uint8_t *bytes;
		size_t n;
		int rc = k->fd->dump(d, v, m, e);

		if (rc < 0)
			return rc;
		n = protobuf_c_message_get_packed_size(m);
		bytes = arena_alloc(&r->arena, n + 1);
		protobuf_c_message_pack(m, bytes);
		*vec_add(&r->records) = (struct room_record){
			k->record.tag,
			v->id,
			room_unpack(&r->arena, k->record.desc, n, bytes),
		};
	}
	return 0;
}

/* What the engine does with status flags. */
static inline int set_late(int fd, uint32_t flags, uint32_t late)
{
	const uint32_t settable = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

	return flags & late ? fcntl(fd, F_SETFL, flags & settable) : 0;
}

static inline int make(struct restore *r, const struct fd_view *v, struct error *e)
{
	const struct kind *second, *k = kind_of_fd(v, &second);
	const void *record = restore_record(r, k->record.tag, v->id);
	uint32_t flags = v->info.flags & ~(uint32_t)O_CLOEXEC;
	int rc = 0, fd;

	*e = (struct error){ 0 };
	if (k->fd->link)
		rc = k->fd->link(r, record, e);
	if (rc < 0)
		return rc;
	fd = k->fd->open(r, record, flags, e);
	if (fd >= 0 && set_late(fd, flags, k->fd->late_flags) < 0)
		return fail(e, errno, "F_SETFL");
	rc = fd >= 0 && k->fd->start ? k->fd->start(r, record, fd, e) : 0;
	return rc < 0 ? rc : fd;
}

/* One descriptor, there and back. */
static inline int again(int fd)
{
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct error e;
	int new;

	add(&d, fd);
	if (dump_all(&d, &r, &e) < 0)
		new = -1;
	else
		new = make(&r, &d.views.v[0], &e);
	if (new < 0)
		printf("# %s\n", e.text);
	room_restore_free(&r);
	room_dump_free(&d);
	return new;
}

static inline bool is_same_view(int a, int b)
{
	struct stat sa, sb;
	int fa = fcntl(a, F_GETFL), fb = fcntl(b, F_GETFL);

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
		return false;
	if (fa != fb || lseek(a, 0, SEEK_CUR) != lseek(b, 0, SEEK_CUR))
		printf("# flags %#o %#o, position %ld %ld\n", fa, fb, lseek(a, 0, SEEK_CUR),
		       lseek(b, 0, SEEK_CUR));
	return fa == fb && sa.st_mode == sb.st_mode && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino && sa.st_rdev == sb.st_rdev &&
	       lseek(a, 0, SEEK_CUR) == lseek(b, 0, SEEK_CUR);
}

static char folder[] = "/tmp/t-kind-XXXXXX";

/* tap_run, with the folder there meanwhile. */
static inline int run_in_folder(CU_SuiteInfo *suites)
{
	int rc;

	if (!mkdtemp(folder))
		return 1;
	rc = tap_run(suites);
	rmdir(folder);
	return rc;
}

static inline const char *in_folder(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static inline int file_of(const char *name, int flags, size_t size)
{
	int fd = open(in_folder(name), flags | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	return fd;
}

#endif
