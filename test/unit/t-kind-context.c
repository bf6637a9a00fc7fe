/* SPDX-License-Identifier: MIT */
/*
 * Registers: where the frame of a thread goes, which processor takes it, and what of a call or a
 * sequence that the dump has broken off.
 */
#include <linux/rseq.h>

#include "base/compat.h"
#include "context.pb-c.h"
#include "kind-room.h"
#include "mm.pb-c.h"
#include "proc/maps.h"
#include "tap.h"

/* --- where the frame goes ---------------------------------------------------------------------- */

#define XSIZE 832u /* with AVX: arch_frame_size gives 320 and this and 4 */
#define FRAME (320u + XSIZE + 4u)

struct stack_case {
	const char *about;
	uint64_t sp, alt, alt_size;
	uint32_t alt_flags;
	uint64_t want; /* the frame's address; 0: there is no room */
};

/* [1M, 2M) nothing to write, [2M, 3M) writable, [3M, 4M) a guard, [8M, 9M) grows down. */
static const struct stack_case stack_cases[] = {
	{ "below the red zone", 0x2ffff8, 0, 0, SS_DISABLE, (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "the red zone alone fits", 0x200100, 0, 0, SS_DISABLE, 0 },
	{ "exactly at the begin", 0x200000 + 1216 + 128, 0, 0, SS_DISABLE, 0x200000 },
	{ "one byte too low", 0x200000 + 1156 + 127, 0, 0, SS_DISABLE, 0 },
	{ "not writable", 0x1ffff8, 0, 0, SS_DISABLE, 0 },
	{ "nothing there", 0x7ffff8, 0, 0, SS_DISABLE, 0 },
	{ "no stack at all", 0, 0, 0, SS_DISABLE, 0 },
	{ "on the alternate stack", 0x2ffff8, 0x210000, 8192, 0, (0x212000 - FRAME) & ~63ull },
	{ "that helps a thread without a stack", 5, 0x210000, 8192, 0,
	  (0x212000 - FRAME) & ~63ull },
	{ "not on one that is switched off", 0x2ffff8, 0x210000, 8192, SS_DISABLE,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that is too small", 0x2ffff8, 0x210000, 1024, 0,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that cannot be written", 0x2ffff8, 0x110000, 8192, 0,
	  (0x2ffff8 - 128 - FRAME) & ~63ull },
	{ "not on one that is in use", 0x211ff8, 0x210000, 8192, 0,
	  (0x211ff8 - 128 - FRAME) & ~63ull },
	{ "but never below its begin", 0x210100, 0x210000, 8192, 0, 0 },
	{ "a stack that grows", 0x800100, 0, 0, SS_DISABLE, (0x800100 - 128 - FRAME) & ~63ull },
};

static Mapping mapping_of(uint64_t start, uint64_t end, uint32_t prot, uint64_t flags)
{
	Mapping m = MAPPING__INIT;

	m.start = start;
	m.end = end;
	m.prot = prot;
	m.flags = flags;
	return m;
}

static Mapping areas[] = { MAPPING__INIT, MAPPING__INIT, MAPPING__INIT, MAPPING__INIT };

static void restore_with_stacks(struct restore *r, Mm *mm, Thread *th)
{
	static Mapping *list[] = { &areas[0], &areas[1], &areas[2], &areas[3] };

	areas[0] = mapping_of(0x100000, 0x200000, PROT_READ, 0);
	areas[1] = mapping_of(0x200000, 0x300000, PROT_READ | PROT_WRITE, 0);
	areas[2] = mapping_of(0x300000, 0x400000, PROT_NONE, 0);
	areas[3] = mapping_of(0x800000, 0x900000, PROT_READ | PROT_WRITE, VMF(gd));
	r->host.xsave_mask = 7;
	r->host.xsave_size = XSIZE;
	mm__init(mm);
	mm->mappings = list;
	mm->n_mappings = 4;
	thread__init(th);
	th->mm = 1;
	*vec_add(&r->records) = (struct room_record){ "THRD", 7, th };
	*vec_add(&r->records) = (struct room_record){ "MMSP", 1, mm };
}

static void fill_context(Context *m, uint64_t *regs, uint8_t *xstate, const struct stack_case *s)
{
	const uint64_t mask = 7;

	memset(regs, 0, 27 * 8);
	memset(xstate, 0, XSIZE);
	memcpy(xstate + 464, &mask, sizeof(mask));
	regs[15] = ~0ull; /* orig_rax */
	regs[17] = 0x33;  /* cs */
	regs[19] = s->sp;
	regs[20] = 0x2b; /* ss */
	context__init(m);
	m->n_regs = 27;
	m->regs = regs;
	m->xstate = (ProtobufCBinaryData){ XSIZE, xstate };
	m->altstack_sp = s->alt;
	m->altstack_size = s->alt_size;
	m->altstack_flags = s->alt_flags;
}

static void frames_go_where_signals_go(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27];

	for (size_t i = 0; i < sizeof(stack_cases) / sizeof(stack_cases[0]); i++) {
		const struct stack_case *s = &stack_cases[i];
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;
		char want[64] = "no room for a signal frame";

		restore_with_stacks(&r, &mm, &th);
		fill_context(&m, regs, xstate, s);
		if (s->want)
			snprintf(want, sizeof(want), "leave(%#llx)", (unsigned long long)s->want);
		if (!strstr(room_plan_of(&r, "context", &m), want))
			printf("# %s: %s not %s\n", s->about, room_plan_of(&r, "context", &m),
			       want);
		CU_ASSERT_PTR_NOT_NULL(strstr(room_plan_of(&r, "context", &m), want));
		room_restore_free(&r);
	}
}

