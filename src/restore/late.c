/* SPDX-License-Identifier: MIT */
/*
 * Descriptions that a task makes when it has committed, such as the listener of a seccomp filter. Kinds whose ops say
 * made_late open something in their place; who makes the right one, and which tables have it, stands in the
 * description. Called by kinds by way of api.h while plans are made, and by the planner when they are. Pure.
 */
#include "restore/internal.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/resource.h>

#include "rlimits.pb-c.h"

/* By the description's kind and id, in the notes. */
struct meeting {
	uint64_t at;
	size_t made, taken;
};

#define CLOSED 2 /* what the first word is when the maker has done all */

static int find_meeting(struct restore *r, const Description *d, struct meeting **out,
			struct error *e)
{
	void **note = restore_note(r, kind_by_tag(d->kind), d->id);

	if (!*note) {
		struct meeting *m = arena_alloc(&r->arena, sizeof(*m));
		int rc = restore_words(r, 2, &m->at, e);

		if (rc < 0)
			return rc;
		*note = m;
	}
	*out = *note;
	return 0;
}

int restore_late(struct restore *r, uint32_t description, enum late_part part, struct late *out,
		 struct error *e)
{
	const Description *d = restore_record(r, record_description.tag, description);
	const Thread *th =
		d && d->late ? restore_record(r, record_thread.tag, d->late->task) : NULL;
	struct meeting *m;
	int rc;

	if (!th)
		return fail(e, 0, "description %u is made by nobody", description);
	rc = find_meeting(r, d, &m, e);
	if (rc < 0)
		return rc;
	m->made += part == LATE_MAKES;
	m->taken += part == LATE_TAKES;
	*out = (struct late){
		.made_at = m->at,
		.taken_at = m->at + sizeof(uint32_t),
		.task = d->late->task,
		.process = th->process,
		.flags = d->flags,
		.n_tables = d->late->n_tables,
		.tables = d->late->tables,
	};
	return restore_check_numbers(r, th->process, th->files, 1, &out->number, e);
}

bool restore_is_late(struct restore *r, uint32_t description)
{
	const Description *d = restore_record(r, record_description.tag, description);

	return d && d->late;
}

int restore_check_numbers(struct restore *r, uint32_t pid, uint32_t table, uint32_t n,
			  uint32_t *lowest, struct error *e)
{
	const FdTable *t = restore_record(r, record_fdtable.tag, table);
	const Rlimits *l = restore_record(r, "RLIM", pid);
	uint32_t found = 0, number = 0;

	if (!t)
		return fail(e, 0, "the image has no descriptor table %u", table);
	for (size_t at = 0; found < n; number++) {
		if (at < t->n_fds && t->fds[at]->fd == number)
			at++;
		else if (!found++)
			*lowest = number;
	}
	for (size_t at = 0; at < t->n_fds; at++)
		if (t->fds[at]->fd >= number && restore_is_late(r, t->fds[at]->description))
			number = t->fds[at]->fd + 1;
	for (size_t i = 0; l && i < l->n_limits; i++)
		if (l->limits[i]->resource == RLIMIT_NOFILE && l->limits[i]->soft < number)
			return fail(e, 0, "process %u has no descriptor free (RLIMIT_NOFILE)", pid);
	return 0;
}

void late_link(struct restore *r)
{
	vec_each(rec, &r->img.records) {
		const Description *d = (const Description *)rec->msg;

		if (!strcmp(rec->type->tag, record_description.tag) && d->late)
			*vec_add(&r->made_late) = d;
	}
}

/* Whether a process makes it or is to have it. */
static bool takes_part(const struct rprocess *p, const Late *l)
{
	for (size_t i = 0; i < p->n_threads; i++)
		if (p->threads[i].rec->id == l->task)
			return true;
	for (size_t i = 0; i < l->n_tables; i++)
		if (p->rec->id == l->tables[i])
			return true;
	return false;
}

/*
 * Who takes part goes on when all is done, and may make no call while he waits. If he has ended before, by a signal from
 * outside, the others would wait for ever: the helper of his memory, which sees him gone, tells of a failure in his
 * place, and they end.
 */
int late_plan_seen(struct restore *r, struct plan *helper, const struct rprocess *p,
		   struct error *e)
{
	vec_each(it, &r->made_late) {
		const Description *d = *it;
		struct meeting *m;
		bool is_in = false;
		int rc;

		for (size_t i = 0; i < r->n_processes; i++)
			is_in = is_in || (r->processes[i].memory == p &&
					  takes_part(&r->processes[i], d->late));
		if (!is_in)
			continue;
		rc = find_meeting(r, d, &m, e);
		if (rc < 0)
			return rc;
		plan_note(helper, "%s", LATE_SEEN);
		/* Compares the word, wakes nobody and moves nobody. */
		plan_call_is(helper, 0, SYS_futex, arg_region(m->at), arg_num(FUTEX_CMP_REQUEUE),
			     arg_num(0), arg_num(0), arg_region(m->at), arg_num(CLOSED));
	}
	return 0;
}

static bool has_before(const FdTable *t, size_t n, uint32_t description)
{
	for (size_t i = 0; i < n; i++)
		if (t->fds[i]->description == description)
			return true;
	return false;
}

int restore_emit_late(struct restore *r, struct plan *p, uint32_t description, uint32_t table,
		      struct error *e)
{
	const FdTable *t = restore_record(r, record_fdtable.tag, table);
	int rc = 0;

	for (size_t i = 0; t && i < t->n_fds && rc >= 0; i++) {
		uint32_t id = t->fds[i]->description;
		const Description *d = restore_record(r, record_description.tag, id);
		const struct kind *k = d ? kind_by_tag(d->kind) : NULL;

		if (!k || !k->fd || !k->fd->emit_late || has_before(t, i, id))
			continue;
		plan_note(p, "fd %u: %s", t->fds[i]->fd, k->name);
		rc = k->fd->emit_late(r, p, restore_record(r, k->record.tag, id), table,
				      (int)t->fds[i]->fd, description, e);
	}
	return rc;
}

int late_check(struct restore *r, struct error *e)
{
	vec_each(it, &r->notes) {
		const struct note *n = *it;
		const Description *d = n->kind->fd && n->kind->fd->made_late
					       ? restore_record(r, record_description.tag, n->id)
					       : NULL;
		const struct meeting *m = n->of_kind;

		if (d && (m->made != 1 || m->taken != d->late->n_tables))
			return fail(
				e, 0,
				"a %s is made by %zu tasks and taken by %zu processes, of which the "
				"image names %zu",
				n->kind->name, m->made, m->taken, d->late->n_tables);
	}
	return 0;
}
