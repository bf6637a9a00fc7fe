/* SPDX-License-Identifier: MIT */
/* Working folder, root folder and umask: what the kernel's fs_struct holds. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "dump/api.h"
#include "fs.pb-c.h"
#include "proc/link.h"
#include "restore/api.h"
#include "restore/host.h"

/* The text of the link, when it is a name of the folder. */
static int read_folder(const struct task_view *v, const char *link, struct arena *a, char **out,
		       struct error *e)
{
	struct stat st;
	int rc;

	*out = fd_readlink(a, v->proc, link);
	/* ENOENT: the task has ended, and has none any more. */
	if (!*out)
		return fail(e, errno == ENOENT ? ESRCH : errno, "read the link %s", link);
	if (fstatat(v->proc, link, &st, 0) < 0)
		return fail(e, errno == ENOENT ? ESRCH : errno, "stat %s", link);
	rc = link_check(*out, &st, true, e);
	if (rc == 0 && S_ISDIR(st.st_mode))
		rc = link_check_proc(*out, &st, v->proc, e);
	return within(e, rc, "%s folder %s", strcmp(link, "cwd") ? link : "working", *out);
}

static int probe(const struct task_view *v, struct error *e)
{
	struct arena a = { 0 };
	char *text;
	int rc;

	/* Once more after the freeze: that is done by dump. */
	if (v->held)
		return 0;
	rc = read_folder(v, "cwd", &a, &text, e);
	if (rc == 0)
		rc = read_folder(v, "root", &a, &text, e);
	arena_free(&a);
	return rc;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	Fs *m = record;
	int rc = read_folder(v, "cwd", dump_arena(d), &m->cwd, e);

	if (rc == 0)
		rc = read_folder(v, "root", dump_arena(d), &m->root, e);
	m->umask = v->status->umask;
	return rc < 0 ? rc : 1;
}

static uint64_t text(struct plan *p, const char *s)
{
	return plan_data(p, s, strlen(s) + 1);
}

/* Both paths begin at cr's root, which is the task's own until its chroot. */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const Fs *m = record;
	uint32_t now = restore_host(r)->umask;

	(void)tid;
	if (m->umask & ~0777u)
		return fail(e, 0, "umask %#o", m->umask);
	plan_note(p, "working folder %s", m->cwd);
	plan_call_is(p, 0, SYS_chdir, arg_data(text(p, m->cwd)));
	if (strcmp(m->root, "/")) {
		plan_note(p, "root folder %s", m->root);
		plan_call_is(p, 0, SYS_chroot, arg_data(text(p, m->root)));
	}
	plan_note(p, "umask");
	if (m->umask != now)
		plan_call_is(p, now, SYS_umask, arg_num(m->umask));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_FS,
	.stage = STAGE_FS,
	.probe = probe,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_fs = {
	.name = "fs",
	.record = { "FSTR", 1, &fs__descriptor },
	.task = &ops,
};
