/* SPDX-License-Identifier: MIT */
#include "dump/api.h"

#include <assert.h>

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
