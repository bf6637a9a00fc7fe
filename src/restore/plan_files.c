/* SPDX-License-Identifier: MIT */
/*
 * Operations that fill a descriptor table. Pure: the table is empty but for the way to cr, and
 * pidfd_getfd gives the lowest free number, so every number is known beforehand.
 */
#include "restore/internal.h"

#include <fcntl.h>

/* Descriptions that have a number in this table already; one of cr's own instead of one of the image:
 * STANDARD with its number. */
struct placed {
	uint64_t description;
	uint32_t fd;
};

#define STANDARD (1ull << 32)

struct filling {
	struct restore *r;
	struct plan *p;
	vec(struct placed) placed;
	uint32_t standard[3];
	uint32_t lowest; /* free number */
};

static void skip_used(struct filling *t, uint32_t now_used)
{
	if (t->lowest == now_used)
		t->lowest++;
	if (t->lowest == (uint32_t)t->r->self_pidfd)
		t->lowest++;
}

static struct known *known_of(const struct restore *r, uint64_t description)
{
	return tree_known(r, record_description.tag, (uint32_t)description);
}

/* Where it is noted which of the placed ones it is (+ 1). */
static uint32_t *place_of(struct filling *t, uint64_t description)
{
	if (description & STANDARD)
		return &t->standard[(uint32_t)description];
	return &known_of(t->r, description)->placed;
}

static uint32_t description_slot(struct restore *r, uint64_t description)
{
	enum slot_sort sort = description & STANDARD ? SLOT_STANDARD : SLOT_DESCRIPTION;
	uint32_t id = (uint32_t)description;
	uint32_t *known =
		description & STANDARD ? &r->standard_slots[id] : &known_of(r, description)->slot;

	if (!*known)
		*known = slot_add(r, (struct slot){ .sort = sort, .id = id }) + 1;
	return *known - 1;
}

static const struct kind *kind_of(struct restore *r, uint32_t id)
{
	const Description *d = restore_record(r, "DESC", id);

	return kind_by_tag(d->kind);
}

/* Another number for one that is there: dup3. */
static void emit_dup(struct filling *t, uint32_t from, const Descriptor *d)
{
	plan_call_is(t->p, d->fd, SYS_dup3, arg_num(from), arg_num(d->fd),
		     arg_num(d->cloexec ? O_CLOEXEC : 0));
}

static void emit_fetch(struct filling *t, const Descriptor *d, uint64_t description)
{
	uint32_t slot = description_slot(t->r, description);
	uint32_t at = t->lowest;

	plan_call_is(t->p, at, SYS_pidfd_getfd, arg_num((uint64_t)t->r->self_pidfd), arg_slot(slot),
		     arg_num(0));
	if (at != d->fd) {
		emit_dup(t, at, d);
		plan_call_is(t->p, 0, SYS_close, arg_num(at));
	} else if (!d->cloexec) {
		/* pidfd_getfd always sets close-on-exec. */
		plan_call_is(t->p, 0, SYS_fcntl, arg_num(d->fd), arg_num(F_SETFD), arg_num(0));
	}
}

static void place(struct filling *t, const Descriptor *d)
{
	bool redirected = terminal_is_redirected(t->r, d);
	uint64_t description = redirected ? STANDARD | d->fd : d->description;
	uint32_t *number = place_of(t, description);

	plan_note(t->p, "fd %u: %s", d->fd,
		  redirected ? "cr's own" : kind_of(t->r, d->description)->name);
	if (*number) {
		emit_dup(t, t->placed.v[*number - 1].fd, d);
	} else {
		emit_fetch(t, d, description);
		*vec_add(&t->placed) = (struct placed){ description, d->fd };
		*number = (uint32_t)t->placed.n;
	}
	skip_used(t, d->fd);
}

/* Whether this table is the first in the tree that has the description. */
static bool is_first_owner(const struct restore *r, const struct rtable *of, uint32_t description)
{
	return known_of(r, description)->owner == (uint32_t)(of - r->tables[TABLE_FILES]) + 1;
}

/* What the kinds want done under the task's own numbers. */
static int plan_kinds(struct filling *t, const struct rtable *of, struct error *e)
{
	vec_each(p, &t->placed) {
		uint32_t id = (uint32_t)p->description;
		const struct kind *k = p->description & STANDARD ? NULL : kind_of(t->r, id);
		int rc;

		if (!k || !k->fd->emit || !is_first_owner(t->r, of, id))
			continue;
		plan_note(t->p, "fd %u: %s", p->fd, k->name);
		rc = k->fd->emit(t->r, t->p, restore_record(t->r, k->record.tag, id), of->id,
				 (int)p->fd, e);
		if (rc < 0)
			return within(e, rc, "task %u: fd %u", of->id, p->fd);
	}
	return 0;
}

int plan_files(struct restore *r, struct plan *p, const struct rtable *t, struct error *e)
{
	struct filling table = { .r = r, .p = p };
	int rc;

	skip_used(&table, ~0u);
	for (size_t i = 0; i < t->files->n_fds; i++)
		place(&table, t->files->fds[i]);
	rc = plan_kinds(&table, t, e);
	vec_each(x, &table.placed)
		*place_of(&table, x->description) = 0;
	vec_free(&table.placed);
	return rc;
}

void plan_close_all(const struct restore *r, struct plan *p)
{
	uint64_t own = (uint64_t)r->self_pidfd;

	if (r->self_pidfd > 0)
		plan_call_is(p, 0, SYS_close_range, arg_num(0), arg_num(own - 1), arg_num(0));
	plan_call_is(p, 0, SYS_close_range, arg_num(own + 1), arg_num(~0u), arg_num(0));
}
