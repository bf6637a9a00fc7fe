/* SPDX-License-Identifier: MIT */
/*
 * The control groups of a process, and of those of its threads that are elsewhere. cr puts the process back
 * from outside, where it is not in the same group as cr is anyway. A group that is not there any more, or
 * that takes nobody, is told and no failure: groups belong to whoever manages the machine.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "cgroups.pb-c.h"
#include "dump/api.h"
#include "proc/cgroup.h"
#include "restore/api.h"

/* --- dump -------------------------------------------------------------------------------------- */

struct reading {
	struct dump *dump;
	const struct task_view *view;
	Cgroups *record;
	const char *text; /* of the process' file */
	struct cgroups of_process;
	struct error *e;
};

static Cgroup *new_group(struct arena *a, const struct cgroup *g)
{
	Cgroup *m = arena_alloc(a, sizeof(*m));

	cgroup__init(m);
	m->controllers = (char *)g->controllers;
	m->path = (char *)g->path;
	return m;
}

/* The groups of a file, without those that the process has too (NULL: all). */
static Cgroup **new_groups(struct arena *a, const struct cgroups *g, const struct cgroups *without,
			   size_t *n)
{
	Cgroup **list = arena_alloc(a, (g->list.n + 1) * sizeof(*list));

	*n = 0;
	vec_each(it, &g->list) {
		const char *there = without ? cgroups_find(without, it->controllers) : NULL;

		if (!there || strcmp(there, it->path) != 0)
			list[(*n)++] = new_group(a, it);
	}
	return list;
}

/* The kernel says in one file what there is of one thread, and threads can be in groups of their own: in
 * version 2 in a threaded one, in version 1 in any. */
static int add_thread(void *arg, const struct held_thread *held)
{
	struct reading *of = arg;
	struct arena *a = dump_arena(of->dump);
	struct cgroups groups = { 0 };
	auto_buf text = { 0 };
	ThreadCgroups *m;
	char path[32];
	int rc;

	if (held->tid == of->view->tid)
		return 0;
	snprintf(path, sizeof(path), "../%d/cgroup", held->tid);
	rc = fd_read_record(of->view->proc, path, &text);
	if (rc < 0)
		return fail(of->e, -rc, "read %s", path);
	if (!strcmp(text.p, of->text))
		return 0;
	rc = cgroups_parse(text.p, a, &groups, of->e);
	if (rc == 0) {
		m = arena_alloc(a, sizeof(*m));
		thread_cgroups__init(m);
		m->tid = (uint32_t)held->tid;
		m->groups = new_groups(a, &groups, &of->of_process, &m->n_groups);
		of->record->threads[of->record->n_threads++] = m;
	}
	vec_free(&groups.list);
	return rc;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	Cgroups *m = record;
	struct arena *a = dump_arena(d);
	struct reading of = { .dump = d, .view = v, .record = m, .e = e };
	auto_buf text = { 0 };
	int rc = fd_read_record(v->proc, "cgroup", &text);

	if (rc == -ENOENT) /* a kernel without them */
		return 0;
	if (rc < 0)
		return fail(e, -rc, "read cgroup");
	of.text = text.p;
	rc = cgroups_parse(text.p, a, &of.of_process, e);
	if (rc == 0 && v->status->threads > 1) {
		m->threads = arena_alloc(a, v->status->threads * sizeof(*m->threads));
		rc = dump_each_thread(d, v->pid, add_thread, &of);
	}
	m->groups = new_groups(a, &of.of_process, NULL, &m->n_groups);
	vec_free(&of.of_process.list);
	return rc < 0 ? rc : 1;
}

/* --- restore ----------------------------------------------------------------------------------- */

static bool is_of_process(struct restore *r, uint32_t pid, uint32_t tid)
{
	const uint32_t *tids;
	size_t n = restore_threads(r, pid, &tids);

	for (size_t i = 0; i < n; i++)
		if (tids[i] == tid)
			return true;
	return false;
}

/* There is nothing to do for the task itself. */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Cgroups *m = record;

	(void)p;
	(void)tid;
	for (size_t i = 0; i < m->n_threads; i++)
		if (!is_of_process(r, m->id, m->threads[i]->tid))
			return fail(e, 0, "groups of thread %u, which the process does not have",
				    m->threads[i]->tid);
	return 0;
}

/* What is known of groups here, once one is asked for. */
struct here {
	struct cgroups own;    /* of cr; lies in the arena */
	const char *mountinfo; /* NULL: not read yet */
	struct told {
		struct told *next;
		const char *name;
	} * told; /* groups that have been told of */
};

static struct here *new_here(struct arena *a)
{
	struct here *h = arena_alloc(a, sizeof(*h));
	struct cgroups own = { 0 };
	auto_buf text = { 0 };
	struct error ignored;

	if (fd_read_record(AT_FDCWD, "/proc/self/cgroup", &text) == 0)
		(void)!cgroups_parse(text.p, a, &own, &ignored);
	h->own.list.n = own.list.n;
	if (own.list.n)
		h->own.list.v = arena_copy(a, own.list.v, own.list.n * sizeof(*own.list.v));
	vec_free(&own.list);
	return h;
}

