/* SPDX-License-Identifier: MIT */
/*
 * Filters of system calls (seccomp), the last thing that a thread gets back: behind them nothing is
 * called any more but rt_sigreturn, and whoever waits spins.
 *
 * Threads of one process that have the same filters in common share them in the kernel, which matters
 * when more are installed for all of them (SECCOMP_FILTER_FLAG_TSYNC). So what all have in common is
 * installed by one for all, and each adds the rest. A filter without no_new_privs needs CAP_SYS_ADMIN,
 * which the program may have given up since: then a thread installs them that exists for this alone,
 * keeps the credentials of cr, and exits.
 *
 * A filter that asks a listener (listener.c) is known by its verdicts. It is installed by the one thread that has it,
 * or by one for all threads of its process, which then waits until the supervisors have fetched the listener, and
 * closes it.
 */
#include "kind.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "arch/arch.h"
#include "base/caps.h"
#include "base/cbpf.h"
#include "base/chain.h"
#include "dump/api.h"
#include "process.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"
#include "seccomp.pb-c.h"

#define MAX_FILTERS \
	6553u /* the kernel takes 32768 instructions in all, and counts 4 for each filter */
#define KNOWN_FLAGS SECCOMP_FILTER_FLAG_LOG
#define OF_PROCESS (1ull << 63)
#define ASKER (OF_PROCESS | 1ull << 62)
#define ASKERS_PROCESS (ASKER | 1)

extern const struct kind kind_seccomp;

static bool held_asks(const struct held_filter *f)
{
	return filter_asks(&(struct filter){ f->code, f->n, f->flags, 0 });
}

/* --- dump --------------------------------------------------------------------------------------- */

static int probe(const struct task_view *v, struct error *e)
{
	int rc;

	if (!v->status->seccomp)
		return 0;
	rc = CAPS_NEED("is under seccomp: to save that", e, CAP_SYS_ADMIN);
	if (rc < 0)
		return rc;
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0)
		return fail(
			e, 0,
			"is under seccomp, which only a cr that is not under seccomp itself can "
			"save");
	return 0;
}

static void add_filters(struct dump *d, const struct held_filter *newest, uint32_t from,
			uint32_t listener, Seccomp *m)
{
	struct arena *a = dump_arena(d);

	if (!newest || newest->depth == from)
		return;
	m->n_filters = newest->depth - from;
	m->filters = arena_alloc(a, m->n_filters * sizeof(*m->filters));
	for (size_t i = m->n_filters; i-- > 0; newest = newest->below) {
		SeccompFilter *f = arena_alloc(a, sizeof(*f));

		seccomp_filter__init(f);
		f->flags = newest->flags;
		f->program.data = (uint8_t *)(uintptr_t)newest->code;
		f->program.len = newest->n * sizeof(*newest->code);
		f->has_listener = held_asks(newest) && listener;
		f->listener = listener;
		m->filters[i] = f;
	}
}

static struct chain held_chain(struct dump *d, const struct held_filter *newest, uint32_t listener)
{
	struct chain c = { .n = newest ? newest->depth : 0, .arch = arch_audit };

	c.v = arena_alloc(dump_arena(d), (c.n + 1) * sizeof(*c.v));
	for (size_t i = c.n; i-- > 0; newest = newest->below)
		c.v[i] = (struct filter){ newest->code, newest->n, newest->flags,
					  held_asks(newest) ? listener : 0 };
	return c;
}

/* --- dump: the listener -------------------------------------------------------------------------- */

struct listeners {
	const struct dump *d;
	uint32_t n, first;
};

static int count_listener(void *arg, const struct fd_view *v)
{
	struct listeners *l = arg;

	if (dump_is_late(l->d, v->id) && !l->n++)
		l->first = v->id;
	return 0;
}

struct users {
	const struct held_filter *filter;
	size_t n, all;
};

