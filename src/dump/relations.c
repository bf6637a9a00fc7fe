/* SPDX-License-Identifier: MIT */
/* Whether the process groups and sessions of the tree can be made again. */
#include "tree/relations.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
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

/* Nobody has the number, or one who has ended and is not waited for. */
static bool is_gone(int pid, struct proc_stat *stat)
{
	struct error ignored;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 || proc_stat_read(dir, stat, &ignored) < 0 || stat->state == 'Z';
}

static struct relative relative_of(const struct proc_stat *s, int pid, struct relative *parent)
{
	struct proc_stat leader;
	struct relative x = { .id = (uint32_t)pid,
			      .group = (uint32_t)s->pgid,
			      .session = (uint32_t)s->sid,
			      .exit_signal = (uint32_t)s->exit_signal,
			      .parent = parent };

	/* Nearly all have that of their parent. */
	if (s->sid != pid && (!parent || parent->session != x.session))
		x.session_is_gone = is_gone(s->sid, &leader);
	return x;
}

/* The root task gets the session of cr, if it has none of its own. */
static int check_root(const struct relative *x, const struct proc_stat *s, struct error *e)
{
	struct proc_stat leader;

	if (x->session == x->id || x->session_is_gone)
		return 0;
	if (!s->tty_nr && s->sid != getsid(0) && !is_gone(s->sid, &leader))
		return fail(
			e, 0,
			"task %u: its session is that of '%s' (pid %d), outside the tree, and has "
			"no terminal that it could get from cr; begin the program with setsid(1), "
			"dump process %d, or run cr in that session",
			x->id, leader.comm, s->sid, s->sid);
	return 0;
}

static int find(struct dump *d, struct error *e)
{
	size_t n = d->processes.n + d->zombies.n;
	struct relatives all = { .v = arena_alloc(&d->arena, 3 * (n + 1) * sizeof(*all.v)) };
	struct dump_process *root = d->processes.v[0];
	int rc;

	/* Nearly always a parent is among the last that were found. */
	vec_each(p, &d->processes) {
		struct relative *parent = NULL;

		for (size_t i = all.n; i-- > 0 && (*p)->parent && !parent;)
			if (d->processes.v[i] == (*p)->parent)
				parent = &all.v[i];
		all.v[all.n++] = relative_of(&speaker_of(*p)->stat, (*p)->pid, parent);
		for (enum table t = 0; t < TABLES; t++)
			if (speaker_of(*p)->table[t])
				all.v[all.n - 1].table[t] = table_id(speaker_of(*p)->table[t], t);
		all.v[all.n - 1].memory = (uint32_t)((*p)->memory ? (*p)->memory : *p)->pid;
		all.v[all.n - 1].actions = (uint32_t)((*p)->actions ? (*p)->actions : *p)->pid;
		all.v[all.n - 1].context = context_id(speaker_of(*p));
		if ((*p)->exited)
			all.v[all.n - 1].exit_signal = (uint32_t)(*p)->exited->stat.exit_signal;
	}
	rc = check_root(&all.v[0], &speaker_of(root)->stat, e);
	if (rc < 0)
		return rc;
	root->session_is_gone = all.v[0].session_is_gone;
	vec_each(z, &d->zombies) {
		struct relative x = relative_of(&z->stat, z->pid, of_process(d, &all, z->parent));

		x.has_ended = true;
		if (x.parent)
			all.v[all.n++] = x;
	}
	return relations_find(&all, e);
}

/* A shell puts a child into a group after the fork, and the children of vfork have their parent's memory, until each
 * runs another program: looked at in between, the tree is odd for a moment. */
int probe_relations(struct dump *d, struct error *e)
{
	struct error ignored;
	int rc = find(d, e);

	if (rc >= 0 || d->frozen)
		return rc;
	vec_each(p, &d->processes)
		(void)!thread_read(d, speaker_of(*p), &ignored);
	if (!d->report)
		(void)!share_find(d, &ignored);
	return find(d, e);
}
