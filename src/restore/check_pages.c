/* SPDX-License-Identifier: MIT */
/* Page stores; whose pages a damaged block has. */
#include <errno.h>
#include <string.h>

#include "base/ends.h"
#include "restore/check.h"
#include "restore/internal.h"

typedef unsigned long long ull;

/* The first that lies in that place, or NULL. */
static const Extent *find(Extent *const *extents, size_t n, const struct image_place *at)
{
	for (size_t i = 0; i < n; i++) {
		const Extent *x = extents[i];

		if (x->sort == EXTENT__SORT__DATA && x->store == at->store &&
		    x->offset < at->offset + at->length && at->offset < x->offset + x->length)
			return x;
	}
	return NULL;
}

/* Where in memory the extent has what lies in that place. */
static uint64_t address(const Extent *x, const struct image_place *at)
{
	return x->offset < at->offset ? x->start + (at->offset - x->offset) : x->start;
}

static int name_owner(const struct image *img, const struct image_place *at, int rc,
		      struct error *e)
{
	struct error told = *e;

	vec_each(rec, &img->records) {
		const Mm *mm = (const Mm *)rec->msg;
		const SharedMemory *s = (const SharedMemory *)rec->msg;
		const Extent *x;

		if (!strcmp(rec->type->tag, record_mm.tag)) {
			x = find(mm->extents, mm->n_extents, at);
			if (x)
				(void)!fail(e, 0, "%s (memory of task %u at %llx and more)",
					    told.text, rec->id, (ull)address(x, at));
		} else if (!strcmp(rec->type->tag, record_shmem.tag)) {
			x = find(s->extents, s->n_extents, at);
			if (x)
				(void)!fail(e, 0, "%s (shared memory %u at %llx and more)",
					    told.text, rec->id, (ull)address(x, at));
		} else {
			x = NULL;
		}
		if (x)
			break;
	}
	return rc;
}

static uint64_t bytes_of(Extent *const *v, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += v[i]->sort == EXTENT__SORT__ZERO ? 0 : v[i]->length;
	return bytes;
}

uint64_t restore_filled(const struct image *img)
{
	uint64_t bytes = 0;

	vec_each(r, &img->records) {
		const Mm *mm = (const Mm *)r->msg;
		const SharedMemory *s = (const SharedMemory *)r->msg;

		if (!strcmp(r->type->tag, record_mm.tag))
			bytes += bytes_of(mm->extents, mm->n_extents);
		else if (!strcmp(r->type->tag, record_shmem.tag))
			bytes += bytes_of(s->extents, s->n_extents);
	}
	return bytes;
}

int restore_check_pages(struct image *img, const char *dir, unsigned int width, struct error *e)
{
	struct image_place at;
	int rc = image_check_pages(img, dir, width, &at, e);

	return rc < 0 && at.length ? name_owner(img, &at, rc, e) : rc;
}

/* --- while the tasks read them ------------------------------------------------------------------- */

static unsigned int width(const struct restore *r)
{
	return (unsigned int)r->opt->jobs;
}

/* Segments outlive their tree and are used again: what the image would put into them must be right before. */
static bool has_segment(const struct restore *r)
{
	vec_each(rec, &r->img.records) {
		const SharedMemory *m = (const SharedMemory *)rec->msg;

		if (!strcmp(rec->type->tag, record_shmem.tag) &&
		    m->sort == SHARED_MEMORY__SORT__SYSV)
			return true;
	}
	return false;
}

int restore_check_before(struct restore *r, struct error *e)
{
	size_t n = 0;

	for (uint32_t i = 0; i < r->img.n_stores; i++)
		n += image_blocks(&r->img, i);
	r->n_blocks = n;
	r->is_checked = arena_alloc(&r->arena, n + 1);
	r->can_check_again = image_check_can_wait(&r->img, width(r));
	r->checks_beside = r->can_check_again && !has_segment(r);
	if (r->checks_beside && !r->opt->explain)
		return 0;
	timeline_mark(r->opt->times, "check the pages");
	return restore_check_pages(&r->img, r->opt->dir, width(r), e);
}

int restore_check_instead(struct restore *r, struct error *e)
{
	if (!r->checks_beside)
		return 0;
	r->checks_beside = false;
	return restore_check_pages(&r->img, r->opt->dir, width(r), e);
}

/* By a thread. */
static int may_go_on(void *restore, struct error *e)
{
	const struct restore *r = restore;
	int rc = ends_check(e, RESTORE_ENDED);

	if (rc < 0)
		return rc;
	return deadline_is_over(r->deadline) ? fail(e, ETIMEDOUT, "the pages are not checked yet")
					     : 0;
}

static void begin(struct restore *r)
{
	r->check = image_check_begin(&r->img, r->opt->dir, width(r), r->is_checked, may_go_on, r);
}

void restore_check_begin(struct restore *r)
{
	if (r->checks_beside)
		begin(r);
}

bool restore_check_has_failed(const struct restore *r)
{
	return r->check && image_check_has_failed(r->check);
}

/* *is_damaged: it has failed by what is in the image. */
static int finish(struct restore *r, bool give_up, bool *is_damaged, struct error *e)
{
	struct image_check *c = r->check;
	struct image_place at = { 0 };
	int rc;

	r->check = NULL;
	rc = c ? image_check_end(c, give_up, &at, e) : 0;
	*is_damaged = rc < 0 && at.length;
	return *is_damaged ? name_owner(&r->img, &at, rc, e) : rc;
}

int restore_check_end(struct restore *r, struct error *e)
{
	bool is_damaged;

	return finish(r, false, &is_damaged, e);
}

/*
 * What a task could not read may have been right when it was checked. Not so where there is little, and what was
 * compressed has been unpacked: the task has read cr's own memory.
 */
void restore_check_drop(struct restore *r, struct error *e)
{
	struct error other;
	bool is_damaged;

	(void)!finish(r, true, &is_damaged, &other);
	if (!is_damaged && r->is_unread && r->can_check_again) {
		memset(r->is_checked, 0, r->n_blocks);
		begin(r);
		(void)!finish(r, false, &is_damaged, &other);
	}
	if (is_damaged)
		*e = other;
}
