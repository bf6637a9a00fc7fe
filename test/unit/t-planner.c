/* SPDX-License-Identifier: MIT */
/*
 * The planner: the hole, and golden plans for an image and a machine made by hand. No call is made.
 * CR_WRITE_GOLDEN=1 writes test/data/plan-*.txt anew; read the difference before it is committed.
 */
#include <errno.h>

#include "personality.pb-c.h"
#include "plan-room.h"
#include "restore/shmem.h"
#include "sched.pb-c.h"
#include "tty.pb-c.h"

/* --- the hole ---------------------------------------------------------------------------------- */

#define LOW 0x10000ull
#define HIGH 0x1000000ull

static void hole_of_empty(void)
{
	CU_ASSERT_EQUAL(hole_find(NULL, 0, LOW, HIGH, 0x1000, 0), HIGH - 0x1000);
	CU_ASSERT_EQUAL(hole_find(NULL, 0, LOW, HIGH, HIGH - LOW, 0), LOW);
	CU_ASSERT_EQUAL(hole_find(NULL, 0, LOW, HIGH, HIGH - LOW + 0x1000, 0), 0);
}

static void hole_is_the_highest(void)
{
	const struct host_range taken[] = {
		{ 0xf00000, 0xfff000 },
		{ 0x20000, 0x30000 },
		{ 0x28000, 0x40000 },
		{ 0x20000, 0x30000 },
	};

	CU_ASSERT_EQUAL(hole_find(taken, 4, LOW, HIGH, 0x1000, 0), 0xfff000);
	CU_ASSERT_EQUAL(hole_find(taken, 4, LOW, HIGH, 0x2000, 0), 0xefe000);
}

static void hole_keeps_the_guard(void)
{
	const struct host_range taken[] = { { 0xf00000, HIGH } };

	CU_ASSERT_EQUAL(hole_find(taken, 1, LOW, HIGH, 0x1000, 0x10000), 0xeef000);
}

static void hole_between(void)
{
	const struct host_range taken[] = { { LOW, 0x50000 }, { 0x53000, HIGH } };

	CU_ASSERT_EQUAL(hole_find(taken, 2, LOW, HIGH, 0x3000, 0), 0x50000);
	CU_ASSERT_EQUAL(hole_find(taken, 2, LOW, HIGH, 0x4000, 0), 0);
	/* a range that begins before the lowest and one behind the highest address */
	CU_ASSERT_EQUAL(hole_find((struct host_range[]){ { 0, 0x20000 }, { HIGH, HIGH * 2 } }, 2,
				  LOW, HIGH, HIGH - 0x20000, 0),
			0x20000);
}

/* --- golden plans ------------------------------------------------------------------------------ */

static void golden_of(const char *name, bool child, void (*change)(struct restore *r))
{
	struct restore r;
	struct error e = { 0 };
	auto_buf out = { 0 };
	int rc;

	make(&r, child);
	if (change)
		change(&r);
	rc = tree_build(&r, &e);
	if (rc == 0)
		shmem_link(&r);
	if (rc == 0)
		rc = planner_run(&r, &e);
	if (rc < 0)
		printf("# %s\n", e.text);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	print(&r, &out);
	compare(name, &out);
	unmake(&r);
}

static void golden(const char *name, bool child)
{
	golden_of(name, child, NULL);
}

static void golden_threads(void)
{
	golden("plan-threads.txt", false);
}

static void golden_child(void)
{
	golden("plan-child.txt", true);
}

/* The child has the descriptors and folders of its parent. */
static void share_tables(struct restore *r)
{
	Thread *t = (Thread *)(uintptr_t)restore_record(r, "THRD", 110);

	t->files = t->fs = 100;
}

static Mapping *add_huge(struct restore *r, Mm *mm, uint64_t start, uint64_t flags)
{
	add_mapping(r, mm, start, start + 0x400000, MAPPING__SORT__ANON, PROT_READ,
		    VMF(rd) | VMF(ht) | flags);
	mm->mappings[mm->n_mappings - 1]->has_page_size = true;
	mm->mappings[mm->n_mappings - 1]->page_size = 0x200000;
	return mm->mappings[mm->n_mappings - 1];
}

