/* SPDX-License-Identifier: MIT */
/*
 * Shared memory is made by cr, once for all who have it: a descriptor of the very object, which the
 * tasks fetch and map, and which kinds open again. For shared anonymous memory that descriptor is
 * got from /proc/self/map_files. A System V segment is made under its old number; the tasks attach
 * it themselves.
 *
 * The pages are filled in by cr as well, while the tasks lay out their own memory.
 */
#include "restore/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/ends.h"
#include "base/fd.h"
#include "proc/maps.h"

#define CHUNK ((size_t)512 * 1024) /* stays in the processor's cache on its way */

/* --- which there are; pure ----------------------------------------------------------------------- */

/* Most often they are numbered in the order of the image. */
uint32_t shmem_index(const struct restore *r, uint32_t id)
{
	uint32_t i = 0;

	if (id && id <= r->n_shmems && r->shmems[id - 1].rec->id == id)
		return id - 1;

	while (i < r->n_shmems && r->shmems[i].rec->id != id)
		i++;
	return i;
}

const SharedMemory *shmem_of(const struct restore *r, const Mapping *m)
{
	return r->shmems[shmem_index(r, m->memory)].rec;
}

/* Whoever has a mapping that may be written keeps it under F_SEAL_FUTURE_WRITE, which comes after it then. */
static void note_sharers(struct restore *r, const Mm *mm, bool *writes)
{
	memset(writes, 0, r->n_shmems);
	for (size_t i = 0; i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];
		uint32_t k = shmem_index(r, m->memory);

		if (m->sort != MAPPING__SORT__SHMEM_SHARED || !(m->flags & VMF(sh)))
			continue;
		if (!(m->flags & VMF(mw)))
			r->shmems[k].has_shut = true;
		else if (!writes[k])
			r->shmems[k].n_writers++;
		writes[k] = writes[k] || m->flags & VMF(mw);
	}
}

bool shmem_is_shut(const struct made_shmem *s)
{
	return s->has_shut && s->n_writers && s->rec->seals & F_SEAL_FUTURE_WRITE;
}

int shmem_find_words(struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_shmems && rc >= 0; i++)
		if (shmem_is_shut(&r->shmems[i]))
			rc = restore_words(r, 1, &r->shmems[i].word, e);
	return rc;
}

void shmem_link(struct restore *r)
{
	size_t n = 0;
	bool *writes;

	vec_each(rec, &r->img.records)
		n += rec->type == &record_shmem || !strcmp(rec->type->tag, record_shmem.tag);
	r->shmems = arena_alloc(&r->arena, (n + 1) * sizeof(*r->shmems));
	vec_each(rec, &r->img.records) {
		if (strcmp(rec->type->tag, record_shmem.tag))
			continue;
		r->shmems[r->n_shmems++] = (struct made_shmem){
			.rec = (const SharedMemory *)rec->msg,
			.fd = -1,
		};
	}
	writes = arena_alloc(&r->arena, n + 1);
	for (size_t i = 0; n && i < r->n_processes; i++)
		if (!is_member(&r->processes[i]))
			note_sharers(r, r->processes[i].mm, writes);
}

/* --- making -------------------------------------------------------------------------------------- */

int shmem_open_mapped(const void *p, uint64_t size, struct error *e)
{
	uint64_t at = (uint64_t)(uintptr_t)p, end = at + ((size + 4095) & ~4095ull);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/map_files/%llx-%llx", (unsigned long long)at,
		 (unsigned long long)end);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return fail(e, errno,
			    "open shared memory by %s (needs CAP_CHECKPOINT_RESTORE or "
			    "CAP_SYS_ADMIN)",
			    path);
	return fd;
}

/* Bits for mmap and for memfd_create, which has the size at the same place. */
static unsigned int huge_flags(const SharedMemory *m, unsigned int flag)
{
	if (!m->has_page_size)
		return 0;
	return flag | (unsigned int)__builtin_ctzll(m->page_size) << MAP_HUGE_SHIFT;
}

