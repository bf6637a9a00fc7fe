/* SPDX-License-Identifier: MIT */
/*
 * What the kernel keeps of a thread in a signal frame: registers, extended state, signal mask,
 * alternate stack. A thread comes back by rt_sigreturn from such a frame, which lies where the frame
 * of a real signal would: on the alternate stack if there is one that is not in use, else below the
 * red zone of the stack.
 */
#include "kind.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "context.pb-c.h"
#include "dump/api.h"
#include "mm.pb-c.h"
#include "process.pb-c.h"
#include "proc/maps.h"
#include "restore/api.h"
#include "restore/host.h"

#define SS_AUTODISARM_FLAG (1u << 31)

/* The kernel keeps 256 pages free below a growing stack (boot parameter stack_guard_gap). */
#define GROW_GAP (256u * 4096u)

/* --- where the frame goes ---------------------------------------------------------------------- */

struct frame_place {
	uint64_t at, end;
	uint64_t stack; /* an address of the stack that it belongs to */
};

/* The places in the order in which they are to be tried: at most two. */
static unsigned int frame_places(uint64_t sp, const Context *m, struct frame_place out[2])
{
	uint64_t low = m->altstack_sp, size = m->altstack_size;
	uint32_t xsize = (uint32_t)m->xstate.len;
	bool alt = !(m->altstack_flags & SS_DISABLE) && size && low + size > low;
	bool on_alt = alt && sp > low && sp - low <= size;
	size_t frame = arch_frame_size(xsize);
	unsigned int n = 0;

	if (alt && !on_alt) {
		uint64_t at = arch_frame_place(low + size, xsize);

		if (at >= low && at < low + size)
			out[n++] = (struct frame_place){ at, at + frame, at };
	}
	if (sp > frame + ARCH_RED_ZONE + 64) {
		uint64_t at = arch_frame_place(sp - ARCH_RED_ZONE, xsize);

		if (!on_alt || at >= low)
			out[n++] = (struct frame_place){ at, at + frame, sp - 1 };
	}
	return n;
}

static int no_place(uint64_t sp, const Context *m, struct error *e)
{
	return fail(e, 0,
		    "no room for a signal frame of %zu bytes below its stack pointer %#llx, and no "
		    "alternate stack (sigaltstack) that could take one",
		    arch_frame_size((uint32_t)m->xstate.len), (unsigned long long)sp);
}

/* A mapping, from /proc or from the image. */
struct area {
	uint64_t start, end;
	bool writable, accessible, grows;
};

/*
 * Whether the frame fits into `a`, which holds the stack; before: the mapping below it (end 0: none).
 * A stack that grows may grow for it, as it would for a signal.
 */
static bool fits(const struct frame_place *f, const struct area *a, const struct area *before)
{
	uint64_t page = f->at & ~4095ull;

	if (!a->writable || f->stack < a->start || f->end > a->end)
		return false;
	if (f->at >= a->start)
		return true;
	if (!a->grows)
		return false;
	return before->end <= page && (!before->accessible || page - before->end >= GROW_GAP);
}

/* --- dump -------------------------------------------------------------------------------------- */

static void ask(struct plan *batch, const struct task_view *v)
{
	(void)v;
	plan_call_any(batch, SYS_sigaltstack, arg_num(0),
		      arg_data(plan_data(batch, NULL, sizeof(stack_t))));
}

static bool is_readable(int pid, uint64_t first, uint64_t last)
{
	char bytes[2];
	struct iovec to = { bytes, 2 };
	struct iovec from[2] = { { (void *)first, 1 }, { (void *)last, 1 } };

	return process_vm_readv(pid, &to, 1, from, 2, 0) == 2;
}

static struct area vma_area(const struct vma *v)
{
	return (struct area){ v->start, v->end, v->prot & PROT_WRITE, v->prot != PROT_NONE,
			      !strcmp(v->name, "[stack]") };
}