/* Key 1 is free, 2 and 4 are the program's, 3 is that of what can only be executed, 5 is free again. */
static void add_keys(struct restore *r, Mm *mm)
{
	static const struct {
		uint64_t start;
		uint32_t prot, key;
	} rows[] = {
		{ 0x91000000, PROT_READ, 2 },
		{ 0x91001000, PROT_EXEC, 3 },
		{ 0x91002000, PROT_READ | PROT_WRITE, 5 },
	};

	for (size_t i = 0; i < 3; i++) {
		add_mapping(r, mm, rows[i].start, rows[i].start + 0x1000, MAPPING__SORT__ANON,
			    rows[i].prot, VMF(rd));
		mm->mappings[mm->n_mappings - 1]->has_key = true;
		mm->mappings[mm->n_mappings - 1]->key = rows[i].key;
	}
	mm->has_keys = true;
	mm->keys = 1 << 2 | 1 << 4;
}

/* Guard regions, protection keys, droppable memory, huge pages, a name. */
static void add_odd_mappings(struct restore *r)
{
	Mm *mm = (Mm *)(uintptr_t)restore_record(r, "MMSP", 100);
	Guard *g = sub(r, &guard__descriptor);

	add_keys(r, mm);
	add_mapping(r, mm, 0x92000000, 0x92004000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(gu) | VMF(lo));
	mm->mappings[mm->n_mappings - 1]->name = arena_strdup(&r->arena, "a name");
	g->start = 0x92001000;
	g->length = 0x2000;
	mm->guards = arena_alloc(&r->arena, sizeof(*mm->guards));
	mm->guards[mm->n_guards++] = g;
	add_mapping(r, mm, 0x93000000, 0x93004000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(dp) | VMF(nr) | VMF(wf) | VMF(dd));
	add_huge(r, mm, 0x94000000, 0);
	add_huge(r, mm, 0x95000000, VMF(nr));
	add_extent(r, mm, 0x94200000, 0x1000, 0x12000);
}

static void golden_maps(void)
{
	golden_of("plan-maps.txt", false, add_odd_mappings);
}

/* Two pages that are reserved, and of those that are not the ones that have contents. */
static void huge_pages_are_counted(void)
{
	struct restore r;
	struct error e = { 0 };
	Mm *mm;

	make(&r, false);
	add_odd_mappings(&r);
	mm = (Mm *)(uintptr_t)restore_record(&r, "MMSP", 100);
	add_extent(&r, mm, 0x95001000, 0x1000, 0x13000);
	add_extent(&r, mm, 0x95003000, 0x1000, 0x14000);
	add_extent(&r, mm, 0x951ff000, 0x2000, 0x15000);
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	hugepages_count(&r);
	CU_ASSERT_EQUAL_FATAL(r.host.n_huge, 1);
	CU_ASSERT(r.host.huge[0].size == 0x200000 && r.host.huge[0].needed == 4);
	CU_ASSERT_EQUAL(hugepages_check(&r, &e), -EINVAL);
	HAS(e.text, "huge pages of 2048 kB, which this machine does not have");
	r.host.huge[0].is_known = true;
	r.host.huge[0].free = 3;
	r.host.huge[0].total = 7;
	CU_ASSERT_EQUAL(hugepages_check(&r, &e), -EINVAL);
	HAS(e.text,
	    "takes 4 huge pages of 2048 kB, and 3 are free: reserve 1 more, by writing 8 to");
	r.host.huge[0].free = 4;
	CU_ASSERT_EQUAL(hugepages_check(&r, &e), 0);
	unmake(&r);
}

static void golden_shared(void)
{
	golden_of("plan-shared.txt", true, share_tables);
}