static int count_user(void *arg, const struct held_thread *held)
{
	struct users *u = arg;

	for (const struct held_filter *f = held->filter; f; f = f->below)
		u->n += f == u->filter;
	u->all++;
	return 0;
}

/* As the restore will do it: for all threads at once, and with the number that the new listener gets. */
static int check_way(struct dump *d, const struct task_view *v, bool for_all, uint32_t number,
		     struct error *e)
{
	struct chain c = held_chain(d, v->held->filter, 1);

	for (size_t i = 0; i < c.n; i++) {
		uint64_t sync = for_all ? SECCOMP_FILTER_FLAG_TSYNC : 0;

		if (for_all && chain_way(&c, i, sync).nr != SYS_seccomp)
			return fail(
				e, 0,
				"its seccomp filter %zu of %zu could not be installed again for all "
				"its threads, since those before it forbid that",
				i + 1, c.n);
		if (c.v[i].listener && !chain_lets(&c, i + 1, SYS_close, number, 0))
			return fail(
				e, 0,
				"its seccomp filter asks a listener and forbids close, by which "
				"it gets rid of the new one at a restore; allow it");
		if (c.v[i].listener)
			break;
	}
	return 0;
}

/* Nobody tells which listener is a filter's: so there has to be one of each, and it is not shared by fork. */
static int find_listener(struct dump *d, const struct task_view *v, const struct held_filter *f,
			 uint32_t *listener, struct error *e)
{
	struct listeners l = { .d = d };
	struct users u = { .filter = f };
	uint32_t name = (uint32_t)((uintptr_t)f / sizeof(uint64_t)), process, number = 0;
	int rc;

	(void)!dump_each_description(d, count_listener, &l);
	*listener = l.first;
	if (!l.n)
		return 0; /* chain_check says it */
	if (l.n > 1)
		return fail(
			e, 0,
			"its seccomp filter asks a listener, and of the %u in the tree nobody tells "
			"which is its own, so it cannot be saved; dump it with its supervisor alone",
			l.n);
	process = dump_shared(d, &kind_seccomp, ASKERS_PROCESS, (uint32_t)v->pid);
	if (dump_shared(d, &kind_seccomp, ASKER, name) != name || process != (uint32_t)v->pid)
		return fail(
			e, 0,
			"its seccomp filter asks a listener, as one of process %u does, which cannot be "
			"saved for several yet",
			process);
	(void)!dump_each_thread(d, v->pid, count_user, &u);
	if (u.n != 1 && u.n != u.all)
		return fail(
			e, 0,
			"its seccomp filter asks a listener and is that of %zu of %zu threads, which "
			"cannot be saved; have it for one or for all (SECCOMP_FILTER_FLAG_TSYNC)",
			u.n, u.all);
	dump_make_late(d, l.first, v->id);
	if (!dump_table_is_own(d, v->pid))
		return fail(
			e, 0,
			"its seccomp filter asks a listener, and its descriptors are shared with "
			"another process, or not by all its threads, or its first thread has exited; "
			"that cannot be saved yet");
	rc = dump_check_numbers(d, v, 1, &number, e);
	return rc < 0 ? rc : check_way(d, v, u.n > 1, number, e);
}

static int find_listeners(struct dump *d, const struct task_view *v, uint32_t *listener,
			  struct error *e)
{
	int rc = 0;

	*listener = 0;
	for (const struct held_filter *f = v->held->filter; f && rc >= 0; f = f->below)
		if (held_asks(f))
			rc = find_listener(d, v, f, listener, e);
	return rc;
}

