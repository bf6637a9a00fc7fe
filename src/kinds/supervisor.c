/* SPDX-License-Identifier: MIT */
/*
 * A thread of a process that has the listener of a seccomp filter (listener.c tells how that comes back): it goes on
 * when the listener is there. Until then a keeper, who has the rights of cr, waits for the filter, fetches the listener
 * and gives it its numbers.
 */
#include "kind.h"

#include <fcntl.h>

#include "dump/api.h"
#include "files.pb-c.h"
#include "restore/api.h"
#include "supervisor.pb-c.h"

/* --- dump --------------------------------------------------------------------------------------- */

struct search {
	struct dump *d;
	uint32_t table, found;
};

static int look(void *arg, const struct fd_view *v)
{
	struct search *s = arg;

	if (dump_is_late(s->d, v->id) && dump_table_has(s->d, s->table, v->id))
		s->found = v->id;
	return 0;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct search s = { .d = d };
	Supervisor *m = record;
	int rc;

	if (!dump_n_late(d))
		return 0;
	s.table = dump_table_of(d, v->tid);
	(void)!dump_each_description(d, look, &s);
	if (!s.found)
		return 0;
	if (s.table == (uint32_t)v->tid && v->tid != v->pid)
		return fail(
			e, 0,
			"has the listener of a seccomp filter in a descriptor table of its own, "
			"which cannot be saved yet");
	if (v->status->seccomp)
		return fail(
			e, 0,
			"has the listener of a seccomp filter and is under seccomp itself, which "
			"cannot be saved yet; have it close the listener, if that is another's");
	m->listener = s.found;
	rc = dump_check_numbers(d, v, 2, e);
	return rc < 0 ? rc : 1;
}

/* --- restore ------------------------------------------------------------------------------------ */

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Supervisor *m = record;
	struct late l;
	int rc = restore_late(r, m->listener, LATE_WAITS, &l, e);

	(void)tid;
	if (rc < 0)
		return rc;
	plan_note(p, "until the listener is there");
	plan_op(p, CR_RST_WAIT, 0,
		PLAN_ARGS(arg_region(l.taken_at), arg_num(l.n_tables), arg_num(1)), CR_RST_WANT_OK,
		0);
	return 0;
}

static void emit_numbers(struct restore *r, struct plan *p, uint32_t listener, uint32_t table,
			 uint32_t fetched)
{
	const FdTable *t = restore_record(r, record_fdtable.tag, table);

	for (size_t i = 0; t && i < t->n_fds; i++)
		if (t->fds[i]->description == listener)
			plan_call_is(p, t->fds[i]->fd, SYS_dup3, arg_result(fetched),
				     arg_num(t->fds[i]->fd),
				     arg_num(t->fds[i]->cloexec ? O_CLOEXEC : 0));
}

static int emit_fetch(struct restore *r, struct plan *p, uint32_t listener, uint32_t table,
		      struct error *e)
{
	uint32_t pidfd, fetched, own;
	struct late l;
	int rc = restore_late(r, listener, LATE_TAKES, &l, e);

	if (rc >= 0)
		rc = restore_check_numbers(r, table, table, 2, &own, e);
	if (rc < 0)
		return rc;
	plan_note(p, "the listener, when its filter is installed");
	plan_op(p, CR_RST_WAIT, 0, PLAN_ARGS(arg_region(l.made_at), arg_num(1), arg_num(1)),
		CR_RST_WANT_OK, 0);
	pidfd = plan_call(p, SYS_pidfd_open, arg_num(l.process), arg_num(0));
	fetched = plan_call(p, SYS_pidfd_getfd, arg_result(pidfd), arg_num(l.number), arg_num(0));
	if (l.flags & O_NONBLOCK)
		plan_call_is(p, 0, SYS_fcntl, arg_result(fetched), arg_num(F_SETFL),
			     arg_num(O_RDWR | O_NONBLOCK));
	emit_numbers(r, p, listener, table, fetched);
	plan_call_is(p, 0, SYS_close, arg_result(fetched));
	plan_call_is(p, 0, SYS_close, arg_result(pidfd));
	plan_op(p, CR_RST_POST, 0,
		PLAN_ARGS(arg_region(l.taken_at), arg_num(1), arg_num(UINT32_MAX)), CR_RST_WANT_OK,
		0);
	return 1;
}

/* The calls of the keeper come when those of the others have come to their filters. */
static int check_free(struct restore *r, const uint32_t *tids, size_t n, struct error *e)
{
	for (size_t i = 0; i < n; i++)
		if (restore_record(r, "SECC", tids[i]))
			return fail(e, 0, "task %u has a listener and is under seccomp itself",
				    tids[i]);
	return 0;
}

static int emit_keeper(struct restore *r, struct plan *p, uint32_t pid, struct error *e)
{
	const uint32_t *tids;
	size_t n = restore_threads(r, pid, &tids);
	const Supervisor *m = NULL;
	struct late l;
	int rc;

	for (size_t i = 0; i < n && !m; i++)
		m = restore_record(r, "SPRV", tids[i]);
	if (!m)
		return 0;
	rc = restore_late(r, m->listener, LATE_WAITS, &l, e);
	if (rc >= 0)
		rc = check_free(r, tids, n, e);
	for (size_t i = 0; rc >= 0 && i < l.n_tables; i++)
		if (l.tables[i] == pid)
			return p ? emit_fetch(r, p, m->listener, pid, e) : 1;
	return rc;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_FILTERS,
	.dump = dump,
	.emit = emit,
	.emit_keeper = emit_keeper,
};

const struct kind kind_supervisor = {
	.name = "supervisor",
	.record = { "SPRV", 1, &supervisor__descriptor },
	.task = &ops,
};