/* The child has the memory of its parent; its own child has the signal actions too, another has none of it. */
static void share_memory(struct restore *r)
{
	Thread *t;

	put_process(r, 120, 110, 1);
	put_process(r, 130, 110, 1);
	put_index(r);
	t = (Thread *)(uintptr_t)restore_record(r, "THRD", 110);
	t->mm = 100;
	t = (Thread *)(uintptr_t)restore_record(r, "THRD", 120);
	t->mm = 100;
	t->sighand = 110;
}

static void golden_memory(void)
{
	golden_of("plan-memory.txt", true, share_memory);
}

static Mapping *add_shared(struct restore *r, uint32_t mm, uint64_t start, uint64_t flags)
{
	Mm *m = (Mm *)(uintptr_t)restore_record(r, "MMSP", mm);
	Mapping *out;

	add_mapping(r, m, start, start + 0x2000, MAPPING__SORT__SHMEM_SHARED,
		    PROT_READ | (flags & VMF(wr) ? PROT_WRITE : 0), VMF(rd) | flags);
	out = m->mappings[m->n_mappings - 1];
	out->has_memory = out->has_offset = true;
	out->memory = 1;
	return out;
}

/*
 * The parent has mapped it to be written and then, with the seal, to be read; the child has what it was born with, and
 * one from behind the seal, sealed itself.
 */
static void add_shut(struct restore *r)
{
	SharedMemory *m = put(r, &record_shmem, 1);

	m->sort = SHARED_MEMORY__SORT__FILE;
	m->size = 0x2000;
	m->mode = 0600;
	m->name = arena_strdup(&r->arena, "policy");
	m->has_seals = true;
	m->seals = F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL;
	put_index(r);
	add_shared(r, 100, 0x91000000, VMF(sh));
	add_shared(r, 100, 0x92000000, VMF(wr) | VMF(sh) | VMF(mw));
	add_shared(r, 100, 0x93000000, VMF(wr) | VMF(sh) | VMF(mw));
	add_shared(r, 110, 0x92000000, VMF(sh) | VMF(mw));
	add_shared(r, 110, 0x93000000, VMF(sh) | VMF(sl));
}

static void golden_shut(void)
{
	golden_of("plan-shut.txt", true, add_shut);
}

/* The second thread has its own. */
static void own_tables(struct restore *r)
{
	Thread *t = (Thread *)(uintptr_t)restore_record(r, "THRD", 101);
	Fs *fs;

	t->files = t->fs = 101;
	put_files(r, 101);
	fs = put(r, &kind_fs.record, 101);
	fs->cwd = arena_strdup(&r->arena, "/tmp");
	fs->root = arena_strdup(&r->arena, "/");
	fs->umask = 077;
	put_index(r);
}

static void golden_own(void)
{
	golden_of("plan-own.txt", false, own_tables);
}

/* What only an image that no cr has written can say. */
static void odd_tables(struct restore *r)
{
	own_tables(r);
	((Thread *)(uintptr_t)restore_record(r, "THRD", 101))->files = 100;
	((Thread *)(uintptr_t)restore_record(r, "THRD", 101))->fs = 100;
}

static void refuses_odd_tables(void)
{
	struct restore r;
	struct error e = { 0 };
	Process *p;

	/* A thread and another process have the same; without a record; and a leader that has exited. */
	make(&r, true);
	p = (Process *)(uintptr_t)restore_record(&r, "PROC", 100);
	p->threads[p->n_threads++] = 101;
	put_thread(&r, 101, 100, 100);
	put_index(&r);
	((Thread *)(uintptr_t)restore_record(&r, "THRD", 101))->files = 110;
	CU_ASSERT(tree_build(&r, &e) < 0);
	HAS(e.text,
	    "task 110: it has descriptors or folders of its own, and shares them with task 101");
	unmake(&r);
	make(&r, false);
	own_tables(&r);
	((Thread *)(uintptr_t)restore_record(&r, "THRD", 101))->files = 7;
	CU_ASSERT(tree_build(&r, &e) < 0);
	HAS(e.text, "no record of the descriptors 7");
	unmake(&r);
	make(&r, false);
	own_tables(&r);
	((Thread *)(uintptr_t)restore_record(&r, "THRD", 100))->has_exit_status = true;
	CU_ASSERT(tree_build(&r, &e) < 0);
	HAS(e.text, "task 101: it has not what its leader had");
	odd_tables(&r);
	r.n_processes = 0;
	CU_ASSERT_EQUAL(tree_build(&r, &e), 0);
	unmake(&r);
}