/* A guard region in the stack is seen in no list of mappings, but cannot be read. */
static bool is_guarded(const struct task_view *v, const struct frame_place *f, const struct vma *a)
{
	return a->prot & PROT_READ && f->at >= a->start && !is_readable(v->tid, f->at, f->end - 1);
}

static int check_maps(struct dump *d, const struct task_view *v, const struct frame_place *f,
		      unsigned int n, struct error *e)
{
	struct maps maps = { 0 };
	bool found = false;
	int rc = maps_read(v->proc, dump_arena(d), &maps, e);

	for (unsigned int i = 0; i < n && rc == 0 && !found; i++) {
		const struct vma *a = maps_find(&maps, f[i].stack);
		struct area before = { 0 };

		if (a && a > maps.list.v)
			before = vma_area(a - 1);
		if (a) {
			struct area area = vma_area(a);

			found = fits(&f[i], &area, &before) && !is_guarded(v, &f[i], a);
		}
	}
	maps_free(&maps);
	return rc < 0 ? rc : found;
}

/* Both ends of a frame can nearly always be read, which is one call; the list of mappings is long. */
static int check_place(struct dump *d, const struct task_view *v, const Context *m, struct error *e)
{
	uint64_t sp = arch_sp(m->regs);
	struct frame_place f[2];
	unsigned int n = frame_places(sp, m, f);
	int rc;

	if (n && is_readable(v->tid, f[0].at, f[0].end - 1))
		return 0;
	rc = check_maps(d, v, f, n, e);
	if (rc < 0)
		return rc;
	return rc ? 0 : no_place(sp, m, e);
}

/*
 * A thread that was stopped within a restartable sequence is sent to its abort handler by the kernel
 * before it runs on; but a new registration forgets the sequence. So it is sent there now.
 */
static int abort_rseq(const struct task_view *v, uint64_t *regs, struct error *e)
{
	/* struct rseq_cs of <linux/rseq.h>; the pointer to it stands at byte 8 of struct rseq */
	struct {
		uint32_t version, flags;
		uint64_t start_ip, post_commit_offset, abort_ip;
	} cs;
	uint64_t at = 0;
	struct iovec to = { &at, sizeof(at) };
	struct iovec from = { (void *)(v->held->rseq_address + 8), sizeof(at) };

	if (!v->held->rseq_address)
		return 0;
	if (process_vm_readv(v->tid, &to, 1, &from, 1, 0) != sizeof(at))
		return fail(e, errno, "read its rseq area");
	if (!at)
		return 0;
	to = (struct iovec){ &cs, sizeof(cs) };
	from = (struct iovec){ (void *)at, sizeof(cs) };
	if (process_vm_readv(v->tid, &to, 1, &from, 1, 0) != sizeof(cs))
		return fail(e, errno, "read the restartable sequence at %#llx",
			    (unsigned long long)at);
	if (arch_ip(regs) - cs.start_ip < cs.post_commit_offset)
		arch_set_ip(regs, cs.abort_ip);
	return 0;
}

/* The first instruction that makes a system call which is not dispatched; 0: none. */
static uint64_t find_exempt(const struct task_view *v, uint64_t from, uint64_t to)
{
	const struct held_dispatch *h = &v->held->dispatch;
	uint8_t bytes[4096] = { 0 };

	while (from < to) {
		struct iovec there = { (void *)from, to - from < 4096 ? to - from : 4096 };
		struct iovec here = { bytes, there.iov_len };
		ssize_t n = process_vm_readv(v->pid, &here, 1, &there, 1, 0);

		for (ssize_t i = 0; i + (ssize_t)arch_call_size <= n; i++)
			/* The kernel looks at the address behind it. */
			if (!memcmp(bytes + i, arch_call_bytes, arch_call_size) &&
			    from + (uint64_t)i + arch_call_size - h->offset < h->length)
				return from + (uint64_t)i;
		if (n < (ssize_t)arch_call_size)
			break;
		from += (uint64_t)n - (arch_call_size - 1);
	}
	return 0;
}

