/* SPDX-License-Identifier: MIT */
/*
 * Resource limits, from /proc/PID/limits: prlimit(2) of a process with other user ids needs
 * CAP_SYS_RESOURCE, even to read.
 */
#include "kind.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>

#include "base/fd.h"
#include "base/str.h"
#include "dump/api.h"
#include "restore/api.h"
#include "restore/host.h"
#include "rlimits.pb-c.h"

/* What /proc/PID/limits calls them. */
static const char *const names[] = {
	[RLIMIT_CPU] = "cpu time",
	[RLIMIT_FSIZE] = "file size",
	[RLIMIT_DATA] = "data size",
	[RLIMIT_STACK] = "stack size",
	[RLIMIT_CORE] = "core file size",
	[RLIMIT_RSS] = "resident set",
	[RLIMIT_NPROC] = "processes",
	[RLIMIT_NOFILE] = "open files",
	[RLIMIT_MEMLOCK] = "locked memory",
	[RLIMIT_AS] = "address space",
	[RLIMIT_LOCKS] = "file locks",
	[RLIMIT_SIGPENDING] = "pending signals",
	[RLIMIT_MSGQUEUE] = "msgqueue size",
	[RLIMIT_NICE] = "nice priority",
	[RLIMIT_RTPRIO] = "realtime priority",
	[RLIMIT_RTTIME] = "realtime timeout",
};
#define LIMITS (sizeof(names) / sizeof(names[0]))

static bool take_value(const char **s, uint64_t *out)
{
	*s += strspn(*s, " ");
	if (!str_starts(*s, "unlimited"))
		return str_take_u64(s, 10, out);
	*s += strlen("unlimited");
	*out = RLIM64_INFINITY;
	return true;
}

/* "Max open files            1024                 524288               files" */
static bool take_line(const char *line, Rlimit *m)
{
	if (!str_starts(line, "Max "))
		return false;
	line += strlen("Max ");
	for (uint32_t i = 0; i < LIMITS; i++) {
		const char *s = line + strlen(names[i]);

		if (!str_starts(line, names[i]) || *s != ' ')
			continue;
		m->resource = i;
		return take_value(&s, &m->soft) && take_value(&s, &m->hard);
	}
	return false;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct arena *a = dump_arena(d);
	Rlimits *m = record;
	auto_buf b = { 0 };
	int rc = fd_read_file(v->proc, "limits", &b);
	const char *line = rc < 0 ? NULL : strchr(b.p, '\n');

	if (rc < 0)
		return fail(e, -rc, "read limits");
	m->limits = arena_alloc(a, LIMITS * sizeof(*m->limits));
	for (; line && line[1]; line = strchr(line + 1, '\n')) {
		Rlimit *one = arena_alloc(a, sizeof(*one));

		rlimit__init(one);
		if (m->n_limits == LIMITS || !take_line(line + 1, one))
			return fail(e, 0, "a limit that is not known: %.40s", line + 1);
		m->limits[m->n_limits++] = one;
	}
	if (m->n_limits != LIMITS)
		return fail(e, 0, "%zu limits, not %zu", m->n_limits, LIMITS);
	return 1;
}

static int check(const Rlimit *m, const struct host *h, struct error *e)
{
	const struct rlimit *now;

	if (m->resource >= LIMITS || m->soft > m->hard)
		return fail(e, 0, "limit %u: %" PRIu64 " of %" PRIu64, m->resource, m->soft,
			    m->hard);
	now = &h->limits[m->resource];
	if (m->hard <= now->rlim_max || h->cap_eff >> CAP_SYS_RESOURCE & 1)
		return 0;
	return fail(
		e, 0,
		"limit of %s: the hard limit was %" PRIu64 ", that of cr is %" PRIu64
		", and raising it needs CAP_SYS_RESOURCE; start cr with a limit that is not lower",
		names[m->resource], m->hard, (uint64_t)now->rlim_max);
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const struct host *h = restore_host(r);
	const Rlimits *m = record;

	(void)tid;
	for (size_t i = 0; i < m->n_limits; i++) {
		const Rlimit *l = m->limits[i];
		const uint64_t value[2] = { l->soft, l->hard };
		int rc = check(l, h, e);

		if (rc < 0)
			return rc;
		if (l->soft == h->limits[l->resource].rlim_cur &&
		    l->hard == h->limits[l->resource].rlim_max)
			continue;
		plan_note(p, "limit of %s (to raise a hard limit needs CAP_SYS_RESOURCE)",
			  names[l->resource]);
		plan_call_is(p, 0, SYS_prlimit64, arg_num(0), arg_num(l->resource),
			     arg_data(plan_data(p, value, sizeof(value))), arg_num(0));
	}
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_PROCESS,
	.stage = STAGE_LIMITS,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_rlimits = {
	.name = "rlimits",
	.record = { "RLIM", 1, &rlimits__descriptor },
	.task = &ops,
};
