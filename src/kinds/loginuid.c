/* SPDX-License-Identifier: MIT */
/*
 * The user who logged in, for the records of the audit system (/proc/PID/loginuid). Only the task itself can
 * write it: with CAP_AUDIT_CONTROL, or once where it is not set. The number of the session goes with it and
 * is the kernel's choice. The first thread's stands for all of a process.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/str.h"
#include "loginuid.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"

#define NOT_SET UINT32_MAX

/* 1, or 0: the kernel has none. */
static int read_id(int proc, const char *name, uint32_t *out, struct error *e)
{
	auto_buf text = { 0 };
	int rc = fd_read_record(proc, name, &text);
	const char *s = text.p;
	uint64_t n;

	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return fail(e, -rc, "read %s", name);
	if (!str_take_u64(&s, 10, &n) || n > UINT32_MAX)
		return fail(e, 0, "%s: not a number: %s", name, text.p);
	*out = (uint32_t)n;
	return 1;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	LoginUid *m = record;
	int rc = read_id(v->proc, "loginuid", &m->uid, e), rc2;

	(void)d;
	if (rc <= 0 || m->uid == NOT_SET)
		return rc;
	rc2 = read_id(v->proc, "sessionid", &m->session, e);
	m->has_session = rc2 > 0;
	return rc2 < 0 ? rc2 : rc;
}

/* What cannot be set is no failure: outside looks what has become of it. */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	static const char path[] = "/proc/thread-self/loginuid";
	const LoginUid *m = record;
	char text[16];
	size_t n = (size_t)snprintf(text, sizeof(text), "%u", m->uid);
	uint32_t fd;

	(void)tid;
	(void)e;
	if (m->uid == restore_host(r)->login_uid)
		return 0;
	plan_note(p, "login uid %u", m->uid);
	fd = plan_call_any(p, SYS_openat, arg_num((uint64_t)AT_FDCWD),
			   arg_data(plan_data(p, path, sizeof(path))),
			   arg_num(O_WRONLY | O_CLOEXEC), arg_num(0));
	plan_call_any(p, SYS_write, arg_result(fd), arg_data(plan_data(p, text, n)), arg_num(n));
	plan_call_any(p, SYS_close, arg_result(fd));
	return 0;
}

static int outside(struct restore *r, const void *record, int proc, struct error *e)
{
	const LoginUid *m = record;
	void **told = restore_note(r, &kind_loginuid, 0);
	uint32_t now = NOT_SET, session = NOT_SET;
	int rc = 0;

	if (m->uid != restore_host(r)->login_uid)
		rc = read_id(proc, "loginuid", &now, e);
	if (rc > 0 && now != m->uid && !*told) {
		*told = r;
		warn("task %u: its login uid (for audit) is %d and no longer %d: to set it needs "
		     "CAP_AUDIT_CONTROL, or that cr has none",
		     m->id, (int)now, (int)m->uid);
	}
	if (rc >= 0 && m->has_session && log_is_verbose())
		rc = read_id(proc, "sessionid", &session, e);
	if (rc > 0 && m->has_session && log_is_verbose() && session != m->session)
		inform("task %u: is in login session %d (for audit), was in %d", m->id,
		       (int)session, (int)m->session);
	return rc < 0 ? rc : 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	/* Threads that are started later have it from the first one; and the root folder is that of cr. */
	.stage = STAGE_ACTIONS,
	.dump = dump,
	.emit = emit,
	.outside = outside,
};

const struct kind kind_loginuid = {
	.name = "loginuid",
	.record = { "LOGN", 1, &login_uid__descriptor },
	.task = &ops,
};