/* A machine whose extended state is smaller, or lacks a component; which matters if that is in use. */
static void another_processor_is_refused(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27], avx = 7;

	for (int i = 0; i < 4; i++) {
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;

		restore_with_stacks(&r, &mm, &th);
		fill_context(&m, regs, xstate, &stack_cases[0]);
		if (i & 1)
			memcpy(xstate + 512, &avx, sizeof(avx));
		r.host.xsave_size = i & 2 ? 576 : XSIZE;
		r.host.xsave_mask = i & 2 ? 3 : 7;
		CU_ASSERT_EQUAL(!strstr(room_plan_of(&r, "context", &m), "extended state"), i < 3);
		room_restore_free(&r);
	}
}

static void a_stack_grows_into_free_room(void)
{
	uint8_t xstate[XSIZE];
	uint64_t regs[27];
	struct stack_case s = { "", 0x800100, 0, 0, SS_DISABLE, 0 };

	for (int i = 0; i < 3; i++) {
		struct restore r = { 0 };
		Context m;
		Thread th;
		Mm mm;

		restore_with_stacks(&r, &mm, &th);
		/* another mapping too near below it; but one without access is no hindrance */
		areas[2].start = 0x600000;
		areas[2].end = i < 1 ? 0x6ff000 : 0x700000;
		areas[2].prot = i == 2 ? PROT_NONE : PROT_READ;
		fill_context(&m, regs, xstate, &s);
		CU_ASSERT_EQUAL(!strstr(room_plan_of(&r, "context", &m), "leave("), i == 1);
		room_restore_free(&r);
	}
}

/* A thread of this process that stands at `ip`, in its restartable sequence cs (or none). */
static int dump_context(uint64_t ip, uint64_t ax, uint64_t call, const struct rseq_cs *cs,
			Context *m, struct arena *a, struct error *e)
{
	static const stack_t alt = { .ss_flags = SS_DISABLE };
	struct rseq area = { .rseq_cs = (uint64_t)(uintptr_t)cs };
	struct held_thread held = { .n_regs = 27, .rseq_address = (uint64_t)(uintptr_t)&area };
	const int64_t result = 0;
	char stack[4096];
	struct dump d = { 0 };
	struct task_view v = {
		.pid = getpid(),
		.tid = getpid(),
		.held = &held,
		.n_ops = 1,
		.n_data = sizeof(alt),
		.results = &result,
		.data = (const uint8_t *)&alt,
	};
	int rc;

	memset(stack, 0, sizeof(stack));
	held.regs[10] = ax;
	held.regs[15] = call;
	held.regs[16] = ip;
	held.regs[17] = 0x33;
	held.regs[19] = (uint64_t)(uintptr_t)(stack + sizeof(stack));
	held.regs[20] = 0x2b;
	context__init(m);
	rc = room_kind("context")->task->dump(&d, &v, m, e);
	*a = d.arena;
	return rc;
}

static void a_restartable_sequence_is_aborted(void)
{
	static const struct rseq_cs cs __attribute__((aligned(32))) = {
		.start_ip = 0x1000,
		.post_commit_offset = 0x10,
		.abort_ip = 0x5000,
	};
	static const uint64_t ips[][2] = {
		{ 0xfff, 0xfff },
		{ 0x1000, 0x5000 },
		{ 0x100f, 0x5000 },
		{ 0x1010, 0x1010 },
	};
	struct error e = { 0 };
	struct arena a;
	Context m;

	for (size_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(dump_context(ips[i][0], 0, ~0ull, &cs, &m, &a, &e), 1);
		CU_ASSERT_EQUAL(m.regs[16], ips[i][1]);
		arena_free(&a);
		CU_ASSERT_EQUAL(dump_context(ips[i][0], 0, ~0ull, NULL, &m, &a, &e), 1);
		CU_ASSERT_EQUAL(m.regs[16], ips[i][0]);
		arena_free(&a);
	}
}

static void an_interrupted_call_is_made_again(void)
{
	struct error e = { 0 };
	struct arena a;
	Context m;

	CU_ASSERT_EQUAL(dump_context(0x2002, (uint64_t)-512, SYS_read, NULL, &m, &a, &e), 1);
	CU_ASSERT_EQUAL(m.regs[16], 0x2000);
	CU_ASSERT_EQUAL(m.regs[10], SYS_read);
	arena_free(&a);
	CU_ASSERT_EQUAL(dump_context(0x2002, (uint64_t)-EINTR, SYS_read, NULL, &m, &a, &e), 1);
	CU_ASSERT_EQUAL(m.regs[16], 0x2002);
	CU_ASSERT_EQUAL(m.regs[10], (uint64_t)-EINTR);
	arena_free(&a);
}

int main(void)
{
	CU_TestInfo frames[] = {
		{ "frames go where those of signals go", frames_go_where_signals_go },
		{ "another processor is refused", another_processor_is_refused },
		{ "a stack grows into free room", a_stack_grows_into_free_room },
		{ "a restartable sequence is aborted", a_restartable_sequence_is_aborted },
		{ "an interrupted call is made again", an_interrupted_call_is_made_again },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "frames", NULL, NULL, NULL, NULL, frames },
		CU_SUITE_INFO_NULL,
	};
	return tap_run(suites);
}
