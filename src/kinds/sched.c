/* SPDX-License-Identifier: MIT */
/* Scheduling of a thread: policy, nice, affinity, priority of input and output, timer slack. */
#include "kind.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dump/api.h"
#include "restore/api.h"
#include "restore/host.h"
#include "sched.pb-c.h"

#define SCHED_LAST 7u     /* SCHED_EXT */
#define AFFINITY_MAX 128u /* bytes, as struct host has room for */

/* struct sched_attr of <linux/sched/types.h> as of 5.3, which cannot be included beside <sched.h> */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct attributes) == 56, "kernel ABI");
#define RESET_ON_FORK 1u      /* SCHED_FLAG_... */
#define OF_DEADLINE (2u | 4u) /* RECLAIM, DL_OVERRUN */
#define KEEP_ALL (8u | 16u)
#define UTIL_CLAMP (32u | 64u)

/* Neither a nice value nor timer slack means anything to them. */
static bool is_realtime(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

/* Utilisation clamps; max 0: the kernel has none (CONFIG_UCLAMP_TASK). */
struct clamps {
	uint32_t min, max;
};

/* FIFO and RR threads ask for all that there is (sched_util_clamp_min_rt_default). */
static struct clamps default_clamps(uint32_t policy)
{
	return (struct clamps){ policy == SCHED_FIFO || policy == SCHED_RR ? 1024 : 0, 1024 };
}

static bool is_default(struct clamps c, uint32_t policy)
{
	struct clamps d = default_clamps(policy);

	return !c.max || (c.min == d.min && c.max == d.max);
}

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_prctl, arg_num(PR_GET_TIMERSLACK));
}

static int dump_affinity(struct arena *a, int tid, Sched *m, struct error *e)
{
	uint8_t bits[AFFINITY_MAX];
	long n = syscall(SYS_sched_getaffinity, tid, sizeof(bits), bits);

	if (n < 0)
		return fail(e, errno, "sched_getaffinity");
	m->affinity.len = (size_t)n;
	m->affinity.data = arena_copy(a, bits, (size_t)n);
	return 0;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	struct attributes attr = { .size = sizeof(attr) };
	Sched *m = record;
	int64_t slack = task_answer(v, 0);
	long io;
	int rc;

	if (syscall(SYS_sched_getattr, v->tid, &attr, sizeof(attr), 0) < 0)
		return fail(e, errno, "sched_getattr");
	io = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, v->tid);
	if (io < 0)
		return fail(e, errno, "ioprio_get");
	if (slack < 0)
		return fail(e, (int)-slack, "PR_GET_TIMERSLACK");
	m->policy = attr.policy;
	m->flags = attr.flags & RESET_ON_FORK;
	m->priority = attr.priority;
	if (attr.policy == SCHED_DEADLINE) {
		m->flags = attr.flags & (RESET_ON_FORK | OF_DEADLINE);
		m->has_runtime_ns = m->has_deadline_ns = m->has_period_ns = true;
		m->runtime_ns = attr.runtime;
		m->deadline_ns = attr.deadline;
		m->period_ns = attr.period;
	}
	if (!is_default((struct clamps){ attr.util_min, attr.util_max }, attr.policy)) {
		m->has_util_min = m->has_util_max = true;
		m->util_min = attr.util_min;
		m->util_max = attr.util_max;
	}
	m->nice = (int32_t)v->stat->nice;
	m->io_priority = (uint32_t)io;
	m->timer_slack_ns = (uint64_t)slack;
	rc = dump_affinity(dump_arena(d), v->tid, m, e);
	return rc < 0 ? rc : 1;
}

/* sched_setattr sets the nice value for SCHED_OTHER and SCHED_BATCH only; SCHED_IDLE has one too. */
static void emit_policy(struct plan *p, const Sched *m, const struct host *h)
{
	struct attributes attr = {
		.size = sizeof(attr),
		.policy = m->policy,
		.flags = m->flags,
		.nice = is_realtime(m->policy) ? 0 : m->nice,
		.priority = m->priority,
		.runtime = m->runtime_ns,
		.deadline = m->deadline_ns,
		.period = m->period_ns,
	};

	plan_note(p, "nice %d (to lower it needs CAP_SYS_NICE)", m->nice);
	if (m->nice != h->nice)
		plan_call_is(p, 0, SYS_setpriority, arg_num(PRIO_PROCESS), arg_num(0),
			     arg_num((uint64_t)(int64_t)m->nice));
	if (m->policy == h->policy && m->flags == (h->sched_flags & RESET_ON_FORK) &&
	    m->priority == h->priority)
		return;
	if (m->policy == SCHED_DEADLINE)
		plan_note(p, "deadline scheduling (needs CAP_SYS_NICE, all processors, and time "
			     "that is not promised to others)");
	else
		plan_note(
			p,
			"scheduling policy %u, priority %u, nice %d (to raise them needs CAP_SYS_NICE)",
			m->policy, m->priority, m->nice);
	plan_call_is(p, 0, SYS_sched_setattr, arg_num(0),
		     arg_data(plan_data(p, &attr, sizeof(attr))), arg_num(0));
}