/* The same records give the same plans, whatever was planned before. */
static void planning_is_repeatable(void)
{
	struct restore r;
	struct error e = { 0 };
	auto_buf a = { 0 };
	auto_buf b = { 0 };

	make(&r, true);
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	print(&r, &a);
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	print(&r, &b);
	CU_ASSERT(a.len == b.len && !memcmp(a.p, b.p, a.len));
	unmake(&r);
}

/* --- the terminal ------------------------------------------------------------------------------ */

/* Descriptors 0, 1 and 7 are on a terminal. The tree is in the session of cr, or has its own. */
static void make_on_terminal(struct restore *r, struct restore_options *opt, bool own)
{
	Description *d;

	make(r, true);
	r->opt = opt;
	r->terminal.fd = -1;
	d = (Description *)(uintptr_t)restore_record(r, "DESC", 1);
	d->kind = arena_strdup(&r->arena, "TTYD");
	((Tty *)put(r, &kind_tty.record, 1))->path = arena_strdup(&r->arena, "/dev/pts/3");
	for (uint32_t pid = 100; pid <= 110; pid += 10) {
		Process *p = (Process *)(uintptr_t)restore_record(r, "PROC", pid);

		p->has_terminal = true;
		p->terminal = 0x8803;
		p->session = own ? 100 : 60;
		p->group = own ? pid : 61;
		p->has_foreground = pid == 100;
		p->foreground = own ? 110 : 61;
	}
	put_index(r);
	r->terminal.is_wanted = true;
	r->terminal.has_settings = true;
}

/* Decides and plans; gives the text of the plans, or the refusal. */
static const char *planned(struct restore *r)
{
	static char text[65536];
	struct error e = { 0 };
	auto_buf out = { 0 };
	int rc;

	sharing_free(r); /* of the time before */
	r->n_processes = 0;
	rc = tree_build(r, &e);
	if (rc == 0)
		rc = terminal_decide(r, &e);
	if (rc == 0)
		rc = planner_run(r, &e);
	if (rc == 0)
		print(r, &out);
	snprintf(text, sizeof(text), "%s", rc < 0 ? e.text : out.p);
	return text;
}

static void a_job_has_a_group(void)
{
	struct restore_options opt = { .dir = "image" };
	struct restore r;
	const char *text;

	make_on_terminal(&r, &opt, false);
	r.host.has_terminal = true;
	strcpy(r.terminal.path, "/dev/pts/5");
	text = planned(&r);
	HAS(text, "setpgid(0, 0) = 0");
	HAS_NOT(text, "setsid");
	HAS_NOT(text, "cr's own");
	CU_ASSERT(r.terminal.role == TERMINAL_JOB && r.terminal.group == 100);
	CU_ASSERT(r.terminal.is_program);
	unmake(&r);

	/* somebody else had the foreground; nobody stays as parent */
	opt.detach = true;
	make_on_terminal(&r, &opt, false);
	((Process *)(uintptr_t)restore_record(&r, "PROC", 100))->foreground = 60;
	r.host.has_terminal = true;
	strcpy(r.terminal.path, "/dev/pts/5");
	HAS(planned(&r), "task 100: fd 0 is on the terminal, which is the shell's after --detach");
	r.host.redirected = 1;
	HAS(planned(&r), "setpgid(0, 0) = 0");
	CU_ASSERT(r.terminal.role == TERMINAL_APART && !r.terminal.is_program);
	unmake(&r);
}

