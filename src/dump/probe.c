/* SPDX-License-Identifier: MIT */
/* Going through all objects, and what becomes of a verdict. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compat.h"
#include "dump/internal.h"

int verdict(struct dump *d, struct object o, int rc, struct error *e, const char *fmt, ...)
{
	struct check_object *c;
	char what[512];
	va_list ap;

	if (!d->report && rc >= 0)
		return rc;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (!d->report)
		return within(e, rc, "task %d%s%s", o.tid ? o.tid : o.pid, *what ? ": " : "", what);
	c = vec_add(&d->report->objects);
	c->pid = o.pid;
	c->tid = o.tid;
	c->sort = o.sort;
	c->what = arena_strdup(&d->report->arena, what);
	if (rc < 0) {
		c->refusal = arena_strdup(&d->report->arena, e->text);
		d->report->n_refused++;
	}
	return 0;
}

/* --- names ----------------------------------------------------------------------------------------- */

bool probe_knows(const struct dump *d, const struct known_name *name)
{
	size_t n = d->n_names < N_NAMES ? d->n_names : N_NAMES;

	for (size_t i = 0; i < n; i++) {
		const struct known_name *k = &d->names[i];

		if (k->inode == name->inode && k->dev == name->dev && k->kind == name->kind &&
		    k->flags == name->flags && !strcmp(k->text, name->text))
			return true;
	}
	return false;
}

/* In the place of the oldest. */
void probe_note(struct dump *d, struct known_name name)
{
	d->names[d->n_names++ % N_NAMES] = name;
}

/* --- kinds of task state ------------------------------------------------------------------------- */

bool kind_is_of_thread(const struct kind *k, const struct dump_thread *t)
{
	if (!k->task)
		return false;
	switch (k->task->scope) {
	case SCOPE_THREAD:
		return true;
	case SCOPE_FS:
		return t->table[TABLE_FS] ? stands_for(t, TABLE_FS) : t == speaker_of(t->process);
	case SCOPE_MM:
		return t == speaker_of(t->process) && has_own_memory(t->process);
	case SCOPE_SIGHAND:
		return t == speaker_of(t->process) && has_own_actions(t->process);
	default:
		return t == speaker_of(t->process);
	}
}

static uint32_t id_of(const struct dump_thread *t, enum scope s)
{
	if (s == SCOPE_FS && t->table[TABLE_FS])
		return table_id(t, TABLE_FS);
	return (uint32_t)(s == SCOPE_THREAD ? t->tid : t->process->pid);
}

void view_of_thread(const struct dump_thread *t, const struct kind *k, struct task_view *v)
{
	const struct asked *asked = t->asked ? &t->asked[0] : NULL;
	int pid = t->process->pid;

	for (size_t i = 0; asked && kinds[i] != k; i++)
		asked++;
	*v = (struct task_view){
		.pid = pid,
		.tid = t->tid,
		.proc = t->dir,
		.stat = &t->stat,
		.status = &t->status,
		.id = id_of(t, k->task->scope),
		.held = t->held,
		.speaks = t == speaker_of(t->process),
	};
	if (!asked)
		return;
	v->batch = &t->batch;
	v->first_op = asked->first_op;
	v->n_ops = asked->n_ops;
	v->data_at = asked->data_at;
	v->n_data = asked->n_data;
	v->results = (const void *)(t->process->answers + plan_results_at(&t->batch, t->plan_at));
	v->data = t->process->answers + plan_data_at(&t->batch, t->plan_at);
}

static int probe_kinds(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < n_kinds && rc >= 0; i++) {
		const struct kind *k = kinds[i];
		struct object o = { k->name, t->process->pid, t->tid };
		struct task_view v;

		if (!kind_is_of_thread(k, t))
			continue;
		view_of_thread(t, k, &v);
		if (k->task->probe)
			rc = k->task->probe(&v, e);
		if (rc == -ESRCH)
			return rc;
		rc = verdict(d, o, rc, e, "%s", k->name);
	}
	return rc;
}

/* --- the tree ------------------------------------------------------------------------------------ */

static int probe_thread(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = probe_task(d, t, e);

	return rc < 0 ? rc : probe_kinds(d, t, e);
}

static int probe_threads(struct dump *d, struct dump_process *p, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->threads.n && rc >= 0; i++) {
		struct dump_thread *t = p->threads.v[i];

		rc = t->found.is_there ? finding_take(&t->found, e) : probe_thread(d, t, e);
		if (rc == -ESRCH && i && !d->frozen)
			rc = 0;
	}
	return rc;
}

static int probe_process(struct dump *d, struct dump_process *p, unsigned int parts,
			 struct error *e)
{
	int rc = parts & PROBE_TASKS ? probe_threads(d, p, e) : 0;

	/* A zombie has nothing else. */
	if (rc < 0 || speaker_of(p)->stat.state == 'Z')
		return rc;
	return parts & PROBE_MEMORY ? probe_mappings(d, p, e) : rc;
}

static bool has_table(const struct dump_thread *t)
{
	return t->stat.state != 'Z' && stands_for(t, TABLE_FILES);
}

static int probe_tables(struct dump *d, struct dump_process *p, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < p->threads.n && rc >= 0; i++) {
		struct dump_thread *t = p->threads.v[i];

		if (has_table(t))
			rc = probe_fds(d, t, e);
		if (rc == -ESRCH && i && !d->frozen)
			rc = 0;
	}
	return rc;
}