static struct here *know(struct restore *r)
{
	void **note = restore_note(r, &kind_cgroups, 0);

	if (!*note)
		*note = new_here(restore_arena(r));
	return *note;
}

static bool has_told(struct arena *a, struct here *h, const char *name)
{
	struct told *t;

	for (t = h->told; t; t = t->next)
		if (!strcmp(t->name, name))
			return true;
	t = arena_alloc(a, sizeof(*t));
	*t = (struct told){ h->told, name };
	h->told = t;
	return false;
}

static int read_mounts(struct arena *a, struct here *h, struct error *e)
{
	auto_buf text = { 0 };
	int rc = h->mountinfo ? 0 : fd_read_file(AT_FDCWD, "/proc/self/mountinfo", &text);

	if (rc < 0)
		return fail(e, -rc, "read /proc/self/mountinfo");
	if (!h->mountinfo)
		h->mountinfo = arena_strndup(a, text.p, text.len);
	return 0;
}

/* A path of the image leads nowhere but into this mount. */
static int open_group(struct restore *r, struct here *h, const Cgroup *g, bool *is_v2,
		      struct error *e)
{
	const struct cgroup wanted = { g->controllers, g->path };
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	struct cgroup_place place;
	struct statfs st;
	int fd = read_mounts(restore_arena(r), h, e);

	if (fd < 0)
		return fd;
	if (!cgroup_place_find(h->mountinfo, &wanted, restore_arena(r), &place))
		return fail(e, 0, "is not mounted here");
	*is_v2 = place.is_v2;
	auto_fd mount = open(place.mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return fail(e, errno, "open %s", place.mount);
	if (fstatfs(mount, &st) < 0 ||
	    (st.f_type != CGROUP2_SUPER_MAGIC && st.f_type != CGROUP_SUPER_MAGIC))
		return fail(e, 0, "is covered by another mount on %s", place.mount);
	fd = sys_openat2(mount, *place.below ? place.below : ".", &how, sizeof(how));
	if (fd == -ENOENT)
		return fail(e, 0, "is not there; make it before the restore");
	return fd < 0 ? fail(e, -fd, "open %s/%s", place.mount, place.below) : fd;
}

/* In a group that is frozen the task would not come to the end of its plan. */
static bool is_frozen(int group)
{
	auto_buf text = { 0 };

	if (fd_read_record(group, "cgroup.events", &text) == 0)
		return strstr(text.p, "frozen 1") != NULL;
	return fd_read_record(group, "freezer.state", &text) == 0 && !str_starts(text.p, "THAWED");
}

static int enter(struct restore *r, struct here *h, const Cgroup *g, uint32_t id, bool is_thread,
		 struct error *e)
{
	bool is_v2 = false;
	char text[16];
	int rc;

	auto_fd group = open_group(r, h, g, &is_v2, e);
	if (group < 0)
		return group;
	if (is_frozen(group))
		return fail(e, 0, "is frozen; thaw it before the restore");
	auto_fd list = fd_open(group,
			       !is_thread ? "cgroup.procs"
			       : is_v2    ? "cgroup.threads"
					  : "tasks",
			       O_WRONLY);
	if (list < 0)
		return fail(e, -list, "open its list of tasks");
	rc = fd_write_full(list, text, (size_t)snprintf(text, sizeof(text), "%u", id));
	return rc < 0 ? fail(e, -rc, "cannot be entered") : 0;
}

static void put_back(struct restore *r, const Cgroup *g, uint32_t id, bool is_thread)
{
	struct here *h = know(r);
	const char *own = cgroups_find(&h->own, g->controllers);
	const char *sort = *g->controllers ? g->controllers : "version 2";
	struct error e;

	if (!is_thread && own && !strcmp(own, g->path))
		return;
	if (enter(r, h, g, id, is_thread, &e) >= 0 ||
	    has_told(restore_arena(r), h, arena_printf(restore_arena(r), "%s:%s", sort, g->path)))
		return;
	warn("task %u: cgroup %s (%s) %s; the task is in %s", id, g->path, sort, e.text,
	     own ? own : "none such");
}

static int outside(struct restore *r, const void *record, int proc, struct error *e)
{
	const Cgroups *m = record;

	(void)proc;
	(void)e;
	for (size_t i = 0; i < m->n_groups; i++)
		put_back(r, m->groups[i], m->id, false);
	/* A thread can go where it was when its process is in the same threaded part. */
	for (size_t i = 0; i < m->n_threads; i++)
		for (size_t k = 0; k < m->threads[i]->n_groups; k++)
			put_back(r, m->threads[i]->groups[k], m->threads[i]->tid, true);
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	.stage = STAGE_ATTRIBUTES,
	.dump = dump,
	.emit = emit,
	.outside = outside,
};

const struct kind kind_cgroups = {
	.name = "cgroups",
	.record = { "CGRP", 1, &cgroups__descriptor },
	.task = &ops,
};
