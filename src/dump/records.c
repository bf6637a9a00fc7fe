/* SPDX-License-Identifier: MIT */
/* Everything but memory into records: the tree, the state of tasks, descriptions, descriptor tables. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/compat.h"
#include "dump/internal.h"
#include "files.pb-c.h"
#include "process.pb-c.h"

/* Field 1 of every message is `required uint32 id`. */
static void *new_record(struct dump *d, const struct record_type *type, uint32_t id)
{
	const ProtobufCFieldDescriptor *f = &type->desc->fields[0];
	char *msg = arena_alloc(&d->arena, type->desc->sizeof_message);

	assert(f->id == 1 && f->type == PROTOBUF_C_TYPE_UINT32);
	protobuf_c_message_init(type->desc, msg);
	*(uint32_t *)(msg + f->offset) = id;
	return msg;
}

int records_put(struct dump *d, const struct record_type *type, const ProtobufCMessage *msg,
		struct error *e)
{
	bool is_known = false;

	vec_each(tag, &d->tags)
		is_known |= !strcmp(*tag, type->tag);
	if (!is_known)
		*vec_add(&d->tags) = arena_strdup(&d->arena, type->tag);
	return image_put(d->writer, type, msg, e);
}

/* --- the tree ------------------------------------------------------------------------------------- */

static int put_process(struct dump *d, const struct dump_process *p, struct error *e)
{
	const struct proc_stat *s = &speaker_of(p)->stat;
	Process m = PROCESS__INIT;

	m.id = (uint32_t)p->pid;
	m.parent = p->parent ? (uint32_t)p->parent->pid : 0;
	m.group = (uint32_t)s->pgid;
	m.session = (uint32_t)s->sid;
	m.has_session_is_gone = m.session_is_gone = p->session_is_gone;
	m.exit_signal = (uint32_t)(p->exited ? &p->exited->stat : s)->exit_signal;
	m.has_terminal = s->tty_nr != 0;
	m.terminal = (uint32_t)s->tty_nr;
	m.has_foreground = !p->parent && s->tty_nr && s->tpgid > 0;
	m.foreground = m.has_foreground ? (uint32_t)s->tpgid : 0;
	m.has_stop_signal = p->stop_signal;
	m.stop_signal = (uint32_t)p->stop_signal;
	m.has_stop_told = m.stop_told = p->stop_told;
	m.has_was_continued = m.was_continued = p->was_continued;
	m.threads = arena_alloc(&d->arena, (p->threads.n + 1) * sizeof(*m.threads));
	if (p->exited)
		m.threads[m.n_threads++] = (uint32_t)p->pid;
	vec_each(t, &p->threads)
		m.threads[m.n_threads++] = (uint32_t)(*t)->tid;
	return records_put(d, &record_process, &m.base, e);
}

/* Memory and signal actions are those of the process. A leader that has exited has nothing any more: it is made
 * with what the one has that speaks for it. */
static int put_thread(struct dump *d, const struct dump_thread *t, struct error *e)
{
	const struct dump_thread *exited = t->process->exited;
	const struct dump_thread *has = t == exited ? speaker_of(t->process) : t;
	Thread m = THREAD__INIT;

	m.id = (uint32_t)t->tid;
	m.process = (uint32_t)t->process->pid;
	m.mm = (uint32_t)t->process->memory->pid;
	m.sighand = (uint32_t)t->process->actions->pid;
	m.files = table_id(has->table[TABLE_FILES], TABLE_FILES);
	m.fs = table_id(has->table[TABLE_FS], TABLE_FS);
	m.io_context = context_id(has);
	m.has_io_context = m.io_context != 0;
	m.has_exit_status = t == exited;
	m.exit_status = m.has_exit_status ? (uint32_t)t->stat.exit_code >> 8 & 0xff : 0;
	return records_put(d, &record_thread, &m.base, e);
}