/*
 * Where the thread's calls are dispatched to itself, rt_sigreturn has to come from the exempt range: any
 * instruction there that makes a system call will do, since this one does not return.
 */
static int find_exempt_call(struct dump *d, const struct task_view *v, uint64_t *out,
			    struct error *e)
{
	uint64_t offset = v->held->dispatch.offset;
	struct maps maps = { 0 };
	int rc = maps_read(v->proc, dump_arena(d), &maps, e);

	*out = 0;
	for (size_t i = 0; i < maps.list.n && rc >= 0 && !*out; i++) {
		const struct vma *a = &maps.list.v[i];

		if (a->prot & PROT_EXEC && a->prot & PROT_READ && a->name[0] != '[')
			*out = find_exempt(v,
					   offset > a->start && offset < a->end ? offset : a->start,
					   a->end);
	}
	maps_free(&maps);
	if (rc >= 0 && !*out)
		return fail(
			e, 0,
			"its system calls are dispatched to itself "
			"(PR_SET_SYSCALL_USER_DISPATCH), and no instruction that could bring it "
			"back is exempt; try again when its selector allows calls");
	return rc;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	const struct held_thread *h = v->held;
	Context *m = record;
	stack_t alt;
	int rc;

	if (task_answer(v, 0) < 0)
		return fail(e, (int)-task_answer(v, 0), "sigaltstack");
	if (h->n_regs != arch_n_regs() || !arch_is_native(h->regs))
		return fail(
			e, 0,
			"it does not run 64-bit code of this architecture, and other code cannot "
			"be saved yet");
	if (arch_has_tiles(h->xstate, h->xstate_size))
		return fail(e, 0, "it uses AMX tiles, which cannot be saved yet");
	memcpy(&alt, task_answer_data(v, 0), sizeof(alt));
	m->n_regs = h->n_regs;
	m->regs = arena_copy(dump_arena(d), h->regs, h->n_regs * sizeof(*m->regs));
	m->xstate.data = h->xstate;
	m->xstate.len = h->xstate_size;
	m->sigmask = h->sigmask;
	m->altstack_sp = (uint64_t)(uintptr_t)alt.ss_sp;
	m->altstack_size = alt.ss_size;
	m->altstack_flags = (uint32_t)alt.ss_flags & (SS_DISABLE | SS_AUTODISARM_FLAG);
	rc = abort_rseq(v, m->regs, e);
	if (rc >= 0 && h->dispatch.is_on && h->dispatch.is_blocked) {
		m->has_leave_at = true;
		rc = find_exempt_call(d, v, &m->leave_at, e);
	}
	if (rc < 0)
		return rc;
	/*
	 * The remaining time of a relative sleep that was interrupted is known to the kernel alone
	 * (ERESTART_RESTARTBLOCK): such a call is made anew with its original arguments, so nanosleep
	 * waits its whole time again. Calls with an absolute time are exact.
	 */
	arch_restart(m->regs);
	rc = check_place(d, v, m, e);
	return rc < 0 ? rc : 1;
}

/* --- restore ----------------------------------------------------------------------------------- */

static struct area mapping_area(const Mapping *m)
{
	return (struct area){ m->start, m->end, m->prot & PROT_WRITE, m->prot != PROT_NONE,
			      m->flags & VMF(gd) };
}

static bool is_guarded_in_image(const Mm *mm, const struct frame_place *f)
{
	for (size_t i = 0; i < mm->n_guards; i++)
		if (mm->guards[i]->start < f->end &&
		    f->at < mm->guards[i]->start + mm->guards[i]->length)
			return true;
	return false;
}

static bool fits_image(const Mm *mm, const struct frame_place *f)
{
	struct area before = { 0 };

	if (is_guarded_in_image(mm, f))
		return false;
	for (size_t i = 0; i < mm->n_mappings; i++) {
		struct area a = mapping_area(mm->mappings[i]);

		if (f->stack < a.end)
			return fits(f, &a, &before);
		before = a;
	}
	return false;
}

