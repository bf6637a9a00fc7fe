/* SPDX-License-Identifier: MIT */
/* Whether the process groups and sessions of the tree can be made again. */
#include "tree/relations.h"

#include "dump/internal.h"

/* The index of a process in the list, which has parents before their children. */
static struct relative *of_process(const struct dump *d, const struct relatives *all,
				   const struct dump_process *p)
{
	for (size_t i = 0; i < d->processes.n; i++)
		if (d->processes.v[i] == p)
			return &all->v[i];
	return NULL;
}

static struct relative relative_of(const struct proc_stat *s, int pid, struct relative *parent)
{
	return (struct relative){ .id = (uint32_t)pid,
				  .group = (uint32_t)s->pgid,
				  .session = (uint32_t)s->sid,
				  .parent = parent };
}

static int find(struct dump *d, struct error *e)
{
	size_t n = d->processes.n + d->zombies.n;
	struct relatives all = { .v = arena_alloc(&d->arena, 2 * (n + 1) * sizeof(*all.v)) };

	/* Nearly always a parent is among the last that were found. */
	vec_each(p, &d->processes) {
		struct relative *parent = NULL;

		for (size_t i = all.n; i-- > 0 && (*p)->parent && !parent;)
			if (d->processes.v[i] == (*p)->parent)
				parent = &all.v[i];
		all.v[all.n++] = relative_of(&speaker_of(*p)->stat, (*p)->pid, parent);
	}
	vec_each(z, &d->zombies) {
		struct relative x = relative_of(&z->stat, z->pid, of_process(d, &all, z->parent));

		x.has_ended = true;
		if (x.parent)
			all.v[all.n++] = x;
	}
	return relations_find(&all, e);
}

/* A shell puts a child into a group after the fork: looked at in between, the tree is odd for a moment. */
int probe_relations(struct dump *d, struct error *e)
{
	struct error ignored;
	int rc = find(d, e);

	if (rc >= 0 || d->frozen)
		return rc;
	vec_each(p, &d->processes)
		(void)!thread_read(d, speaker_of(*p), &ignored);
	return find(d, e);
}
