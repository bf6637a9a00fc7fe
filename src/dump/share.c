/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and fs (working folder, root folder, umask): which tasks have the same. Nearly always the
 * threads of a process share both and processes none, so a thread is compared with the speaker of its process,
 * and only the speakers, and threads that differ from them, with each other: by the order that the kernel has
 * for such objects.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/compat.h"
#include "dump/internal.h"
#include "tree/tables.h"

static const struct {
	int type;
	const char *name;
} tables[TABLES] = {
	[TABLE_FILES] = { KCMP_FILES, "descriptor table" },
	[TABLE_FS] = { KCMP_FS, "working folder" },
};

uint32_t table_id(const struct dump_thread *t, enum table which)
{
	(void)which;
	return (uint32_t)(t == speaker_of(t->process) ? t->process->pid : t->tid);
}

int share_look(struct dump_thread *t, struct error *e)
{
	struct dump_thread *speaker = speaker_of(t->process);

	for (enum table i = 0; i < TABLES; i++) {
		int rc = t == speaker ? 1 : sys_kcmp(speaker->tid, t->tid, tables[i].type, 0, 0);

		if (rc == -ENOSYS)
			return fail(e, ENOSYS, "kcmp (CONFIG_KCMP)");
		if (rc < 0)
			return fail(e, -rc, "compare with thread %d", speaker->tid);
		t->table[i] = rc ? t : speaker;
	}
	return 0;
}

/* --- between processes ---------------------------------------------------------------------------- */

struct head {
	struct dump_thread *thread;
	size_t place; /* in the order of the tree */
};

struct heads {
	vec(struct head) list;
	enum table which;
	int rc; /* of the first kcmp that failed */
};

/* 1 less and 2 greater, by the kernel's own order. */
static int compare(const struct head *a, const struct head *b, struct heads *h)
{
	int rc = sys_kcmp(a->thread->tid, b->thread->tid, tables[h->which].type, 0, 0);

	/* Has ended meanwhile, if it is not held. */
	if (rc == -ESRCH)
		rc = 1;
	if (rc < 0 || rc > 2)
		h->rc = h->rc < 0 ? h->rc : rc < 0 ? rc : -EINVAL;
	return rc == 1 ? -1 : rc == 2;
}

static int by_object(const void *pa, const void *pb, void *heads)
{
	const struct head *a = pa, *b = pb;
	int order = compare(a, b, heads);

	return order ? order : a->place < b->place ? -1 : a->place > b->place;
}

/* Of two that have ended kcmp says that they share all: nothing. */
static bool has_ended(const struct dump *d, const struct dump_thread *t)
{
	struct proc_stat stat;
	struct error ignored;

	if (d->frozen)
		return false;
	return proc_stat_read(t->dir, &stat, &ignored) < 0 || stat.state == 'Z' ||
	       stat.state == 'X';
}

static bool is_speaker(const struct dump_thread *t)
{
	return t == speaker_of(t->process);
}

/* A thread gets it from another of its process, and a process from another: not from a thread. */
static int check_mixed(struct dump *d, const struct head *first, const struct dump_thread *t,
		       enum table which, struct error *e)
{
	const struct dump_thread *a = first->thread;
	const struct dump_thread *odd = is_speaker(a) ? t : a, *other = odd == t ? a : t;
	struct object o = { "task", odd->process->pid, odd->tid };

	if (a->process == t->process || (is_speaker(a) && is_speaker(t)))
		return 0;
	return verdict(
		d, o,
		fail(e, 0,
		     "has a %s that is not that of its process but that of process %d, which "
		     "cannot be saved yet",
		     tables[which].name, other->process->pid),
		e, "%s", d->report ? odd->stat.comm : "");
}

/* Equal ones, of whom the first in the tree stands for all. */
static int join(struct dump *d, struct heads *h, size_t start, size_t end, struct error *e)
{
	const struct head *first = NULL;
	int rc = 0;

	for (size_t i = start; i < end && end - start > 1 && rc >= 0; i++) {
		struct head *x = &h->list.v[i];

		if (has_ended(d, x->thread))
			continue;
		first = first ? first : x;
		rc = check_mixed(d, first, x->thread, h->which, e);
		x->thread->table[h->which] = first->thread;
	}
	return rc;
}

static int find_heads(struct dump *d, struct heads *h, struct error *e)
{
	int rc = 0;

	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, h->which) && (*t)->stat.state != 'Z')
				*vec_add(&h->list) = (struct head){ *t, h->list.n };
	if (h->list.n < 2)
		return 0;
	qsort_r(h->list.v, h->list.n, sizeof(*h->list.v), by_object, h);
	for (size_t i = 0, end; i < h->list.n && rc >= 0 && h->rc >= 0; i = end) {
		for (end = i + 1; end < h->list.n && !compare(&h->list.v[i], &h->list.v[end], h);)
			end++;
		rc = join(d, h, i, end, e);
	}
	return h->rc < 0 ? fail(e, -h->rc, "compare processes (kcmp)") : rc;
}

/* --- threads ---------------------------------------------------------------------------------------- */

/* Whether the threads of a process can get theirs from each other again. */
static int check_threads(struct dump *d, const struct dump_process *p, struct error *e)
{
	struct object o = { "task", p->pid, p->pid };
	vec(struct kin) kin = { 0 };
	int rc = 0;

	vec_each(t, &p->threads) {
		struct kin *k;

		if (!(*t)->table[TABLE_FILES] || !(*t)->table[TABLE_FS])
			continue;
		k = vec_add(&kin);
		k->id = (uint32_t)(*t)->tid;
		for (enum table i = 0; i < TABLES; i++)
			k->table[i] = (uint32_t)(*t)->table[i]->tid;
	}
	if (kin.n > 1)
		rc = tables_find_threads(kin.v, kin.n, e);
	vec_free(&kin);
	return rc < 0 ? verdict(d, o, rc, e, "%s", "") : 0;
}

/* The table of a thread is that of its speaker, which may be that of another process. */
static bool follow(const struct dump_process *p, enum table which)
{
	bool any = false;

	for (size_t i = 1; i < p->threads.n; i++) {
		struct dump_thread *t = p->threads.v[i];

		if (!t->table[which])
			continue;
		any = any || t->table[which]->process != p || !is_speaker(t->table[which]);
		t->table[which] = t->table[which]->table[which];
	}
	return any;
}

int share_find(struct dump *d, struct error *e)
{
	int rc = 0;

	for (enum table i = 0; i < TABLES && rc >= 0; i++) {
		struct heads h = { .which = i };

		rc = find_heads(d, &h, e);
		vec_free(&h.list);
	}
	vec_each(p, &d->processes) {
		bool any = false;

		for (enum table i = 0; i < TABLES && rc >= 0; i++)
			any = follow(*p, i) || any;
		if (any && rc >= 0)
			rc = check_threads(d, *p, e);
	}
	return rc;
}
