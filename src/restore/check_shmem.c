/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "base/compat.h"
#include "proc/maps.h"
#include "restore/check.h"

typedef unsigned long long ull;

#define MAX_NAME 249u /* memfd_create(2) */
#define ALL_SEALS                                                                         \
	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE | \
	 F_SEAL_EXEC)

static uint64_t whole(uint64_t size)
{
	return (size + CHECK_PAGE - 1) & ~(uint64_t)(CHECK_PAGE - 1);
}

static bool is_plain(const char *name)
{
	return *name && strlen(name) <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

static int check_fields(const SharedMemory *m, struct error *e)
{
	bool file = m->sort == SHARED_MEMORY__SORT__FILE;
	bool tmpfs = m->sort == SHARED_MEMORY__SORT__TMPFS;
	bool segment = m->sort == SHARED_MEMORY__SORT__SYSV;

	if (!m->id)
		return fail(e, 0, "shared memory cannot have this id");
	if (m->size > INT64_MAX - CHECK_PAGE || (!file && !tmpfs && !m->size))
		return fail(e, 0, "a size of %llu bytes", (ull)m->size);
	if (m->sort == SHARED_MEMORY__SORT__ANON && m->size % CHECK_PAGE)
		return fail(e, 0, "a size of %llu bytes, which are no whole pages", (ull)m->size);
	if (m->uid == UINT32_MAX || m->gid == UINT32_MAX || m->mode > 07777)
		return fail(e, 0, "user %u, group %u, permissions %#o", m->uid, m->gid, m->mode);
	if (!m->name == (file || tmpfs) || m->has_seals != file)
		return fail(
			e, 0,
			"a memory file has a name and seals, a deleted file of /dev/shm a name, no "
			"other any of both");
	if (tmpfs && !is_plain(m->name))
		return fail(e, 0, "a file cannot have its name");
	if (file && strlen(m->name) > MAX_NAME)
		return fail(e, 0, "its name is too long");
	if (m->seals & ~(uint32_t)ALL_SEALS)
		return fail(e, 0, "seals %#x are unknown", m->seals);
	if (m->has_shmid != segment || m->has_key != segment || m->has_cpid != segment ||
	    m->has_ctime != segment)
		return fail(e, 0, "a System V segment, and no other, has a number and a key");
	if (segment && m->shmid < 0)
		return fail(e, 0, "a System V segment of number %d", m->shmid);
	if (m->has_page_size && (segment || tmpfs))
		return fail(e, 0, "it is of huge pages, which its sort cannot be");
	if (m->has_page_size && check_page_size(m->page_size, e) < 0)
		return -EINVAL;
	if (m->has_page_size && m->size % m->page_size)
		return fail(e, 0, "its size is not one of whole huge pages");
	return 0;
}

static int check_extent(const struct image *img, const SharedMemory *m, const Extent *x,
			uint64_t after, struct error *e)
{
	if (x->start % CHECK_PAGE || x->length % CHECK_PAGE || !x->length)
		return fail(e, 0, "it does not begin and end at a page");
	if (x->start < after)
		return fail(e, 0, "it overlaps the one before it, or is out of order");
	if (x->start > whole(m->size) || x->length > whole(m->size) - x->start)
		return fail(e, 0, "it lies behind the end of the memory");
	if (x->sort != EXTENT__SORT__DATA || x->has_mm)
		return fail(e, 0, "it has no data");
	return check_stored(img, x, e);
}

int check_shmem(const struct image *img, const SharedMemory *m, struct error *e)
{
	uint64_t after = 0;
	int rc = check_fields(m, e);

	for (size_t i = 0; i < m->n_extents && rc == 0; i++) {
		const Extent *x = m->extents[i];

		rc = check_extent(img, m, x, after, e);
		rc = within(e, rc, "extent %llx+%llx", (ull)x->start, (ull)x->length);
		after = x->start + x->length;
	}
	return rc;
}

static int check_segment(const SharedMemory *s, const Mapping *m, struct error *e)
{
	if (m->sort != MAPPING__SORT__SHMEM_SHARED)
		return fail(e, 0, "a System V segment cannot be mapped privately");
	if (m->offset > whole(s->size) || m->end - m->start > whole(s->size) - m->offset)
		return fail(e, 0, "it goes beyond the end of the System V segment");
	if (m->start < m->offset || whole(s->size) > CHECK_MAX_ADDRESS - (m->start - m->offset))
		return fail(e, 0, "the System V segment would not lie in user space");
	return 0;
}

int check_shmem_mapping(const struct image *img, const Mapping *m, struct error *e)
{
	const struct record *rec = image_find(img, record_shmem.tag, m->memory);
	const SharedMemory *s = rec ? (const SharedMemory *)rec->msg : NULL;

	if (!s)
		return fail(e, 0, "there is no record of its shared memory %u", m->memory);
	if (m->sort == MAPPING__SORT__SHMEM_SHARED && m->flags & VMF(mw) && s->seals & F_SEAL_WRITE)
		return fail(e, 0, "it may be written, but its memory is sealed");
	if (s->has_page_size != !!(m->flags & VMF(ht)))
		return fail(e, 0, "either it or its shared memory is of huge pages");
	/* Mappings are checked before the records that they refer to. */
	if (s->has_page_size && check_page_size(s->page_size, e) < 0)
		return -EINVAL;
	if (s->has_page_size && (m->start | m->end | m->offset) % s->page_size)
		return fail(e, 0, "it does not begin and end at a huge page");
	return s->sort == SHARED_MEMORY__SORT__SYSV ? check_segment(s, m, e) : 0;
}
