/* SPDX-License-Identifier: MIT */
#include "restore/check.h"

#include <stdio.h>
#include <sys/mman.h>

#include "proc/maps.h"

typedef unsigned long long ull;

#define HUGE_PAGE (2ull << 20)
#define KEYS 16u /* protection keys of x86; elsewhere there are fewer */
#define MAX_HUGE (16ull << 30)
#define MAX_AUXV 1024u /* the kernel's saved_auxv has less than half of it */

static int check_range(uint64_t start, uint64_t end, struct error *e)
{
	if (start % CHECK_PAGE || end % CHECK_PAGE)
		return fail(e, 0, "it does not begin and end at a page");
	if (start >= end)
		return fail(e, 0, "it ends at or before its begin");
	if (end > CHECK_MAX_ADDRESS)
		return fail(e, 0, "it is not in user space");
	return 0;
}

/* --- mappings -------------------------------------------------------------------------------- */

static bool has_file(const Mapping *m)
{
	return m->sort == MAPPING__SORT__FILE_PRIVATE || m->sort == MAPPING__SORT__FILE_SHARED;
}

static bool has_memory(const Mapping *m)
{
	return m->sort == MAPPING__SORT__SHMEM_PRIVATE || m->sort == MAPPING__SORT__SHMEM_SHARED;
}

static int check_file(const Mm *mm, const Mapping *m, struct error *e)
{
	if (m->has_file != has_file(m))
		return fail(e, 0, "it has a file, which its sort cannot have, or none");
	if (m->has_memory != has_memory(m))
		return fail(e, 0, "it has shared memory, which its sort cannot have, or none");
	if (!has_file(m) && !has_memory(m))
		return m->has_offset ? fail(e, 0, "it has an offset, but no file") : 0;
	if (m->has_file && m->file >= mm->n_files)
		return fail(e, 0, "its file is not in the list");
	if (!m->has_offset || m->offset % CHECK_PAGE)
		return fail(e, 0, "its offset is missing or not of a page");
	if (m->offset > INT64_MAX - (m->end - m->start))
		return fail(e, 0, "its offset is too large");
	return 0;
}

int check_page_size(uint64_t size, struct error *e)
{
	if (size <= CHECK_PAGE || size > MAX_HUGE || size & (size - 1))
		return fail(e, 0, "there are no huge pages of %llu bytes", (ull)size);
	return 0;
}

static int check_huge(const Mapping *m, struct error *e)
{
	bool wanted = m->sort == MAPPING__SORT__ANON && m->flags & VMF(ht);
	int rc = m->has_page_size ? check_page_size(m->page_size, e) : 0;

	if (m->has_page_size != wanted)
		return fail(e, 0,
			    "it is of huge pages, which its sort or flags cannot be, or does "
			    "not say of which size");
	if (m->flags & VMF(ht) && (has_file(m) || m->flags & (VMF(gd) | VMF(dp))))
		return fail(e, 0, "it is of huge pages, which its sort cannot be");
	if (rc == 0 && m->has_page_size && (m->start | m->end) % m->page_size)
		return fail(e, 0, "it does not begin and end at a huge page");
	return rc;
}

static int check_mapping(const struct image *img, const Mm *mm, const Mapping *m, uint64_t after,
			 struct error *e)
{
	int rc = check_range(m->start, m->end, e);

	if (rc < 0)
		return rc;
	if (m->start < after)
		return fail(e, 0, "it overlaps the one before it, or is out of order");
	if (m->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return fail(e, 0, "protection 0x%x is unknown", m->prot);
	if (m->flags >= VMF(UNKNOWN))
		return fail(e, 0, "flags 0x%llx are unknown", (ull)m->flags);
	if (m->name && m->sort != MAPPING__SORT__ANON && !has_memory(m))
		return fail(e, 0, "it has a name, which its sort cannot have");
	if (m->has_key && (!m->key || m->key >= KEYS))
		return fail(e, 0, "there is no protection key %u", m->key);
	if (m->has_key && (m->sort == MAPPING__SORT__VDSO || m->sort == MAPPING__SORT__VVAR))
		return fail(e, 0, "it has a protection key, which its sort cannot have");
	if (m->flags & VMF(dp) && (m->sort != MAPPING__SORT__ANON || m->flags & VMF(gd)))
		return fail(e, 0, "it is droppable, which its sort cannot be");
	rc = check_huge(m, e);
	if (rc == 0)
		rc = check_file(mm, m, e);
	return rc == 0 && m->has_memory ? check_shmem_mapping(img, m, e) : rc;
}

static int check_mappings(const struct image *img, const Mm *mm, struct error *e)
{
	unsigned int n_vdso = 0, n_vvar = 0;
	uint64_t after = 0;

	for (size_t i = 0; i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];
		int rc = check_mapping(img, mm, m, after, e);

		if (rc < 0)
			return within(e, rc, "mapping %llx-%llx", (ull)m->start, (ull)m->end);
		n_vdso += m->sort == MAPPING__SORT__VDSO;
		n_vvar += m->sort == MAPPING__SORT__VVAR;
		after = m->end;
	}
	if (n_vdso > 1)
		return fail(e, 0, "there are %u vDSOs", n_vdso);
	if (n_vvar && !n_vdso)
		return fail(e, 0, "there is a vvar area without a vDSO");
	return 0;
}

