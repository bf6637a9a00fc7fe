/* SPDX-License-Identifier: MIT */
/* What about a task itself cannot be saved: one function for each reason. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "dump/internal.h"

static int check_state(const struct dump *d, struct dump_thread *t, struct error *e)
{
	if (proc_has_ended(t->stat.state)) {
		if (t->tid != t->process->pid)
			return fail(e, ESRCH, "has exited");
		if (t->status.threads > 1)
			return fail(e, 0, "has exited while it was looked at; try again");
		if (t->process->parent)
			return fail(e, ESRCH, "has ended");
		return fail(
			e, 0,
			"is a zombie: it has ended, and its parent (%d) has not waited for it yet; "
			"there is nothing to save",
			t->stat.ppid);
	}
	if (!d->frozen && t->stat.state == 't' && !t->status.tracer)
		return fail(e, 0, "is stopped by a tracer");
	return 0;
}

static int check_tracer(const struct dump *d, struct dump_thread *t, struct error *e)
{
	char path[32];
	auto_buf comm = { 0 };

	if (!t->status.tracer || (d->frozen && t->status.tracer == d->holder.pid))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", t->status.tracer);
	if (fd_read_record(AT_FDCWD, path, &comm) < 0)
		return fail(e, 0, "is traced by process %d; end that first", t->status.tracer);
	return fail(e, 0, "is traced by process %d (%.*s); end that first", t->status.tracer,
		    (int)strcspn(comm.p, "\n"), comm.p);
}

/* At the restore there is one terminal, and it becomes that of the root's session. */
static int check_terminal(const struct dump *d, struct dump_thread *t, struct error *e)
{
	const struct proc_stat *root = &speaker_of(d->processes.v[0])->stat;

	if (t != speaker_of(t->process) || !t->stat.tty_nr || t->stat.sid == root->sid)
		return 0;
	return fail(
		e, 0,
		"has a terminal in session %d, which is not that of the root task (%d) and cannot "
		"be saved with it; dump process %d alone",
		t->stat.sid, root->sid, t->stat.sid);
}

/* --- labels of security modules ----------------------------------------------------------------- */

/* The label of a task, "" where there is none. SELinux ends it with NUL, AppArmor with a newline. */
static char *read_label(struct arena *a, int proc)
{
	auto_buf text = { 0 };

	if (fd_read_record(proc, "attr/current", &text) < 0)
		return NULL;
	return arena_strndup(a, text.p, strcspn(text.p, "\n"));
}

/* The tasks of a restore have that of cr. */
static int check_label(const struct dump *d, struct dump_thread *t, struct error *e)
{
	struct arena a = { 0 };
	const char *label;
	int rc = 0;

	if (!d->label || t != speaker_of(t->process))
		return 0;
	label = read_label(&a, t->dir);
	if (label && proc_label_is_foreign(label, d->label))
		rc = fail(e, 0,
			  "has the security label '%s', which is not that of cr ('%s') and cannot "
			  "be given to it again yet; run dump and restore under that label",
			  label, d->label);
	arena_free(&a);
	return rc;
}

/* --- namespaces ---------------------------------------------------------------------------------- */

/* Threads of one process cannot differ in the last four, nor in the first one as long as they share their
 * working folder. */
static const char *const ns_names[N_NAMESPACES] = {
	"ns/mnt",    "ns/net",
	"ns/ipc",    "ns/uts",
	"ns/cgroup", "ns/pid_for_children",
	"ns/pid",    "ns/user",
	"ns/time",   "ns/time_for_children",
};
#define FIRST_OF_THREAD 1
#define END_OF_THREAD 6

void probe_read_own(struct dump *d)
{
	auto_fd self = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < N_NAMESPACES; i++)
		d->namespaces[i] = fd_readlink(&d->arena, self, ns_names[i]);
	d->label = read_label(&d->arena, self);
}

/*
 * After unshare(CLONE_NEWPID): the link of the new namespace, which cannot be read until a child is in there
 * (Linux 7.2: it can).
 */
static bool is_for_children_only(const struct dump_thread *t, const char *name)
{
	char own[64], children[64];
	ssize_t n, n_children;

	if (strcmp(name, "ns/pid_for_children") != 0)
		return false;
	n = readlinkat(t->dir, "ns/pid", own, sizeof(own));
	n_children = readlinkat(t->dir, name, children, sizeof(children));
	return n > 0 && (n_children != n || memcmp(own, children, (size_t)n) != 0);
}

static int fail_for_children(struct error *e)
{
	return fail(
		e, 0,
		"has a new pid namespace for its children (unshare), which cannot be saved yet");
}

static int fail_namespace(const struct dump_thread *t, const char *name, int code, struct error *e)
{
	if (code == ENOENT && is_for_children_only(t, name))
		return fail_for_children(e);
	if (code == EACCES || code == EPERM)
		return fail(e, code,
			    "read the link %s: it is another user's, or not dumpable; that needs "
			    "CAP_SYS_PTRACE",
			    name);
	return fail(e, code == ENOENT ? ESRCH : code, "read the link %s", name);
}

static int check_namespaces(const struct dump *d, struct dump_thread *t, struct error *e)
{
	bool is_leader = t == speaker_of(t->process);
	size_t end = is_leader ? N_NAMESPACES : END_OF_THREAD;
	char text[64];

	for (size_t i = is_leader ? 0 : FIRST_OF_THREAD; i < end; i++) {
		ssize_t len = readlinkat(t->dir, ns_names[i], text, sizeof(text) - 1);

		if (len < 0 && errno == ENOENT && !d->namespaces[i])
			continue;
		if (len < 0)
			return fail_namespace(t, ns_names[i], errno, e);
		text[len] = '\0';
		if (d->namespaces[i] && !strcmp(text, d->namespaces[i]))
			continue;
		if (is_for_children_only(t, ns_names[i]))
			return fail_for_children(e);
		return fail(e, 0,
			    "is in another %s namespace than cr, which cannot be saved yet; "
			    "run cr in there (nsenter --target %d --all)",
			    ns_names[i] + 3, t->process->pid);
	}
	return 0;
}

/* Memory and signal actions threads share always. */
static int check_shared(const struct dump *d, struct dump_thread *t, struct error *e)
{
	(void)d;
	return share_look(t, e);
}

/* --- all ------------------------------------------------------------------------------------------- */

static int (*const checks[])(const struct dump *, struct dump_thread *, struct error *) = {
	check_state, check_tracer, check_shared, check_namespaces, check_label, check_terminal,
};

/* Before the freeze the status of a further thread tells enough of it. */
static int read_for_probe(struct dump *d, struct dump_thread *t, struct error *e)
{
	int rc;

	if (t->is_fresh)
		return 0;
	if (d->frozen || d->report || t == speaker_of(t->process))
		return thread_read(d, t, e);
	rc = proc_status_read(t->dir, &d->arena, &t->status, e);
	t->stat.state = t->status.state;
	return rc;
}

int probe_task(struct dump *d, struct dump_thread *t, struct error *e)
{
	struct object o = { "task", t->process->pid, t->tid };
	int rc = read_for_probe(d, t, e);

	t->is_fresh = false;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && rc >= 0; i++)
		rc = checks[i](d, t, e);
	if (rc == -ESRCH)
		return rc;
	return verdict(d, o, rc, e, "%s", d->report ? t->stat.comm : "");
}