static int check_relations(struct dump *d, struct error *e)
{
	struct object o = { "tree", d->processes.v[0]->pid, 0 };
	int rc = probe_relations(d, e);

	return rc < 0 ? verdict(d, o, rc, e, "%s", "") : 0;
}

/* --- in workers ------------------------------------------------------------------------------------ */

static int read_thread_ahead(struct dump *d, void *threads, size_t i, struct error *e)
{
	struct dump_thread *t = ((struct dump_thread **)threads)[i];
	int rc = t->is_fresh ? 0 : thread_read(d, t, e);

	return within(e, rc, "task %d", t->process->pid);
}

static int read_memory_ahead(struct dump *d, void *unused, size_t i, struct error *e)
{
	struct dump_process *p = d->processes.v[i];
	int rc = smaps_read(p->dir, &d->arena, &p->maps, e);

	(void)unused;
	p->has_fresh_maps = rc >= 0;
	return within(e, rc, "task %d", p->pid);
}

int probe_read_ahead(struct dump *d, struct error *e)
{
	size_t n;
	struct dump_thread **threads = gather_threads(d, &n);
	int rc = gather_over(d, n, GRAIN_THREADS, read_thread_ahead, threads, e);

	return rc < 0 ? rc
		      : gather_over(d, d->processes.n, GRAIN_PROCESSES, read_memory_ahead, NULL, e);
}

static int gather_thread(struct dump *d, void *threads, size_t i, struct error *e)
{
	struct dump_thread *t = ((struct dump_thread **)threads)[i];

	return finding_note(d, &t->found, probe_thread(d, t, e), e);
}

/* A zombie has nothing else than its task. */
static bool has_ended_already(const struct dump_process *p)
{
	const struct finding *f = &speaker_of(p)->found;

	return (f->is_there && f->rc < 0) || speaker_of(p)->stat.state == 'Z';
}

static int gather_memory(struct dump *d, void *unused, size_t i, struct error *e)
{
	struct dump_process *p = d->processes.v[i];

	(void)unused;
	if (has_ended_already(p))
		return 0;
	return finding_note(d, &p->seen_memory, probe_mappings_alone(d, p, e), e);
}

static int gather_table(struct dump *d, void *heads, size_t i, struct error *e)
{
	struct dump_thread *t = ((struct dump_thread **)heads)[i];

	return finding_note(d, &t->seen_fds, probe_fds_alone(d, t, e), e);
}

/* What fails in here is judged, and told, when it is its turn; the same, what has not been looked at. */
static void gather_tasks(struct dump *d, unsigned int parts)
{
	struct error ignored;
	size_t n;
	struct dump_thread **threads = gather_threads(d, &n);

	for (size_t i = 0; i < n; i++)
		threads[i]->found.is_there = false;
	vec_each(p, &d->processes)
		(*p)->seen_memory.is_there = false;
	if (parts & PROBE_TASKS && gather_helps(d, n, GRAIN_THREADS))
		(void)!gather_over(d, n, GRAIN_THREADS, gather_thread, threads, &ignored);
	if (parts & PROBE_MEMORY && gather_helps(d, d->processes.n, GRAIN_PROCESSES))
		(void)!gather_over(d, d->processes.n, GRAIN_PROCESSES, gather_memory, NULL,
				   &ignored);
}

/* The same, of those that stand for a descriptor table. */
static void gather_tables(struct dump *d)
{
	struct error ignored;
	size_t n, n_heads = 0;
	struct dump_thread **heads = gather_threads(d, &n);

	for (size_t i = 0; i < n; i++) {
		heads[i]->seen_fds.is_there = false;
		if (has_table(heads[i]))
			heads[n_heads++] = heads[i];
	}
	if (gather_helps(d, n_heads, GRAIN_PROCESSES))
		(void)!gather_over(d, n_heads, GRAIN_PROCESSES, gather_table, heads, &ignored);
}

static int probe_each(struct dump *d, unsigned int parts, struct error *e)
{
	int rc = 0;

	if (parts & PROBE_FDS)
		gather_tables(d);
	else
		gather_tasks(d, parts);
	for (size_t i = 0; i < d->processes.n && rc >= 0; i++) {
		struct dump_process *p = d->processes.v[i];

		rc = parts & PROBE_FDS ? probe_tables(d, p, e) : probe_process(d, p, parts, e);
		if (rc == -ESRCH && i && !d->frozen)
			rc = 0;
		if (rc == -ESRCH)
			rc = discover_has_ended(p, e);
	}
	return rc;
}

int probe_tree(struct dump *d, unsigned int parts, struct error *e)
{
	unsigned int first = parts & (PROBE_TASKS | PROBE_MEMORY);
	int rc;

	d->n_names = 0;
	rc = first ? probe_each(d, first, e) : 0;
	if (rc >= 0 && parts & PROBE_TASKS)
		rc = share_find(d, e);
	if (rc >= 0 && parts & PROBE_FDS)
		rc = probe_each(d, PROBE_FDS, e);
	if (rc >= 0 && parts & PROBE_TASKS)
		rc = check_relations(d, e);
	return rc;
}
