/* SPDX-License-Identifier: MIT */
#include "dump/api.h"

#include <assert.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "dump/shmem.h"

struct arena *dump_arena(struct dump *d)
{
	return &d->arena;
}

static uint32_t find_fd(const struct dump_thread *t, int fd)
{
	size_t low = 0, high = t->fds.n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct fd_view *v = &t->fds.v[mid].view;

		if (v->fd == fd)
			return v->id;
		if (v->fd < fd)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

uint32_t dump_description(struct dump *d, int table, int fd)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES) &&
			    table_id(*t, TABLE_FILES) == (uint32_t)table)
				return find_fd(*t, fd);
	return 0;
}

uint32_t dump_shared(struct dump *d, const struct kind *k, uint64_t key, uint32_t id)
{
	struct shared_object *new;

	assert(!d->whole); /* no worker */
	vec_each(s, &d->shared)
		if (s->kind == k && s->key == key)
			return s->id;
	new = vec_add(&d->shared);
	*new = (struct shared_object){ .kind = k, .key = key, .id = id };
	return id;
}

uint32_t dump_shmem(struct dump *d, const struct fd_view *v)
{
	return shmem_id(d, v->link, v->st.st_dev, v->st.st_ino);
}

int dump_each_description(struct dump *d, int (*each)(void *arg, const struct fd_view *v),
			  void *arg)
{
	for (size_t i = 0; i < d->descriptions.n; i++) {
		int rc = each(arg, &d->descriptions.v[i]->view);

		if (rc < 0)
			return rc;
	}
	return 0;
}

int dump_each_thread(struct dump *d, int pid,
		     int (*each)(void *arg, const struct held_thread *held), void *arg)
{
	int rc = 0;

	vec_each(p, &d->processes) {
		if ((*p)->pid != pid)
			continue;
		for (size_t i = 0; i < (*p)->threads.n && rc >= 0; i++)
			rc = each(arg, (*p)->threads.v[i]->held);
	}
	return rc;
}

size_t dump_n_late(const struct dump *d)
{
	return d->n_late;
}

bool dump_is_late(const struct dump *d, uint32_t description)
{
	return d->n_late && description && description <= d->descriptions.n &&
	       d->descriptions.v[description - 1]->kind->fd->made_late;
}

uint32_t dump_table_of(struct dump *d, int tid)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if ((*t)->tid == tid)
				return table_id((*t)->table[TABLE_FILES], TABLE_FILES);
	return 0;
}

bool table_has(const struct dump_thread *t, uint32_t description)
{
	vec_each(f, &t->fds)
		if (f->view.id == description)
			return true;
	return false;
}

bool dump_table_has(struct dump *d, uint32_t table, uint32_t description)
{
	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES) && table_id(*t, TABLE_FILES) == table)
				return table_has(*t, description);
	return false;
}

uint32_t dump_make_late(struct dump *d, uint32_t description, uint32_t tid)
{
	struct description *desc = d->descriptions.v[description - 1];

	if (!desc->made_by)
		desc->made_by = tid;
	return desc->made_by;
}

/* Of a table that is sorted: the n-th number (from 0) that is free. */
static uint64_t free_number(const struct dump_thread *t, uint32_t n)
{
	uint64_t number = 0;

	for (size_t i = 0;; number++) {
		if (i < t->fds.n && (uint64_t)t->fds.v[i].view.fd == number)
			i++;
		else if (!n--)
			return number;
	}
}

/* "Max open files            1024                 524288               files" */
static uint64_t read_limit(int proc)
{
	auto_buf b = { 0 };
	const char *at =
		fd_read_file(proc, "limits", &b) < 0 ? NULL : strstr(b.p, "Max open files");
	uint64_t limit = UINT64_MAX;

	if (at) {
		at += strlen("Max open files");
		at += strspn(at, " ");
		(void)!str_take_u64(&at, 10, &limit);
	}
	return limit;
}

/* The highest number that is needed for n more, and for those that are late. */
static uint64_t highest_number(const struct dump *d, const struct dump_thread *t, uint32_t n)
{
	uint64_t highest = free_number(t, n - 1);

	vec_each(f, &t->fds)
		if (dump_is_late(d, f->view.id) && (uint64_t)f->view.fd > highest)
			highest = (uint64_t)f->view.fd;
	return highest;
}

int dump_check_numbers(struct dump *d, const struct task_view *v, uint32_t n, uint32_t *lowest,
		       struct error *e)
{
	uint32_t table = dump_table_of(d, v->tid);
	uint64_t highest = 0, limit = read_limit(v->proc);

	vec_each(p, &d->processes)
		vec_each(t, &(*p)->threads)
			if (stands_for(*t, TABLE_FILES) && table_id(*t, TABLE_FILES) == table) {
				highest = highest_number(d, *t, n);
				*lowest = (uint32_t)free_number(*t, 0);
			}
	if (highest < limit)
		return 0;
	return fail(
		e, 0,
		"has no descriptor free below %llu (RLIMIT_NOFILE), which the listener of a seccomp "
		"filter needs to come back; raise the limit (prlimit)",
		(unsigned long long)limit);
}

bool dump_table_is_own(struct dump *d, int pid)
{
	vec_each(p, &d->processes) {
		bool is_it = (*p)->pid == pid;

		if (is_it && (*p)->exited)
			return false;
		vec_each(t, &(*p)->threads)
			if ((table_id((*t)->table[TABLE_FILES], TABLE_FILES) == (uint32_t)pid) !=
			    is_it)
				return false;
	}
	return true;
}
