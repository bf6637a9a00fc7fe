/* SPDX-License-Identifier: MIT */
/*
 * A thread of a process that has the listener of a seccomp filter (listener.c tells how that comes
 * back), or of the one in which a task makes it: it goes on when the listener is where it belongs.
 * Until then a keeper, who has the rights of cr, waits for the filter, fetches the listener, gives
 * it its numbers, and does what others want of it (an epoll set that watches it).
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>

#include "base/cbpf.h"
#include "dump/api.h"
#include "files.pb-c.h"
#include "process.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"
#include "supervisor.pb-c.h"

/* --- dump --------------------------------------------------------------------------------------- */

struct search {
	struct dump *d;
	uint32_t table, found, any;
};

static int look(void *arg, const struct fd_view *v)
{
	struct search *s = arg;

	if (!dump_is_late(s->d, v->id))
		return 0;
	s->any = v->id;
	if (dump_table_has(s->d, s->table, v->id))
		s->found = v->id;
	return 0;
}

static int find_asking(void *arg, const struct held_thread *held)
{
	for (const struct held_filter *f = held->filter; f; f = f->below)
		*(bool *)arg |= cbpf_can_give(f->code, f->n, SECCOMP_RET_USER_NOTIF);
	return 0;
}

/* It is not under the filter that another thread of its process is to install. */
static bool is_beside(struct dump *d, const struct task_view *v)
{
	bool own = false, of_any = false;

	(void)!find_asking(&own, v->held);
	(void)!dump_each_thread(d, v->pid, find_asking, &of_any);
	return of_any && !own;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct search s = { .d = d };
	Supervisor *m = record;
	uint32_t lowest;
	int rc;

	if (!dump_n_late(d))
		return 0;
	s.table = dump_table_of(d, v->tid);
	(void)!dump_each_description(d, look, &s);
	m->listener = s.found ? s.found : s.any;
	if (!s.found)
		return is_beside(d, v);
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
	/* A parent waits for its stopped children, before it comes to its filters. */
	if (v->held->stop_signal)
		return fail(e, 0,
			    "has the listener of a seccomp filter and is stopped, which cannot be "
			    "saved yet; continue it (SIGCONT)");
	rc = dump_check_numbers(d, v, 2, &lowest, e);
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
	plan_note(p, "until the listener is where it belongs");
	plan_spin(p, l.made_at, 2);
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
	plan_spin(p, l.made_at, 1);
	pidfd = plan_call(p, SYS_pidfd_open, arg_num(l.process), arg_num(0));
	fetched = plan_call(p, SYS_pidfd_getfd, arg_result(pidfd), arg_num(l.number), arg_num(0));
	if (l.flags & O_NONBLOCK)
		plan_call_is(p, 0, SYS_fcntl, arg_result(fetched), arg_num(F_SETFL),
			     arg_num(O_RDWR | O_NONBLOCK));
	emit_numbers(r, p, listener, table, fetched);
	plan_call_is(p, 0, SYS_close, arg_result(fetched));
	plan_call_is(p, 0, SYS_close, arg_result(pidfd));
	rc = restore_emit_late(r, p, listener, table, e);
	plan_note(p, "the supervisor has it");
	plan_count(p, l.taken_at);
	return rc < 0 ? rc : 1;
}

/* What the keeper does comes when all others of the process are at their filters, or have gone on; and it cannot fail
 * any more. */
static int check_keeper(struct restore *r, uint32_t pid, const uint32_t *tids, size_t n,
			struct error *e)
{
	const Process *p = restore_record(r, record_process.tag, pid);

	if (!(restore_host(r)->cap_eff & 1ull << CAP_SYS_PTRACE))
		return fail(e, EPERM,
			    "it has the listener of a seccomp filter: to fetch that needs "
			    "CAP_SYS_PTRACE");
	if (p && p->stop_signal)
		return fail(e, 0, "it has the listener of a seccomp filter and is stopped");
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
	for (size_t i = 0; rc >= 0 && i < l.n_tables; i++) {
		if (l.tables[i] != pid)
			continue;
		rc = check_keeper(r, pid, tids, n, e);
		if (rc >= 0)
			return p ? emit_fetch(r, p, m->listener, pid, e) : 1;
	}
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