static void a_session_takes_it(void)
{
	struct restore_options opt = { .dir = "image" };
	struct restore r;
	const char *text, *at;

	make_on_terminal(&r, &opt, true);
	HAS(planned(&r), "cr has none");
	unmake(&r);

	make_on_terminal(&r, &opt, true);
	r.host.has_terminal = true;
	strcpy(r.terminal.path, "/dev/pts/5");
	HAS(planned(&r), "is that of another session; give cr a terminal of its own: script");
	r.host.leads_session = true;
	text = planned(&r);
	CU_ASSERT(r.terminal.role == TERMINAL_GIVEN && r.terminal.group == 110);
	/* before the fork; the foreground behind the commit */
	at = strstr(text, "setsid");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at = strstr(at, "0x540e");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at = strstr(at, "# child 110");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	at = strstr(at, "# commit");
	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	HAS(at, "0x5410");
	unmake(&r);

	/* only the root can */
	make_on_terminal(&r, &opt, true);
	((Process *)(uintptr_t)restore_record(&r, "PROC", 110))->session = 110;
	HAS(planned(&r), "a session of its own with a terminal below the root");
	unmake(&r);
}

static void redirections_come_in_its_place(void)
{
	struct restore_options opt = { .dir = "image", .detach = true };
	struct restore r;
	const char *text;

	make_on_terminal(&r, &opt, false);
	r.host.redirected = 2;
	HAS(planned(&r), "task 100: fd 0 is on a terminal, and cr has none");
	r.host.redirected = 7;
	HAS(planned(&r), "task 100: fd 7 is on a terminal, and cr has none");
	r.host.has_terminal = true;
	strcpy(r.terminal.path, "/dev/pts/5");
	text = planned(&r);
	HAS(text, "# fd 0: cr's own");
	HAS(text, "# fd 1: cr's own");
	HAS(text, "# fd 2: eventfd");
	HAS(text, "# fd 7: tty");
	HAS(text, "cr's own descriptor 1\n");
	unmake(&r);
}

/* --- refusals ---------------------------------------------------------------------------------- */

static void refuses_no_registers(void)
{
	struct restore r;
	struct error e = { 0 };

	make(&r, false);
	vec_each(rec, &r.img.records) {
		if (rec->type == &kind_context.record && rec->id == 101)
			rec->id = 999;
	}
	put_index(&r);
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT(planner_run(&r, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "task 101"));
	unmake(&r);
}

/* At that point it would be the end of the program, behind the commit. */
static void refuses_frames_that_kill(void)
{
	for (unsigned int i = 0; i < 6; i++) {
		struct restore r;
		struct error e = { 0 };
		Context *c;

		make(&r, false);
		c = context_of(&r, 101);
		if (i == 0)
			c->regs[16] = 0x800000000000; /* rip */
		else if (i == 1)
			c->regs[21] = 0x7ffffffff000; /* fs_base */
		else if (i == 2)
			c->regs[22] = ~0ull; /* gs_base */
		else if (i == 3)
			c->xstate.data[27] = 0x80; /* mxcsr */
		else if (i == 4)
			c->xstate.data[527] = 0x80; /* compact form */
		CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
		CU_ASSERT_EQUAL(planner_run(&r, &e) < 0, i < 5);
		CU_ASSERT_EQUAL(!!strstr(e.text, "task 101: context"), i < 5);
		unmake(&r);
	}
}

static void refuses_odd_numbers(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct restore r;
		struct error e = { 0 };
		Personality *p;
		Sched *s;

		make(&r, false);
		p = put(&r, &kind_personality.record, 100);
		s = put(&r, &kind_sched.record, 100);
		p->personality = i & 1 ? 0xffffffff : 8;
		s->flags = i & 2 ? 2 : 1;
		put_index(&r);
		CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
		CU_ASSERT_EQUAL(planner_run(&r, &e) < 0, i > 0);
		unmake(&r);
	}
}