/* Filters that cannot be installed by the thread itself are installed for all threads at once. */
static int check_alike(struct dump *d, const struct task_view *v, bool alone, struct error *e)
{
	uint32_t chain = (uint32_t)((uintptr_t)v->held->filter / sizeof(uint64_t));

	if (dump_shared(d, &kind_seccomp, OF_PROCESS | (uint32_t)v->pid, chain) == chain || alone)
		return 0;
	return fail(e, 0,
		    "its seccomp filters are not those of its leader, were installed without "
		    "no_new_privs, and the right to do that again (CAP_SYS_ADMIN) is given up; set "
		    "no_new_privs");
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	const struct held_filter *newest = v->held->filter;
	Seccomp *m = record;
	uint32_t listener;
	struct chain c;
	int rc;

	m->mode = v->status->seccomp;
	m->alone = v->status->no_new_privs || v->status->cap_eff & 1ull << CAP_SYS_ADMIN;
	if (m->mode != SECCOMP_MODE_FILTER)
		return m->mode != 0;
	for (const struct held_filter *f = newest; f && !m->like; f = f->below) {
		uint32_t owner = dump_shared(d, &kind_seccomp, (uintptr_t)f, v->id);

		if (owner == v->id)
			continue;
		m->like = owner;
		m->like_count = f->depth;
	}
	rc = find_listeners(d, v, &listener, e);
	if (rc >= 0)
		rc = check_alike(d, v, m->alone, e);
	if (rc < 0)
		return rc;
	add_filters(d, newest, m->like_count, listener, m);
	c = held_chain(d, newest, listener);
	rc = chain_check(&c, m->alone, e);
	return rc < 0 ? rc : 1;
}

/* --- restore: what the records say --------------------------------------------------------------- */

static int take_filter(const SeccompFilter *f, struct filter *out, struct error *e)
{
	struct sock_filter *code = (void *)f->program.data;
	size_t n = f->program.len / sizeof(*code);

	if (f->program.len % sizeof(*code) || f->flags & ~(uint64_t)KNOWN_FLAGS ||
	    !cbpf_is_valid(code, n))
		return fail(e, 0, "a seccomp filter of %zu bytes, flags %#llx, that is none",
			    f->program.len, (unsigned long long)f->flags);
	*out = (struct filter){ code, n, f->flags, f->listener };
	return 0;
}

/* A base holds filters of its own up to base_count, and so a base of its own only below that. */
static int read_chain(struct restore *r, const Seccomp *m, struct chain *c, struct error *e)
{
	size_t end = m->like_count + m->n_filters;
	int rc = 0;

	if (end > MAX_FILTERS)
		return fail(e, 0, "%zu seccomp filters", end);
	*c = (struct chain){ arena_alloc(restore_arena(r), (end + 1) * sizeof(*c->v)), end,
			     arch_audit };
	for (;;) {
		uint32_t count = m->like_count;

		for (size_t i = count; i < end && rc == 0; i++)
			rc = take_filter(m->filters[i - count], &c->v[i], e);
		if (rc < 0 || !count)
			return rc;
		m = restore_record(r, kind_seccomp.record.tag, m->like);
		if (!m || m->like_count >= count || count > m->like_count + m->n_filters)
			return fail(e, 0, "the image has no seccomp filters to begin with");
		end = count;
	}
}

/* What is done for a process as a whole. */
struct group {
	size_t n_threads;
	size_t common;           /* filters that one installs for all */
	bool keeper;             /* by a thread that has kept its credentials */
	uint64_t spinning, done; /* words: threads that wait; 1: the common ones are installed */
	struct chain chain;      /* of the leader */
};

/* The threads that have to wait have no more than the common ones if they cannot add any. */
static int check_group(struct restore *r, const struct group *g, const Seccomp *m,
		       const struct chain *c, struct error *e)
{
	int rc = m->mode == SECCOMP_MODE_FILTER ? chain_check(c, m->alone, e) : 0;

	if (rc < 0 || m->alone || m->mode != SECCOMP_MODE_FILTER)
		return rc;
	if (c->n != g->common)
		return fail(e, 0, "it has seccomp filters that nobody could install");
	if (!(restore_host(r)->cap_eff & 1ull << CAP_SYS_ADMIN))
		return fail(e, EPERM,
			    "its seccomp filters were installed without no_new_privs, which needs "
			    "CAP_SYS_ADMIN");
	return 0;
}

