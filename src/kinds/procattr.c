/* SPDX-License-Identifier: MIT */
/*
 * Attributes of a process that are numbers in files of /proc/PID: how likely it is killed when memory
 * runs out, and what a core file of it holds. Written from outside.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/str.h"
#include "procattr.pb-c.h"
#include "restore/api.h"
#include "restore/host.h"

#define OOM_SCORE_ADJ "oom_score_adj"
/* only in the folder of the process, not in that of a thread */
#define COREDUMP_FILTER "../../coredump_filter"

static int read_number(int proc, const char *name, unsigned int base, int64_t *out, struct error *e)
{
	auto_buf b = { 0 };
	int rc = fd_read_file(proc, name, &b);
	const char *s = b.p;
	bool minus;
	uint64_t n;

	if (rc < 0)
		return fail(e, -rc, "read %s", name);
	minus = *s == '-';
	s += minus;
	if (!str_take_u64(&s, base, &n) || n > INT32_MAX)
		return fail(e, 0, "%s: not a number: %s", name, b.p);
	*out = minus ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	ProcAttr *m = record;
	int64_t adj, filter;
	int rc = read_number(v->proc, OOM_SCORE_ADJ, 10, &adj, e);

	(void)d;
	if (rc == 0)
		rc = read_number(v->proc, COREDUMP_FILTER, 16, &filter, e);
	if (rc < 0)
		return rc;
	m->oom_score_adj = (int32_t)adj;
	m->coredump_filter = (uint32_t)filter;
	return 1;
}

static int write_number(int proc, const char *name, const char *text, struct error *e)
{
	auto_fd fd = openat(proc, name, O_WRONLY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return fail(e, errno, "open %s", name);
	rc = fd_write_full(fd, text, strlen(text));
	if (rc == -EACCES || rc == -EPERM)
		return fail(e, 0, "%s %s: to lower it needs CAP_SYS_RESOURCE", name, text);
	return rc < 0 ? fail(e, -rc, "write %s to %s", text, name) : 0;
}

static int outside(struct restore *r, const void *record, int proc, struct error *e)
{
	const struct host *h = restore_host(r);
	const ProcAttr *m = record;
	char text[24];
	int rc = 0;

	if (m->oom_score_adj != h->oom_score_adj) {
		snprintf(text, sizeof(text), "%d", m->oom_score_adj);
		rc = write_number(proc, OOM_SCORE_ADJ, text, e);
	}
	if (rc == 0 && m->coredump_filter != h->coredump_filter) {
		snprintf(text, sizeof(text), "%#x", m->coredump_filter);
		rc = write_number(proc, COREDUMP_FILTER, text, e);
	}
	return rc;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	.stage = STAGE_ATTRIBUTES,
	.dump = dump,
	.outside = outside,
};

const struct kind kind_procattr = {
	.name = "procattr",
	.record = { "PATR", 1, &proc_attr__descriptor },
	.task = &ops,
};