static int make_anon(struct made_shmem *s, struct error *e)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | (s->rec->noreserve ? MAP_NORESERVE : 0) |
		    (int)huge_flags(s->rec, MAP_HUGETLB);
	void *p = mmap(NULL, s->rec->size, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (p == MAP_FAILED)
		return fail(e, errno, "make shared anonymous memory of %llu bytes",
			    (unsigned long long)s->rec->size);
	s->fd = shmem_open_mapped(p, s->rec->size, e);
	munmap(p, s->rec->size);
	return s->fd;
}

/* Without MFD_EXEC a kernel from 6.3 on complains in its log, an older one knows no such flag. */
static int make_file(struct made_shmem *s, struct error *e)
{
	const SharedMemory *m = s->rec;
	bool no_exec = m->seals & F_SEAL_EXEC && !(m->mode & 0111);
	unsigned int flags = MFD_CLOEXEC | (m->seals == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING) |
			     huge_flags(m, MFD_HUGETLB);

	s->fd = memfd_create(m->name, flags | (no_exec ? MFD_NOEXEC_SEAL : MFD_EXEC));
	if (s->fd < 0 && errno == EINVAL && !no_exec)
		s->fd = memfd_create(m->name, flags);
	if (s->fd < 0)
		return fail(e, errno, "make the memory file '%s'", m->name);
	if (ftruncate(s->fd, (off_t)m->size) < 0)
		return fail(e, errno, "make the memory file '%s' %llu bytes long", m->name,
			    (unsigned long long)m->size);
	return 0;
}

/* Under the name that it had, for a moment in which nobody else may open it; if that is taken, without. */
static int make_tmpfs(struct made_shmem *s, struct error *e)
{
	const SharedMemory *m = s->rec;
	char path[16 + NAME_MAX];

	snprintf(path, sizeof(path), "/dev/shm/%s", m->name);
	s->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
	if (s->fd >= 0 && unlink(path) < 0)
		return fail(e, errno, "delete %s", path);
	if (s->fd < 0 && errno == EEXIST)
		s->fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0);
	if (s->fd < 0)
		return fail(e, errno, "make the deleted file %s", path);
	if (ftruncate(s->fd, (off_t)m->size) < 0)
		return fail(e, errno, "make the deleted file %s %llu bytes long", path,
			    (unsigned long long)m->size);
	return 0;
}

static int make_one(struct made_shmem *s, struct error *e)
{
	switch (s->rec->sort) {
	case SHARED_MEMORY__SORT__FILE:
		return make_file(s, e);
	case SHARED_MEMORY__SORT__TMPFS:
		return make_tmpfs(s, e);
	default:
		return make_anon(s, e);
	}
}

static int set_owner(const struct restore *r, const struct made_shmem *s, struct error *e)
{
	const SharedMemory *m = s->rec;
	struct stat st;

	(void)r;
	if (fstat(s->fd, &st) < 0)
		return fail(e, errno, "fstat of shared memory");
	if ((st.st_uid != m->uid || st.st_gid != m->gid) && fchown(s->fd, m->uid, m->gid) < 0)
		return fail(e, errno, "give shared memory to user %u, group %u", m->uid, m->gid);
	if ((st.st_mode & 07777) != m->mode && fchmod(s->fd, m->mode) < 0)
		return fail(e, errno, "set permissions %#o of shared memory", m->mode);
	return 0;
}

static int add_seals(struct made_shmem *s, struct error *e)
{
	uint32_t seals = s->rec->seals;

	if (!seals || seals == F_SEAL_SEAL || s->is_sealed)
		return 0;
	if (fcntl(s->fd, F_ADD_SEALS, seals) < 0)
		return fail(e, errno, "seal the memory file '%s' (%#x)", s->rec->name, seals);
	s->is_sealed = true;
	return 0;
}

/* --- pages --------------------------------------------------------------------------------------- */

/* By a small buffer: half the time of sendfile, a third of that of a mapping. */
static int fill_extent(struct restore *r, const struct made_shmem *s, const Extent *x, char *buffer,
		       struct error *e)
{
	for (uint64_t at = 0; at < x->length;) {
		uint64_t n = x->length - at < CHUNK ? x->length - at : CHUNK;
		uint64_t left = s->rec->size - (x->start + at);
		int rc = fd_pread_full(r->img.stores[x->store], buffer, n, (off_t)(x->offset + at));

		r->is_unread = rc < 0;
		if (rc < 0)
			return fail(e, -rc, "read the pages of shared memory");
		/* The last page may be larger than what is left of the file. */
		rc = fd_pwrite_full(s->fd, buffer, n < left ? n : left, (off_t)(x->start + at));
		if (rc < 0)
			return fail(e, -rc, "write the pages of shared memory");
		if (deadline_is_over(r->deadline))
			return fail(e, ETIMEDOUT, "fill shared memory");
		rc = ends_check(e, RESTORE_ENDED);
		if (rc < 0)
			return rc;
		at += n;
	}
	return 0;
}