/* A clamp is inherited; as long as it is the default it goes with the policy. */
static void emit_clamps(struct plan *p, const Sched *m, const struct host *h)
{
	struct clamps own = default_clamps(m->policy), have = { h->util_min, h->util_max };
	struct attributes attr = { .size = sizeof(attr), .flags = KEEP_ALL | UTIL_CLAMP };

	if (m->has_util_min && m->has_util_max)
		own = (struct clamps){ m->util_min, m->util_max };
	if (is_default(have, h->policy))
		have = default_clamps(m->policy);
	if (own.min == have.min && own.max == have.max)
		return;
	attr.util_min = own.min;
	attr.util_max = own.max;
	plan_note(p, "utilisation clamps %u to %u", own.min, own.max);
	plan_call_is(p, 0, SYS_sched_setattr, arg_num(0),
		     arg_data(plan_data(p, &attr, sizeof(attr))), arg_num(0));
}

static bool is_same_affinity(const Sched *m, const struct host *h)
{
	size_t n = m->affinity.len < h->affinity_size ? m->affinity.len : h->affinity_size;
	bool same = !n || !memcmp(m->affinity.data, h->affinity, n);

	for (size_t i = n; i < m->affinity.len; i++)
		same = same && !m->affinity.data[i];
	for (size_t i = n; i < h->affinity_size; i++)
		same = same && !h->affinity[i];
	return same;
}

static bool is_sound(const Sched *m)
{
	bool deadline = m->policy == SCHED_DEADLINE;
	uint64_t flags = RESET_ON_FORK | (deadline ? OF_DEADLINE : 0);

	return m->affinity.len <= AFFINITY_MAX && m->policy <= SCHED_LAST && m->nice >= -20 &&
	       m->nice <= 19 && !(m->flags & ~flags) && m->util_min <= 1024 &&
	       m->util_max <= 1024 && deadline == (bool)m->has_runtime_ns;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const struct host *h = restore_host(r);
	const Sched *m = record;

	(void)tid;
	if (!is_sound(m))
		return fail(e, 0, "policy %u, flags %#llx, nice %d, %zu bytes of affinity",
			    m->policy, (unsigned long long)m->flags, m->nice, m->affinity.len);
	plan_note(p, "affinity (of the processors it had, one must be there)");
	if (!is_same_affinity(m, h))
		plan_call_is(p, 0, SYS_sched_setaffinity, arg_num(0), arg_num(m->affinity.len),
			     arg_data(plan_data(p, m->affinity.data, m->affinity.len)));
	/* In its own context, as a copy, it can have that of whoever has made it. */
	plan_note(p, "input and output priority");
	if (m->io_priority != h->io_priority || restore_has_shared_io(r))
		plan_call_is(p, 0, SYS_ioprio_set, arg_num(IOPRIO_WHO_PROCESS), arg_num(0),
			     arg_num(m->io_priority));
	/* With a real-time policy the slack is 0, and since 6.13 it cannot be set. */
	plan_note(p, "timer slack");
	if (!is_realtime(m->policy) && m->timer_slack_ns != h->timer_slack_ns)
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_TIMERSLACK),
			     arg_num(m->timer_slack_ns));
	emit_policy(p, m, h);
	emit_clamps(p, m, h);
	return 0;
}

/* There is a context to be shared when it has a priority. */
static int emit_context(struct restore *r, struct plan *p, const void *record, uint32_t tid,
			struct error *e)
{
	const Sched *m = record;

	(void)e;
	if (!restore_shares_io(r, tid))
		return 0;
	plan_note(p, "input and output priority, for the context that others share");
	plan_call_is(p, 0, SYS_ioprio_set, arg_num(IOPRIO_WHO_PROCESS), arg_num(0),
		     arg_num(m->io_priority));
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	/* before the change of credentials takes the right away */
	.stage = STAGE_LIMITS,
	.ask = ask,
	.dump = dump,
	.emit = emit,
	.late_stage = STAGE_BIRTHS,
	.emit_late = emit_context,
};

const struct kind kind_sched = {
	.name = "sched",
	.record = { "SCHD", 1, &sched__descriptor },
	.task = &ops,
};