/* --- extents --------------------------------------------------------------------------------- */

int check_stored(const struct image *img, const Extent *x, struct error *e)
{
	if (!x->has_store || !x->has_offset)
		return fail(e, 0, "it does not say where its pages lie");
	if (x->store >= img->n_stores)
		return fail(e, 0, "there is no page store %u", x->store);
	if (x->offset % CHECK_PAGE)
		return fail(e, 0, "its offset is not of a page");
	if (x->offset > img->store_sizes[x->store] ||
	    x->length > img->store_sizes[x->store] - x->offset)
		return fail(e, 0, "it lies beyond the end of pages-%u", x->store);
	return 0;
}

/* The mapping that the extent begins in; *at moves on, both lists ascend. */
static const Mapping *mapping_at(const Mm *mm, uint64_t address, size_t *at)
{
	while (*at < mm->n_mappings && mm->mappings[*at]->end <= address)
		++*at;
	if (*at == mm->n_mappings || mm->mappings[*at]->start > address)
		return NULL;
	return mm->mappings[*at];
}

static int check_sort(const struct image *img, const Extent *x, struct error *e)
{
	if (x->has_mm != (x->sort == EXTENT__SORT__SAME))
		return fail(e, 0, "it names other memory, which its sort cannot do, or none");
	if (x->sort == EXTENT__SORT__DATA)
		return check_stored(img, x, e);
	if (x->sort != EXTENT__SORT__ZERO && x->sort != EXTENT__SORT__SAME)
		return fail(e, 0, "its sort %d is unknown", x->sort);
	if (x->has_store || x->has_offset)
		return fail(e, 0, "it has no data, but a place for it");
	return 0;
}

static int check_extent(const struct image *img, const Mm *mm, const Extent *x, uint64_t after,
			size_t *at, struct error *e)
{
	const Mapping *m;
	int rc;

	if (x->length > CHECK_MAX_ADDRESS || x->start > CHECK_MAX_ADDRESS)
		return fail(e, 0, "it is not in user space");
	rc = check_range(x->start, x->start + x->length, e);
	if (rc < 0)
		return rc;
	if (x->start < after)
		return fail(e, 0, "it overlaps the one before it, or is out of order");
	m = mapping_at(mm, x->start, at);
	if (!m || x->start + x->length > m->end)
		return fail(e, 0, "it does not lie in one mapping");
	if (m->sort != MAPPING__SORT__ANON && m->sort != MAPPING__SORT__FILE_PRIVATE &&
	    m->sort != MAPPING__SORT__SHMEM_PRIVATE)
		return fail(e, 0, "it lies in a mapping that has no pages of its own");
	return check_sort(img, x, e);
}

static int check_extents(const struct image *img, const Mm *mm, struct error *e)
{
	uint64_t after = 0;
	size_t at = 0;

	for (size_t i = 0; i < mm->n_extents; i++) {
		const Extent *x = mm->extents[i];
		int rc = check_extent(img, mm, x, after, &at, e);

		if (rc < 0)
			return within(e, rc, "extent %llx+%llx", (ull)x->start, (ull)x->length);
		after = x->start + x->length;
	}
	return 0;
}

static int check_guard(const Mm *mm, const Guard *g, uint64_t after, size_t *at, size_t *extent,
		       struct error *e)
{
	const Mapping *m;
	int rc;

	if (g->length > CHECK_MAX_ADDRESS || g->start > CHECK_MAX_ADDRESS)
		return fail(e, 0, "it is not in user space");
	rc = check_range(g->start, g->start + g->length, e);
	if (rc < 0)
		return rc;
	if (g->start < after)
		return fail(e, 0, "it overlaps the one before it, or is out of order");
	m = mapping_at(mm, g->start, at);
	if (!m || g->start + g->length > m->end)
		return fail(e, 0, "it does not lie in one mapping");
	if (m->sort == MAPPING__SORT__VDSO || m->sort == MAPPING__SORT__VVAR)
		return fail(e, 0, "it lies in the vDSO");
	if (m->flags & VMF(ht))
		return fail(e, 0, "it lies in memory of huge pages");
	while (*extent < mm->n_extents &&
	       mm->extents[*extent]->start + mm->extents[*extent]->length <= g->start)
		++*extent;
	if (*extent < mm->n_extents && mm->extents[*extent]->start < g->start + g->length)
		return fail(e, 0, "there are pages with contents in it");
	return 0;
}

