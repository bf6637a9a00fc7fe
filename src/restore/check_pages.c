/* SPDX-License-Identifier: MIT */
/* Page stores; whose pages a damaged block has. */
#include <string.h>

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

int restore_check_before(struct restore *r, struct error *e)
{
	size_t n = 0;

	for (uint32_t i = 0; i < r->img.n_stores; i++)
		n += image_blocks(&r->img, i);
	r->n_blocks = n;
	r->is_checked = arena_alloc(&r->arena, n + 1);
	r->checks_beside = image_check_can_wait(&r->img, width(r));
	if (r->checks_beside && !r->opt->explain)
		return 0;
	timeline_mark(r->opt->times, "check the pages");
	return restore_check_pages(&r->img, r->opt->dir, width(r), e);
}

void restore_check_begin(struct restore *r)
{
	if (r->checks_beside)
		r->check = image_check_begin(&r->img, r->opt->dir, width(r), r->is_checked);
}

bool restore_check_has_failed(const struct restore *r)
{
	return r->check && image_check_has_failed(r->check);
}

static int finish(struct restore *r, bool give_up, struct error *e)
{
	struct image_check *c = r->check;
	struct image_place at = { 0 };
	int rc;

	r->check = NULL;
	rc = c ? image_check_end(c, give_up, &at, e) : 0;
	return rc < 0 && at.length ? name_owner(&r->img, &at, rc, e) : rc;
}

int restore_check_end(struct restore *r, struct error *e)
{
	return finish(r, false, e);
}

/* What a task could not read may have been right when it was checked. */
void restore_check_drop(struct restore *r, struct error *e)
{
	struct error other;

	if (finish(r, true, &other) < 0 ||
	    (r->is_unread && restore_check_pages(&r->img, r->opt->dir, width(r), &other) < 0))
		*e = other;
}