/* Files of huge pages cannot be written by write(2). */
static int fill_huge(struct restore *r, const struct made_shmem *s, const Extent *x,
		     struct error *e)
{
	uint64_t huge = s->rec->page_size, start = x->start & ~(huge - 1);
	uint64_t end = (x->start + x->length + huge - 1) & ~(huge - 1);
	char *p = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, (off_t)start);
	int rc;

	if (p == MAP_FAILED)
		return fail(e, errno, "map %llu bytes of shared memory of huge pages",
			    (unsigned long long)(end - start));
	rc = fd_pread_full(r->img.stores[x->store], p + (x->start - start), x->length,
			   (off_t)x->offset);
	munmap(p, end - start);
	r->is_unread = rc < 0;
	return rc < 0 ? fail(e, -rc, "read the pages of shared memory into huge pages") : 0;
}

static int fill(struct restore *r, struct made_shmem *s, struct error *e)
{
	auto_free char *buffer = NULL;
	int rc = 0;

	if (s->is_filled)
		return 0;
	s->is_filled = true;
	if (s->rec->n_extents)
		buffer = mem_realloc(NULL, CHUNK);
	for (size_t i = 0; i < s->rec->n_extents && rc == 0; i++)
		rc = s->rec->has_page_size ? fill_huge(r, s, s->rec->extents[i], e)
					   : fill_extent(r, s, s->rec->extents[i], buffer, e);
	return rc;
}

/* --- the steps of a restore ---------------------------------------------------------------------- */

/*
 * Seals come before the mappings of the tasks, and change what these may do; only if some task may write
 * they come after, or in between. What seals forbid to write is filled before.
 */
static int make(struct restore *r, struct made_shmem *s, struct error *e)
{
	int rc;

	if (s->rec->sort == SHARED_MEMORY__SORT__SYSV)
		return segment_make(s, e);
	rc = make_one(s, e);
	if (rc >= 0)
		rc = set_owner(r, s, e);
	if (rc < 0 || (s->n_writers && !shmem_is_shut(s)))
		return rc;
	if (s->rec->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		rc = fill(r, s, e);
	return rc < 0 || s->n_writers ? rc : add_seals(s, e);
}

static bool is_removed(const struct made_shmem *s)
{
	return s->rec->sort == SHARED_MEMORY__SORT__SYSV && s->rec->mode & SEGMENT_DEST;
}

/* Segments that are removed already first: another may have got their key since. */
int shmem_make_all(struct restore *r, struct error *e)
{
	int rc = 0;

	for (unsigned int round = 0; round < 2; round++)
		for (size_t i = 0; i < r->n_shmems && rc >= 0; i++)
			if (is_removed(&r->shmems[i]) == !round)
				rc = make(r, &r->shmems[i], e);
	return rc;
}

int shmem_open(struct restore *r, uint32_t id, int flags, struct error *e)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", restore_shmem(r, id));
	return restore_open(r, path, flags, e);
}

int shmem_fill_all(struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_shmems && rc == 0; i++)
		rc = fill(r, &r->shmems[i], e);
	return rc;
}

int shmem_finish(struct restore *r, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < r->n_shmems && rc == 0; i++)
		if (r->shmems[i].rec->sort == SHARED_MEMORY__SORT__FILE)
			rc = add_seals(&r->shmems[i], e);
	return rc;
}

void shmem_close(struct restore *r, bool failed)
{
	for (size_t i = 0; i < r->n_shmems; i++) {
		fd_cleanup(&r->shmems[i].fd);
		r->shmems[i].fd = -1;
		segment_close(&r->shmems[i], failed);
	}
}

int restore_shmem(struct restore *r, uint32_t id)
{
	return r->shmems[shmem_index(r, id)].fd;
}