static int put_zombie(struct dump *d, const struct dump_zombie *z, struct error *e)
{
	Zombie m = ZOMBIE__INIT;

	m.id = (uint32_t)z->pid;
	m.parent = (uint32_t)z->parent->pid;
	m.group = (uint32_t)z->stat.pgid;
	m.session = (uint32_t)z->stat.sid;
	m.exit_signal = (uint32_t)z->stat.exit_signal;
	m.name.len = strlen(z->stat.comm);
	m.name.data = (uint8_t *)arena_strdup(&d->arena, z->stat.comm);
	m.uid = z->how.si_uid;
	m.has_exit_status = z->how.si_code == CLD_EXITED;
	m.has_death_signal = !m.has_exit_status;
	m.exit_status = m.has_exit_status ? (uint32_t)z->how.si_status : 0;
	m.death_signal = m.has_exit_status ? 0 : (uint32_t)z->how.si_status;
	return records_put(d, &record_zombie, &m.base, e);
}

/* --- state of tasks -------------------------------------------------------------------------------- */

/* *record: NULL, there is nothing to say. */
static int make_state(struct dump *d, const struct dump_thread *t, const struct kind *k,
		      void **record, struct error *e)
{
	struct task_view v;
	int rc;

	view_of_thread(t, k, &v);
	*record = new_record(d, &k->record, v.id);
	rc = k->task->dump(d, &v, *record, e);
	if (rc <= 0)
		*record = NULL;
	return within(e, rc, "task %d: %s", t->tid, k->name);
}

static bool has_state(const struct dump_thread *t, const struct kind *k)
{
	return t == t->process->exited ? k->task && k->task->of_exited : kind_is_of_thread(k, t);
}

int records_prepare(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = 0;

	t->made = arena_alloc(&d->arena, n_kinds * sizeof(*t->made));
	for (size_t i = 0; i < n_kinds && rc >= 0; i++) {
		if (has_state(t, kinds[i]) && !kinds[i]->task->in_order)
			rc = make_state(d, t, kinds[i], &t->made[i], e);
		if (rc >= 0)
			t->n_made = i + 1;
	}
	return rc;
}

static int put_task(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc = put_thread(d, t, e);

	for (size_t i = 0; i < n_kinds && rc >= 0; i++) {
		const struct kind *k = kinds[i];
		void *record;

		if (!has_state(t, k))
			continue;
		if (!t->made || k->task->in_order)
			rc = make_state(d, t, k, &record, e);
		else if (i >= t->n_made)
			return finding_take(&t->found, e);
		else
			record = t->made[i];
		if (rc >= 0 && record)
			rc = records_put(d, &k->record, record, e);
	}
	return rc;
}

/* --- descriptors ------------------------------------------------------------------------------------ */

static bool is_in_tree(const struct dump *d, const struct f_owner_ex *owner)
{
	bool leader = false, member = false;

	vec_each(p, &d->processes) {
		leader = leader || (*p)->pid == owner->pid;
		member = member || speaker_of(*p)->stat.pgid == owner->pid;
		vec_each(t, &(*p)->threads) {
			if (owner->type != F_OWNER_PGRP &&
			    ((*t)->tid == owner->pid || (*p)->pid == owner->pid))
				return true;
		}
	}
	return owner->type == F_OWNER_PGRP && leader && member;
}

/* Who gets SIGIO; a descriptor opened with O_PATH has nobody. */
static int fill_owner(struct dump *d, const struct fd_view *v, Description *m, struct error *e)
{
	struct f_owner_ex owner = { 0 };
	int signal;

	if (v->info.flags & O_PATH)
		return 0;
	if (fcntl(v->dup, F_GETOWN_EX, &owner) < 0)
		return fail(e, errno, "F_GETOWN_EX");
	signal = fcntl(v->dup, F_GETSIG);
	if (signal < 0)
		return fail(e, errno, "F_GETSIG");
	if (!owner.pid && !signal)
		return 0;
	if (owner.pid && !is_in_tree(d, &owner))
		return fail(
			e, 0,
			"its signals go to %s %d (F_SETOWN), which is not in the tree; dump that one too",
			owner.type == F_OWNER_PGRP ? "process group" : "task", owner.pid);
	m->owner = arena_alloc(&d->arena, sizeof(*m->owner));
	owner__init(m->owner);
	m->owner->type = (int)owner.type;
	m->owner->pid = (uint32_t)owner.pid;
	m->owner->signal = (uint32_t)signal;
	return 0;
}

