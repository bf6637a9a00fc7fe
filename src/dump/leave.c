/* SPDX-License-Identifier: MIT */
/*
 * In the holder: a thread that was stopped inside the vDSO runs on for a moment, until it is stopped elsewhere.
 * From in there it could not go on on another kernel, whose vDSO is another. Single steps would not do: the
 * functions begin again when the clock ticks meanwhile, and each step ends with a forced SIGTRAP.
 */
#include <errno.h>
#include <unistd.h>

#include "arch/arch.h"
#include "dump/holder.h"

#define MAX_TRIES 100u /* one that does nothing but ask for the time is outside in one of three */
#define PAUSE_US 20u   /* on one processor it would not run at all otherwise */

static const struct holder_vdso *vdso_of(const struct holder_page *page, int pid)
{
	for (uint32_t i = 0; i < page->n_vdsos; i++) {
		if (page->vdsos[i].pid == pid)
			return &page->vdsos[i];
	}
	return NULL;
}

static bool is_inside(const struct holder_vdso *v, const struct held_thread *t)
{
	return arch_ip(t->regs) >= v->start && arch_ip(t->regs) < v->end;
}

static int run_on(struct held *h, const struct trace_watch *w, struct error *e)
{
	int tid = h->thread.tid, rc = trace_run(tid, false, 0, e);

	if (rc < 0)
		return rc;
	usleep(PAUSE_US);
	rc = trace_interrupt(tid);
	if (rc < 0 && rc != -ESRCH)
		return fail(e, -rc, "stop thread %d", tid);
	rc = freeze_next_stop(h, w, e);
	if (rc < 0 || rc == TRACE_GONE)
		return rc;
	rc = trace_read_thread(&h->thread, HOLDER_XSTATE_ROOM, e);
	return rc < 0 ? rc : TRACE_STOP;
}

int freeze_leave_vdso(const struct holder_page *page, struct held *h, const struct trace_watch *w,
		      struct error *e)
{
	uint64_t ip = arch_ip(h->thread.regs);
	const struct holder_vdso *v;
	int rc = TRACE_STOP;

	if (ip < page->vdso_low || ip >= page->vdso_high)
		return rc;
	v = vdso_of(page, h->pid);
	/* Job control has stopped it: then it must not run. */
	for (unsigned int i = 0; i < MAX_TRIES && rc == TRACE_STOP; i++) {
		if (!v || !is_inside(v, &h->thread) || h->thread.stop_signal)
			break;
		rc = run_on(h, w, e);
	}
	return rc;
}
