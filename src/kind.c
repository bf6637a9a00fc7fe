/* SPDX-License-Identifier: MIT */
#include "kind.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "files.pb-c.h"
#include "mm.pb-c.h"
#include "process.pb-c.h"
#include "shmem.pb-c.h"

#define KIND(name) &kind_##name,
const struct kind *const kinds[] = {
#include "kinds.inc"
};
#undef KIND
const size_t n_kinds = sizeof(kinds) / sizeof(kinds[0]);

const struct record_type record_process = { "PROC", 1, &process__descriptor };
const struct record_type record_thread = { "THRD", 1, &thread__descriptor };
const struct record_type record_zombie = { "ZOMB", 1, &zombie__descriptor };
const struct record_type record_description = { "DESC", 1, &description__descriptor };
const struct record_type record_fdtable = { "FDTB", 1, &fd_table__descriptor };
const struct record_type record_mm = { "MMSP", 1, &mm__descriptor };
const struct record_type record_shmem = { "SHRM", 1, &shared_memory__descriptor };

const struct record_type *record_types(size_t *n)
{
	static const struct record_type *const engine[] = {
		&record_process, &record_thread, &record_zombie, &record_description,
		&record_fdtable, &record_mm,     &record_shmem,
	};
	const size_t n_engine = sizeof(engine) / sizeof(engine[0]);
	/* C has no constant that is a copy of another file's, so each call writes the same again. */
	static struct record_type
		all[sizeof(engine) / sizeof(engine[0]) + sizeof(kinds) / sizeof(kinds[0])];

	for (size_t i = 0; i < n_engine; i++)
		all[i] = *engine[i];
	for (size_t i = 0; i < n_kinds; i++)
		all[n_engine + i] = kinds[i]->record;
	*n = n_engine + n_kinds;
	return all;
}

const struct kind *kind_by_tag(const char *tag)
{
	for (size_t i = 0; i < n_kinds; i++) {
		if (!strcmp(kinds[i]->record.tag, tag))
			return kinds[i];
	}
	return NULL;
}

uint32_t kind_record_id(const Thread *t, enum scope s)
{
	switch (s) {
	case SCOPE_THREAD:
		return t->id;
	case SCOPE_PROCESS:
		return t->process;
	case SCOPE_MM:
		return t->mm;
	case SCOPE_FS:
		return t->fs;
	case SCOPE_SIGHAND:
		return t->sighand;
	}
	return 0;
}

/* --- matching ---------------------------------------------------------------------------------- */

static bool is_match(const struct fd_match *m, const struct fd_view *v)
{
	if (m->o_path != !!(v->info.flags & O_PATH))
		return false;
	if (m->type && m->type != (v->st.st_mode & S_IFMT))
		return false;
	if (m->link && !str_starts(v->link, m->link))
		return false;
	if (m->dev_major && m->dev_major != major(v->st.st_rdev))
		return false;
	if (!m->dev_minors)
		return true;
	return minor(v->st.st_rdev) < 64 && m->dev_minors >> minor(v->st.st_rdev) & 1;
}

const struct kind *kind_of_fd(const struct fd_view *v, const struct kind **second)
{
	const struct kind *found = NULL;

	*second = NULL;
	for (size_t i = 0; i < n_kinds; i++) {
		const struct fd_ops *ops = kinds[i]->fd;

		if (!ops || !is_match(&ops->match, v) || (ops->mine && !ops->mine(v)))
			continue;
		if (found)
			*second = kinds[i];
		else
			found = kinds[i];
	}
	return found;
}

/* --- answers of the batch ---------------------------------------------------------------------- */

int64_t task_answer(const struct task_view *v, uint32_t i)
{
	assert(i < v->n_ops);
	return v->results[v->first_op + i];
}

const void *task_answer_data(const struct task_view *v, uint64_t at)
{
	assert(at < v->n_data);
	return v->data + v->data_at + at;
}