/* Whoever it is has been put already. */
static Late *who_makes(struct dump *d, const struct description *desc)
{
	Late *m = arena_alloc(&d->arena, sizeof(*m));

	late__init(m);
	m->task = desc->made_by;
	m->tables = arena_alloc(&d->arena, d->processes.n * sizeof(*m->tables));
	vec_each(p, &d->processes) {
		const struct dump_thread *t = speaker_of(*p);

		if (stands_for(t, TABLE_FILES) && table_has(t, desc->view.id))
			m->tables[m->n_tables++] = table_id(t, TABLE_FILES);
	}
	return m;
}

static int put_description(struct dump *d, const struct description *desc, struct error *e)
{
	const struct fd_view *v = &desc->view;
	const struct kind *k = desc->kind;
	Description m = DESCRIPTION__INIT;
	void *record = new_record(d, &k->record, v->id);
	int rc;

	m.id = v->id;
	m.kind = arena_strdup(&d->arena, k->record.tag);
	m.flags = v->info.flags & ~(uint32_t)O_CLOEXEC;
	m.late = k->fd->made_late ? who_makes(d, desc) : NULL;
	rc = fill_owner(d, v, &m, e);
	if (rc >= 0)
		rc = records_put(d, &record_description, &m.base, e);
	if (rc >= 0)
		rc = k->fd->dump(d, v, record, e);
	if (rc >= 0)
		rc = records_put(d, &k->record, record, e);
	return within(e, rc, "task %d: fd %d: %s", v->pid, v->fd, v->link);
}

static int put_table(struct dump *d, const struct dump_thread *t, struct error *e)
{
	Descriptor *one = arena_alloc(&d->arena, (t->fds.n + 1) * sizeof(*one));
	FdTable m = FD_TABLE__INIT;

	m.id = table_id(t, TABLE_FILES);
	m.fds = arena_alloc(&d->arena, (t->fds.n + 1) * sizeof(*m.fds));
	vec_each(f, &t->fds) {
		descriptor__init(one);
		one->fd = (uint32_t)f->view.fd;
		one->description = f->view.id;
		one->cloexec = f->view.info.flags & O_CLOEXEC;
		m.fds[m.n_fds++] = one++;
	}
	return records_put(d, &record_fdtable, &m.base, e);
}

/* --- all -------------------------------------------------------------------------------------------- */

static int put_of_process(struct dump *d, const struct dump_process *p, struct error *e)
{
	int rc = put_process(d, p, e);

	if (rc >= 0 && p->exited)
		rc = put_task(d, p->exited, e);
	for (size_t i = 0; i < p->threads.n && rc >= 0; i++)
		rc = put_task(d, p->threads.v[i], e);
	for (size_t i = 0; i < p->threads.n && rc >= 0; i++)
		if (stands_for(p->threads.v[i], TABLE_FILES))
			rc = put_table(d, p->threads.v[i], e);
	return rc;
}

int records_save(struct dump *d, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < d->processes.n && rc >= 0; i++)
		rc = put_of_process(d, d->processes.v[i], e);
	for (size_t i = 0; i < d->zombies.n && rc >= 0; i++)
		rc = put_zombie(d, &d->zombies.v[i], e);
	for (size_t i = 0; i < d->descriptions.n && rc >= 0; i++)
		rc = put_description(d, d->descriptions.v[i], e);
	return rc;
}