static void refuses_odd_memory(void)
{
	for (int i = 0; i < 4; i++) {
		struct restore r;
		struct error e = { 0 };
		Thread *t;

		/* 110 is a child of 100, 120 of 110. */
		make(&r, true);
		put_process(&r, 120, 110, 1);
		put_index(&r);
		t = (Thread *)(uintptr_t)restore_record(&r, "THRD", i < 3 ? 120 : 110);
		t->mm = i == 0 ? 100 : t->mm;
		t->sighand = i == 1 ? 100 : i > 1 ? t->sighand - 10 : t->sighand;
		CU_ASSERT(tree_build(&r, &e) < 0);
		if (i == 0)
			HAS(e.text, "task 120: it shares its memory with process 100, but not");
		if (i == 1)
			HAS(e.text,
			    "task 120: it shares its table of signal actions with process 100");
		if (i > 1)
			HAS(e.text, "it shares its signal actions with process 1");
		unmake(&r);
	}
}

/* --- the frame at the end of a plan in memory ---------------------------------------------------- */

static void layout_is_sound(void)
{
	struct restore r;
	struct error e = { 0 };
	char *region;
	int slots[64];

	make(&r, true);
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	region = mem_alloc(r.region_size);
	for (size_t i = 0; i < 64; i++)
		slots[i] = 1000 + (int)i;
	for (size_t i = 0; i < r.plans.n; i++) {
		const struct task_plan *t = r.plans.v[i];
		uint64_t end = t->at + plan_size(&t->plan, TASK_STACK);

		CU_ASSERT(end <= (i + 1 < r.plans.n ? r.plans.v[i + 1]->at : r.region_size));
		plan_write(&t->plan, region, t->at, TASK_STACK, 0);
		plan_set_slots(&t->plan, region, t->at, slots);
		for (uint32_t k = 0; k < t->plan.ops.n; k++) {
			const struct cr_rst_op *op =
				(void *)(region + plan_ops_at(&t->plan, t->at) + k * sizeof(*op));

			if (t->plan.ops.v[k].slots & 2)
				CU_ASSERT(op->arg[1] >= 1000 && op->arg[1] < 1000 + r.slots.n);
		}
	}
	free(region);
	unmake(&r);
}

static CU_TestInfo hole_tests[] = {
	{ "nothing is taken", hole_of_empty },
	{ "the highest that fits", hole_is_the_highest },
	{ "mappings of rare sorts", golden_maps },
	{ "huge pages are counted", huge_pages_are_counted },
	{ "room below stacks", hole_keeps_the_guard },
	{ "just between two", hole_between },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo plan_tests[] = {
	{ "golden plan of a process with two threads", golden_threads },
	{ "golden plan of a process with a child", golden_child },
	{ "golden plan of processes that share tables", golden_shared },
	{ "golden plan of processes that share memory", golden_memory },
	{ "golden plan of a file that was sealed between its mappings", golden_shut },
	{ "golden plan of a thread with tables of its own", golden_own },
	{ "odd tables are refused", refuses_odd_tables },
	{ "planning is repeatable", planning_is_repeatable },
	{ "terminal: a job has a group of its own", a_job_has_a_group },
	{ "terminal: a session takes it", a_session_takes_it },
	{ "terminal: redirections come in its place", redirections_come_in_its_place },
	{ "a thread without registers is refused", refuses_no_registers },
	{ "a frame that would kill is refused", refuses_frames_that_kill },
	{ "numbers that mean something else are refused", refuses_odd_numbers },
	{ "memory that cannot be shared so is refused", refuses_odd_memory },
	{ "plans do not overlap, slots are filled in", layout_is_sound },
	CU_TEST_INFO_NULL,
};

int main(void)
{
	CU_SuiteInfo suites[] = {
		{ "hole", NULL, NULL, NULL, NULL, hole_tests },
		{ "planner", NULL, NULL, NULL, NULL, plan_tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