static int find_place(struct restore *r, const Context *m, uint32_t tid, uint64_t *at,
		      struct error *e)
{
	const Thread *th = restore_record(r, "THRD", tid);
	const Mm *mm = th ? restore_record(r, "MMSP", th->mm) : NULL;
	uint64_t sp = arch_sp(m->regs);
	struct frame_place f[2];
	unsigned int n = frame_places(sp, m, f);

	if (!mm)
		return fail(e, 0, "the image has no address space of it");
	for (unsigned int i = 0; i < n; i++) {
		*at = f[i].at;
		if (fits_image(mm, &f[i]))
			return 0;
	}
	return no_place(sp, m, e);
}

/* Another processor may hold less, or more. *fit: of the image, or a copy for this one. */
static int fit_xstate(struct restore *r, const Context *m, ProtobufCBinaryData *fit,
		      struct error *e)
{
	const struct host *h = restore_host(r);
	uint32_t size = (uint32_t)m->xstate.len;
	int rc;

	*fit = m->xstate;
	if (size == h->xsave_size && arch_xsave_mask(fit->data, size) == h->xsave_mask)
		return 0;
	fit->data = arena_copy(restore_arena(r), m->xstate.data, size);
	rc = arch_xstate_fit(fit->data, &size, h->xsave_mask, h->xsave_size, e);
	fit->len = size;
	return rc;
}

static int check_ip(struct restore *r, const Context *m, uint32_t tid, struct error *e)
{
	const Thread *th = restore_record(r, "THRD", tid);

	return th ? restore_check_ip(r, th->mm, arch_ip(m->regs), e) : 0;
}

/* What needs a system call. */
static int emit_bases(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		      struct error *e)
{
	const Context *m = record;

	(void)r;
	(void)tid;
	if (m->n_regs != arch_n_regs())
		return fail(e, 0, "%zu registers in the image", m->n_regs);
	plan_note(p, "segment bases");
	arch_emit_bases(p, arch_fs_base(m->regs), arch_gs_base(m->regs));
	return 0;
}

static int emit_leave(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		      struct error *e)
{
	Context fit = *(const Context *)record, *m = &fit;
	uint64_t at = 0, frame = 0;
	uint32_t xsize;
	void *held;
	int rc;

	if (m->xstate.len > UINT32_MAX / 2)
		return fail(e, 0, "%zu bytes of extended state in the image", m->xstate.len);
	rc = fit_xstate(r, record, &fit.xstate, e);
	xsize = (uint32_t)fit.xstate.len;
	if (rc >= 0)
		rc = check_ip(r, m, tid, e);
	if (rc < 0)
		return rc;
	held = restore_stop_frame(r, tid, arch_frame_size(xsize), &at);
	if (!held) {
		rc = find_place(r, m, tid, &at, e);
		if (rc < 0)
			return rc;
		frame = plan_data(p, NULL, arch_frame_size(xsize));
	}
	rc = arch_frame_build(held ? held : p->data.p + frame, at, m->regs, (uint32_t)m->n_regs,
			      m->xstate.data, xsize, m->sigmask, m->altstack_sp, m->altstack_size,
			      m->altstack_flags, e);
	if (rc < 0)
		return rc;
	plan_note(p, "back into the program");
	if (!held)
		plan_op(p, CR_RST_COPY, 0,
			PLAN_ARGS(arg_num(at), arg_data(frame), arg_num(arch_frame_size(xsize))),
			CR_RST_WANT_OK, 0);
	plan_op(p, CR_RST_LEAVE, 0, PLAN_ARGS(arg_num(at), arg_num(m->leave_at)), CR_RST_WANT_OK,
		0);
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_LIBC,
	.ask = ask,
	.dump = dump,
	.emit = emit_bases,
	.late_stage = STAGE_LEAVE,
	.emit_late = emit_leave,
};

const struct kind kind_context = {
	.name = "context",
	.record = { "CTXT", 1, &context__descriptor },
	.task = &ops,
};