static int read_group(struct restore *r, uint32_t pid, struct group *g, struct error *e)
{
	const uint32_t *tids;

	g->n_threads = restore_threads(r, pid, &tids);
	g->common = MAX_FILTERS;
	for (size_t i = 0; i < g->n_threads; i++) {
		const Seccomp *m = restore_record(r, kind_seccomp.record.tag, tids[i]);
		struct chain c = { 0 };
		int rc = m ? read_chain(r, m, &c, e) : 0;

		if (rc < 0)
			return rc;
		if (!i)
			g->chain = c;
		g->common = chain_common(&g->chain, &c, g->common);
		g->keeper = g->keeper || (m && !m->alone && m->mode == SECCOMP_MODE_FILTER);
	}
	/* One that those before it let be installed by prctl(2) alone is everybody's own. */
	for (size_t i = 0; i < g->common && (g->keeper || g->n_threads > 1); i++)
		if (chain_way(&g->chain, i, SECCOMP_FILTER_FLAG_TSYNC).nr != SYS_seccomp)
			g->common = i;
	if (g->n_threads == 1 && !g->keeper)
		g->common = 0;
	return g->common ? restore_words(r, 2, &g->spinning, e) : 0;
}

static int find_group(struct restore *r, uint32_t pid, struct group **out, struct error *e)
{
	void **note = restore_note(r, &kind_seccomp, pid);
	struct group *g = *note;
	int rc = 0;

	if (!g) {
		g = arena_alloc(restore_arena(r), sizeof(*g));
		rc = read_group(r, pid, g, e);
		g->done = g->spinning + sizeof(uint32_t);
		*note = g;
	}
	*out = g;
	return rc;
}

/* --- restore: operations ------------------------------------------------------------------------- */

/* Whoever installs it has to be the one that its description names: by its descriptors the new one gets its
 * number. All threads have it, or one. */
static int check_listener(struct restore *r, const struct chain *c, size_t i, uint32_t tid,
			  struct late *l, struct error *e)
{
	int rc = restore_late(r, c->v[i].listener, LATE_MAKES, l, e);

	if (rc >= 0 && l->task != tid)
		rc = fail(e, 0, "its seccomp filter %zu of %zu asks a listener of another task",
			  i + 1, c->n);
	if (rc >= 0 && !chain_lets(c, i + 1, SYS_close, l->number, 0))
		rc = fail(e, 0,
			  "its seccomp filter %zu of %zu asks a listener and forbids to close it",
			  i + 1, c->n);
	return rc;
}

static void emit_handover(struct plan *p, const struct late *l)
{
	plan_note(p, "its listener, until the supervisors have it");
	plan_count(p, l->made_at);
	plan_spin(p, l->taken_at, l->n_tables);
	plan_call_is(p, 0, SYS_close, arg_num(l->number));
	plan_count(p, l->made_at);
}

/* tid: whose filters they are, or of all whose. */
static int emit_install(struct restore *r, struct plan *p, const struct chain *c, size_t i,
			uint64_t sync, uint32_t tid, struct error *e)
{
	const struct filter *f = &c->v[i];
	const struct sock_fprog prog = { .len = (unsigned short)f->n };
	struct install way = chain_way(c, i, sync);
	uint64_t at = plan_data(p, &prog, sizeof(prog));
	uint64_t code = plan_data(p, f->code, f->n * sizeof(*f->code));
	struct late late = { 0 };
	int rc = f->listener ? check_listener(r, c, i, tid, &late, e) : 0;

	if (rc < 0)
		return rc;
	plan_note(p, "seccomp filter %zu of %zu", i + 1, c->n);
	plan_op(p, CR_RST_STORE, 0,
		PLAN_ARGS(arg_data(at + offsetof(struct sock_fprog, filter)), arg_data(code),
			  arg_num(8)),
		CR_RST_WANT_OK, 0);
	if (way.nr == SYS_seccomp)
		plan_call_is(p, late.number, SYS_seccomp, arg_num(SECCOMP_SET_MODE_FILTER),
			     arg_num(way.flags), arg_data(at));
	else
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_SECCOMP), arg_num(SECCOMP_MODE_FILTER),
			     arg_data(at));
	if (f->listener)
		emit_handover(p, &late);
	return 0;
}

