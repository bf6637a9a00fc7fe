/* SPDX-License-Identifier: MIT */
/*
 * Signals that are pending: those of a thread, and with the leader those of the process. Each is queued
 * again with all that it carries, by the thread itself, since only to itself a task may send what looks
 * like coming from the kernel. What a POSIX timer has sent is queued by the timer.
 */
#include "kind.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dump/api.h"
#include "proc/timers.h"
#include "restore/api.h"
#include "sigpending.pb-c.h"

#define SIGNALS 64u
/* siginfo_t of 64-bit programs: three numbers, padding, and what depends on the signal. */
#define FIELDS_AT 16u
#define FIELDS_MAX (sizeof(siginfo_t) - FIELDS_AT)

/* --- signals of timers that are gone ------------------------------------------------------------ */

/* The signal of a timer that is deleted while it is pending, in a thread that has it blocked. */
static bool is_dropped(const sigset_t *set)
{
	const struct timespec soon = { .tv_nsec = 1000 }, now = { 0 };
	const struct itimerspec set_soon = { .it_value = soon };
	struct sigevent to_me = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	sigset_t pending;
	siginfo_t si;
	int id;

	to_me._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &to_me, &id) < 0)
		return false;
	if (syscall(SYS_timer_settime, id, 0, &set_soon, NULL) < 0)
		return false;
	do {
		nanosleep(&soon, NULL);
		sigpending(&pending);
	} while (!sigismember(&pending, SIGRTMIN));
	syscall(SYS_timer_delete, id);
	return sigtimedwait(set, &si, &now) < 0;
}

/* Since 6.13 the kernel drops the pending signal of a timer that has been deleted or set anew when its turn
 * comes; till then it is listed among the pending ones. Before, it is delivered. Rare enough to be tried. */
static bool drops_signals(void)
{
	sigset_t set, before;
	bool is;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &before);
	is = is_dropped(&set);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return is;
}

/* --- dump -------------------------------------------------------------------------------------- */

static void add(struct arena *a, PendingSignal **list, size_t *n, const siginfo_t *si)
{
	const uint8_t *fields = (const uint8_t *)si + FIELDS_AT;
	PendingSignal *to = arena_alloc(a, sizeof(*to));
	size_t len = FIELDS_MAX;

	while (len && !fields[len - 1])
		len--;
	pending_signal__init(to);
	to->signal = (uint32_t)si->si_signo;
	to->error = si->si_errno;
	to->code = si->si_code;
	to->fields.len = len;
	to->fields.data = arena_alloc(a, len + 1);
	memcpy(to->fields.data, fields, len);
	list[(*n)++] = to;
}

static PendingSignal **add_queue(struct arena *a, const struct held_signals *q,
				 const struct proc_timers *timers, size_t *n)
{
	PendingSignal **list = arena_alloc(a, (q->n + 1) * sizeof(*list));

	for (uint32_t i = 0; i < q->n; i++) {
		const siginfo_t *si = &q->list[i];

		if (si->si_code == SI_TIMER &&
		    (timers_find(timers, si->si_timerid) || drops_signals()))
			continue;
		add(a, list, n, si);
	}
	return list;
}

static bool has_code(const struct held_signals *q, int code)
{
	for (uint32_t i = 0; i < q->n; i++) {
		if (q->list[i].si_code == code)
			return true;
	}
	return false;
}

static bool has_signal(const struct held_signals *q, int signal)
{
	for (uint32_t i = 0; i < q->n; i++) {
		if (q->list[i].si_signo == signal)
			return true;
	}
	return false;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	const struct held_signals *own = &v->held->pending, *shared = &v->held->shared;
	struct proc_timers timers = { 0 };
	SigPending *m = record;
	int rc = 0;

	if (!own->n && !shared->n)
		return 0;
	if (has_signal(own, SIGSTOP) || has_signal(shared, SIGSTOP))
		return fail(e, 0, "SIGSTOP has come in this moment; try again");
	if (has_code(own, SI_TIMER) || has_code(shared, SI_TIMER))
		rc = timers_read(v->proc, dump_arena(d), &timers, e);
	if (rc < 0)
		return rc;
	m->process = (uint32_t)v->pid;
	m->own = add_queue(dump_arena(d), own, &timers, &m->n_own);
	m->shared = add_queue(dump_arena(d), shared, &timers, &m->n_shared);
	return m->n_own || m->n_shared;
}

/* --- restore ----------------------------------------------------------------------------------- */

static int check(const PendingSignal *s, struct error *e)
{
	if (s->signal < 1 || s->signal > SIGNALS || s->signal == SIGKILL || s->signal == SIGSTOP)
		return fail(e, 0, "signal %u cannot be pending", s->signal);
	if (s->fields.len > FIELDS_MAX)
		return fail(e, 0, "signal %u with %zu bytes of information", s->signal,
			    s->fields.len);
	return 0;
}

static int emit_queue(struct restore *r, struct plan *p, PendingSignal *const *list, size_t n,
		      uint32_t process, uint32_t tid, struct error *e)
{
	for (size_t i = 0; i < n; i++) {
		const PendingSignal *s = list[i];
		siginfo_t si = { .si_signo = (int)s->signal };
		struct arg info;
		int rc = check(s, e);

		if (rc < 0)
			return rc;
		si.si_errno = s->error;
		si.si_code = s->code;
		if (s->fields.len)
			memcpy((uint8_t *)&si + FIELDS_AT, s->fields.data, s->fields.len);
		restore_keep_blocked(r, s->signal);
		info = arg_data(plan_data(p, &si, sizeof(si)));
		plan_note(p, "pending signal %u (RLIMIT_SIGPENDING has to allow it)", s->signal);
		if (process)
			plan_call_is(p, 0, SYS_rt_tgsigqueueinfo, arg_num(process), arg_num(tid),
				     arg_num(s->signal), info);
		else
			plan_call_is(p, 0, SYS_rt_sigqueueinfo, arg_num(tid), arg_num(s->signal),
				     info);
	}
	return 0;
}

/* All are blocked meanwhile, and so queued even if they are ignored. */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const SigPending *m = record;
	int rc;

	if (!m->process || (m->n_shared && m->process != tid))
		return fail(e, 0, "signals of process %u, which is not that of the thread",
			    m->process);
	rc = emit_queue(r, p, m->own, m->n_own, m->process, tid, e);
	return rc < 0 ? rc : emit_queue(r, p, m->shared, m->n_shared, 0, tid, e);
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_SIGNALS,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_sigpending = {
	.name = "sigpending",
	.record = { "SIGP", 1, &sig_pending__descriptor },
	.task = &ops,
};