/* Of private anonymous memory, and in one mapping. */
static int check_huge_pages(const Mm *mm, struct error *e)
{
	uint64_t after = 0;
	size_t at = 0;

	for (size_t i = 0; i < mm->n_huge; i++) {
		const HugePages *h = mm->huge[i];
		const Mapping *m;

		if (h->length > CHECK_MAX_ADDRESS || h->start > CHECK_MAX_ADDRESS || !h->length ||
		    (h->start | h->length) % HUGE_PAGE || h->start < after)
			return fail(e, 0, "huge pages %llx+%llx are not in order", (ull)h->start,
				    (ull)h->length);
		m = mapping_at(mm, h->start, &at);
		after = h->start + h->length;
		if (!m || after > m->end || m->sort != MAPPING__SORT__ANON || m->flags & VMF(ht))
			return fail(e, 0,
				    "huge pages %llx+%llx do not lie in private anonymous memory",
				    (ull)h->start, (ull)h->length);
	}
	return 0;
}

static int check_guards(const Mm *mm, struct error *e)
{
	uint64_t after = 0;
	size_t at = 0, extent = 0;

	for (size_t i = 0; i < mm->n_guards; i++) {
		const Guard *g = mm->guards[i];
		int rc = check_guard(mm, g, after, &at, &extent, e);

		if (rc < 0)
			return within(e, rc, "guard region %llx+%llx", (ull)g->start,
				      (ull)g->length);
		after = g->start + g->length;
	}
	return 0;
}

/* Of the same sort all the way up, so that it leads to pages of the image in the end. */
static int check_same(const Extent *x, const Mm *above, struct error *e)
{
	uint64_t at = x->start, end = x->start + x->length;
	size_t low = 0, high;

	if (!above || x->mm != above->id)
		return fail(e, 0,
			    "its pages are those of memory %u, which is not that of its parent",
			    x->mm);
	high = above->n_extents;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (above->extents[mid]->start + above->extents[mid]->length <= at)
			low = mid + 1;
		else
			high = mid;
	}
	for (; at < end; low++) {
		const Extent *y = low < above->n_extents ? above->extents[low] : NULL;

		if (!y || y->start > at || y->sort == EXTENT__SORT__ZERO)
			return fail(e, 0, "its parent has no pages of the image at %llx", (ull)at);
		at = y->start + y->length;
	}
	return 0;
}

int check_mm_same(const Mm *mm, const Mm *above, struct error *e)
{
	for (size_t i = 0; i < mm->n_extents; i++) {
		const Extent *x = mm->extents[i];
		int rc = x->sort == EXTENT__SORT__SAME ? check_same(x, above, e) : 0;

		if (rc < 0)
			return within(e, rc, "extent %llx+%llx", (ull)x->start, (ull)x->length);
	}
	return 0;
}

/* --- what PR_SET_MM_MAP takes ---------------------------------------------------------------- */

static int check_fields(const Mm *mm, struct error *e)
{
	const uint64_t all[] = {
		mm->start_code, mm->end_code,  mm->start_data,  mm->end_data,
		mm->start_brk,  mm->brk,       mm->start_stack, mm->arg_start,
		mm->arg_end,    mm->env_start, mm->env_end,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i] >= CHECK_MAX_ADDRESS)
			return fail(e, 0, "address %llx is not in user space", (ull)all[i]);
	}
	if (mm->start_code > mm->end_code || mm->start_data > mm->end_data ||
	    mm->start_brk > mm->brk || mm->arg_start > mm->arg_end || mm->env_start > mm->env_end)
		return fail(e, 0,
			    "code, data, heap, arguments or environment end before they begin");
	if (!mm->auxv.len || mm->auxv.len % 16 || mm->auxv.len > MAX_AUXV)
		return fail(e, 0, "an auxiliary vector of %zu bytes", mm->auxv.len);
	if (mm->has_lock_future && mm->lock_future != MCL_FUTURE &&
	    mm->lock_future != (MCL_FUTURE | MCL_ONFAULT))
		return fail(e, 0, "locks of memory to come: %#x", mm->lock_future);
	if (mm->has_keys && (mm->keys & 1 || mm->keys >= 1u << KEYS))
		return fail(e, 0, "protection keys %#x", mm->keys);
	return 0;
}

static int check_identity(const FileIdentity *f, struct error *e)
{
	if (f->size > INT64_MAX)
		return fail(e, 0, "file %s: a size of %llu bytes", f->path, (ull)f->size);
	if (f->has_build_id && (!f->build_id.len || f->build_id.len > 32))
		return fail(e, 0, "file %s: a build id of %zu bytes", f->path, f->build_id.len);
	return 0;
}

int check_mm(const struct image *img, const Mm *mm, struct error *e)
{
	int rc = check_fields(mm, e);

	if (rc == 0)
		rc = check_identity(mm->exe, e);
	for (size_t i = 0; i < mm->n_files && rc == 0; i++)
		rc = check_identity(mm->files[i], e);
	if (rc == 0)
		rc = check_mappings(img, mm, e);
	if (rc == 0)
		rc = check_extents(img, mm, e);
	if (rc == 0)
		rc = check_guards(mm, e);
	if (rc == 0)
		rc = check_huge_pages(mm, e);
	return rc;
}