/* What tasks wait for costs no system call, since the filter may come at any moment. */
static int emit_common(struct restore *r, struct plan *p, const struct group *g, uint32_t pid,
		       struct error *e)
{
	int rc = 0;

	plan_note(p, "until the other threads make no more calls");
	plan_spin(p, g->spinning, g->keeper ? g->n_threads : g->n_threads - 1);
	for (size_t i = 0; i < g->common && rc >= 0; i++)
		rc = emit_install(r, p, &g->chain, i, SECCOMP_FILTER_FLAG_TSYNC, pid, e);
	plan_count(p, g->done);
	return rc;
}

/* The strict mode needs no right, and cannot fail. */
static void emit_strict(struct plan *p)
{
	plan_note(p, "seccomp, strict mode");
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_SECCOMP), arg_num(SECCOMP_MODE_STRICT));
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Thread *th = restore_record(r, "THRD", tid);
	const Seccomp *m = record;
	struct group *g;
	struct chain c;
	int rc;

	if (!th || m->mode < SECCOMP_MODE_STRICT || m->mode > SECCOMP_MODE_FILTER ||
	    (m->mode == SECCOMP_MODE_STRICT) != (m->like_count + m->n_filters == 0))
		return fail(e, 0, "seccomp mode %u with %zu filters", m->mode, m->n_filters);
	rc = find_group(r, th->process, &g, e);
	if (rc == 0)
		rc = read_chain(r, m, &c, e);
	if (rc == 0)
		rc = check_group(r, g, m, &c, e);
	if (rc < 0)
		return rc;
	if (g->common && !g->keeper && tid == th->process) {
		rc = emit_common(r, p, g, tid, e);
	} else if (g->common) {
		plan_note(p, "until the filters of all are there");
		plan_count(p, g->spinning);
		plan_spin(p, g->done, 1);
	}
	for (size_t i = g->common; i < c.n && rc >= 0; i++)
		rc = emit_install(r, p, &c, i, 0, tid, e);
	if (m->mode == SECCOMP_MODE_STRICT)
		emit_strict(p);
	return rc;
}

/* The leader has a record if there is a filter that all have. */
static int emit_keeper(struct restore *r, struct plan *p, uint32_t pid, struct error *e)
{
	struct group *g;
	int rc;

	if (!restore_record(r, kind_seccomp.record.tag, pid))
		return 0;
	rc = find_group(r, pid, &g, e);
	if (rc < 0 || !g->keeper || !g->common)
		return rc;
	if (p)
		rc = emit_common(r, p, g, pid, e);
	return rc < 0 ? rc : 1;
}

/* Once for each chain: who has nothing of its own has the same as another. */
static int outside(struct restore *r, const void *record, int proc, struct error *e)
{
	const Seccomp *m = record;
	struct chain c;
	int rc;

	(void)proc;
	if (m->mode != SECCOMP_MODE_FILTER || !m->n_filters)
		return 0;
	rc = read_chain(r, m, &c, e);
	return rc < 0 ? rc : chain_try(&c, e);
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_FILTERS,
	.probe = probe,
	.dump = dump,
	.in_order = true,
	.emit = emit,
	.emit_keeper = emit_keeper,
	.outside = outside,
};

const struct kind kind_seccomp = {
	.name = "seccomp",
	.record = { "SECC", 1, &seccomp__descriptor },
	.task = &ops,
};
