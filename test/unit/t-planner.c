/* SPDX-License-Identifier: MIT */
/*
 * The planner: the hole, and golden plans for an image and a machine made by hand. No call is made.
 * CR_WRITE_GOLDEN=1 writes test/data/plan-*.txt anew; read the difference before it is committed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "comm.pb-c.h"
#include "context.pb-c.h"
#include "eventfd.pb-c.h"
#include "fs.pb-c.h"
#include "memdev.pb-c.h"
#include "personality.pb-c.h"
#include "proc/maps.h"
#include "restore/internal.h"
#include "sched.pb-c.h"
#include "sigactions.pb-c.h"
#include "tap.h"
#include "tidptrs.pb-c.h"
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

/* --- an image ---------------------------------------------------------------------------------- */

static void *put(struct restore *r, const struct record_type *type, uint32_t id)
{
	struct record *rec = vec_add(&r->img.records);

	rec->type = type;
	rec->id = id;
	rec->msg = arena_alloc(&r->arena, type->desc->sizeof_message);
	protobuf_c_message_init(type->desc, rec->msg);
	memcpy((char *)rec->msg + type->desc->fields[0].offset, &id, sizeof(id));
	return rec->msg;
}

static void *sub(struct restore *r, const ProtobufCMessageDescriptor *d)
{
	ProtobufCMessage *m = arena_alloc(&r->arena, d->sizeof_message);

	protobuf_c_message_init(d, m);
	return m;
}

static int by_key(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int c = strcmp(x->type->tag, y->type->tag);

	return c ? c : x->id < y->id ? -1 : x->id > y->id;
}

static void put_index(struct restore *r)
{
	struct image *img = &r->img;

	img->index = arena_alloc(&r->arena, img->records.n * sizeof(*img->index));
	for (size_t i = 0; i < img->records.n; i++)
		img->index[i] = &img->records.v[i];
	qsort(img->index, img->records.n, sizeof(*img->index), by_key);
}

static void put_thread(struct restore *r, uint32_t tid, uint32_t pid, uint32_t group)
{
	Thread *t = put(r, &record_thread, tid);
	Context *c = put(r, &kind_context.record, tid);
	Comm *m = put(r, &kind_comm.record, tid);
	TidPtrs *p = put(r, &kind_tidptrs.record, tid);

	t->process = pid;
	t->mm = t->files = t->fs = t->sighand = group;
	c->n_regs = 27;
	c->regs = arena_alloc(&r->arena, 32 * sizeof(uint64_t));
	c->regs[15] = ~0ull;      /* orig_rax */
	c->regs[16] = 0x400800;   /* rip */
	c->regs[17] = 0x33;       /* cs */
	c->regs[19] = 0x7ffff000; /* rsp */
	c->regs[20] = 0x2b;       /* ss */
	c->regs[21] = 0x7fff1000; /* fs_base */
	c->xstate.len = 576;
	c->xstate.data = arena_alloc(&r->arena, 576);
	c->xstate.data[464] = 3;
	c->altstack_flags = 2;
	m->name.data = (uint8_t *)arena_strdup(&r->arena, "subject");
	m->name.len = 7;
	p->clear_child_tid = 0x7fff1100;
	p->robust_list = 0x7fff1200;
	p->robust_list_size = 24;
}

static void add_mapping(struct restore *r, Mm *mm, uint64_t start, uint64_t end, Mapping__Sort sort,
			uint32_t prot, uint64_t flags)
{
	Mapping *m = sub(r, &mapping__descriptor);

	m->start = start;
	m->end = end;
	m->sort = sort;
	m->prot = prot;
	m->flags = flags;
	if (sort == MAPPING__SORT__FILE_PRIVATE || sort == MAPPING__SORT__FILE_SHARED)
		m->has_file = m->has_offset = true;
	mm->mappings[mm->n_mappings++] = m;
}

static void add_extent(struct restore *r, Mm *mm, uint64_t start, uint64_t length, uint64_t offset)
{
	Extent *x = sub(r, &extent__descriptor);

	x->start = start;
	x->length = length;
	x->has_store = x->has_offset = true;
	x->offset = offset;
	mm->extents[mm->n_extents++] = x;
}

static void put_mm(struct restore *r, uint32_t id)
{
	Mm *mm = put(r, &record_mm, id);
	FileIdentity *f = sub(r, &file_identity__descriptor);

	f->path = arena_strdup(&r->arena, "/usr/bin/subject");
	f->size = 0x3000;
	mm->exe = f;
	mm->files = arena_alloc(&r->arena, sizeof(*mm->files));
	mm->files[mm->n_files++] = f;
	mm->mappings = arena_alloc(&r->arena, 16 * sizeof(*mm->mappings));
	mm->extents = arena_alloc(&r->arena, 16 * sizeof(*mm->extents));
	mm->auxv.data = arena_alloc(&r->arena, 32);
	mm->auxv.len = 32;
	/* over cr's own text */
	add_mapping(r, mm, 0x400000, 0x402000, MAPPING__SORT__FILE_PRIVATE, PROT_READ | PROT_EXEC,
		    VMF(rd) | VMF(ex));
	/* written, then made read-only */
	add_mapping(r, mm, 0x402000, 0x403000, MAPPING__SORT__FILE_PRIVATE, PROT_READ,
		    VMF(rd) | VMF(ac));
	add_mapping(r, mm, 0x500000, 0x510000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(ac) | VMF(dd) | VMF(lo));
	add_mapping(r, mm, 0x7ffe0000, 0x80000000, MAPPING__SORT__ANON, PROT_READ | PROT_WRITE,
		    VMF(rd) | VMF(wr) | VMF(gd) | VMF(ac));
	add_mapping(r, mm, 0x90000000, 0x90004000, MAPPING__SORT__VVAR, PROT_READ, VMF(rd));
	add_mapping(r, mm, 0x90004000, 0x90006000, MAPPING__SORT__VDSO, PROT_READ | PROT_EXEC,
		    VMF(rd));
	add_extent(r, mm, 0x402000, 0x1000, 0);
	add_extent(r, mm, 0x500000, 0x2000, 0x1000);
	add_extent(r, mm, 0x505000, 0x1000, 0x3000);
	add_extent(r, mm, 0x7fffe000, 0x2000, 0x10000);
}

static void add_fd(struct restore *r, FdTable *t, uint32_t fd, uint32_t description, bool cloexec)
{
	Descriptor *d = sub(r, &descriptor__descriptor);

	d->fd = fd;
	d->description = description;
	d->cloexec = cloexec;
	t->fds[t->n_fds++] = d;
}

/* 0 and 1 and 7 are /dev/null, 2 an eventfd, 9 another with close-on-exec. */
static void put_files(struct restore *r, uint32_t id)
{
	FdTable *t = put(r, &record_fdtable, id);

	t->fds = arena_alloc(&r->arena, 16 * sizeof(*t->fds));
	add_fd(r, t, 0, 1, false);
	add_fd(r, t, 1, 1, false);
	add_fd(r, t, 2, 2, false);
	add_fd(r, t, 7, 1, true);
	add_fd(r, t, 9, 3, true);
}

static void put_descriptions(struct restore *r)
{
	for (uint32_t id = 1; id <= 3; id++) {
		Description *d = put(r, &record_description, id);

		d->kind = arena_strdup(&r->arena, id == 1 ? "MDEV" : "EVFD");
		d->flags = 2;
		if (id == 1)
			((MemDev *)put(r, &kind_memdev.record, id))->path =
				arena_strdup(&r->arena, "/dev/null");
		else
			put(r, &kind_eventfd.record, id);
	}
}

static void put_process(struct restore *r, uint32_t pid, uint32_t parent, uint32_t n_threads)
{
	Process *p = put(r, &record_process, pid);
	Fs *fs = put(r, &kind_fs.record, pid);
	SigActions *s = put(r, &kind_sigactions.record, pid);

	p->parent = parent;
	p->group = p->session = 100;
	p->exit_signal = 17;
	p->n_threads = n_threads;
	p->threads = arena_alloc(&r->arena, 8 * sizeof(*p->threads));
	for (uint32_t i = 0; i < n_threads; i++) {
		p->threads[i] = pid + i;
		put_thread(r, pid + i, pid, pid);
	}
	put_mm(r, pid);
	put_files(r, pid);
	fs->cwd = arena_strdup(&r->arena, "/srv");
	fs->root = arena_strdup(&r->arena, "/");
	fs->umask = 027;
	s->actions = arena_alloc(&r->arena, sizeof(*s->actions));
	s->n_actions = 1;
	s->actions[0] = sub(r, &sig_action__descriptor);
	s->actions[0]->signal = 10;
	s->actions[0]->handler = 0x400900;
}

static void make_host(struct host *h)
{
	static struct host_range mapped[] = {
		{ 0x400000, 0x480000 },
		{ 0x70000000, 0x70100000 },
		{ 0x90002000, 0x90008000 },
	};
	static struct cr_rst_range own[] = {
		{ 0x400000, 0x401000, 0, PROT_READ, MAP_PRIVATE },
		{ 0x401000, 0x470000, 0x1000, PROT_READ | PROT_EXEC, MAP_PRIVATE },
		{ 0x470000, 0x480000, 0x70000, PROT_READ | PROT_WRITE, MAP_PRIVATE },
	};

	h->pid = 50;
	h->lowest = 0x10000;
	h->highest = 0x7ffffffff000;
	h->mapped = mapped;
	h->n_mapped = 3;
	h->own = own;
	h->n_own = 3;
	/* overlaps where the image wants its own */
	h->vvar[0] = (struct host_range){ 0x90002000, 0x90006000 };
	h->n_vvar = 1;
	h->vdso = (struct host_range){ 0x90006000, 0x90008000 };
	h->rseq_address = 0x70001000;
	h->rseq_size = 32;
	h->rseq_signature = 0x53053053;
	h->ignored = 1ull << 12; /* SIGPIPE */
	h->umask = 022;
	h->xsave_mask = 7;
	h->xsave_size = 832;
	h->cap_eff = h->cap_prm = h->cap_bnd = ~0ull;
	h->limits[3].rlim_cur = 8 << 20; /* RLIMIT_STACK */
}

static void make(struct restore *r, bool child)
{
	static const struct restore_options opt;
	static int store = -1;

	*r = (struct restore){ .opt = &opt, .self_pidfd = 4 };
	r->img.manifest = arena_alloc(&r->arena, sizeof(Manifest));
	manifest__init(r->img.manifest);
	r->img.manifest->root = 100;
	r->img.stores = &store;
	r->img.n_stores = 1;
	put_process(r, 100, 0, child ? 1 : 2);
	if (child)
		put_process(r, 110, 100, 1);
	put_descriptions(r);
	put_index(r);
	make_host(&r->host);
}

static void unmake(struct restore *r)
{
	for (size_t i = 0; i < r->plans.n; i++)
		plan_free(&r->plans.v[i]->plan);
	vec_free(&r->plans);
	vec_free(&r->slots);
	vec_free(&r->img.records);
	arena_free(&r->arena);
}

/* --- golden plans ------------------------------------------------------------------------------ */

static void print(struct restore *r, struct buf *out)
{
	for (size_t i = 0; i < r->plans.n; i++) {
		plan_title(r->plans.v[i], out);
		buf_printf(out, ":\n");
		plan_explain(&r->plans.v[i]->plan, out);
	}
	for (size_t i = 0; i < r->slots.n; i++)
		slot_print(r, (uint32_t)i, out);
}

static void compare(const char *name, const struct buf *got)
{
	const char *dir = getenv("srcdir");
	struct arena a = { 0 };
	char *path = arena_printf(&a, "%s/test/data/%s", dir ? dir : ".", name);
	auto_buf want = { 0 };

	if (getenv("CR_WRITE_GOLDEN")) {
		FILE *f = fopen(path, "w");

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		fwrite(got->p, 1, got->len, f);
		fclose(f);
	}
	CU_ASSERT_EQUAL_FATAL(fd_read_file(AT_FDCWD, path, &want), 0);
	CU_ASSERT_EQUAL(want.len, got->len);
	CU_ASSERT(want.len == got->len && !memcmp(want.p, got->p, want.len));
	if (want.len != got->len || memcmp(want.p, got->p, want.len))
		printf("# %s differs:\n%s\n", name, got->p);
	arena_free(&a);
}

static void golden(const char *name, bool child)
{
	struct restore r;
	struct error e = { 0 };
	auto_buf out = { 0 };
	int rc;

	make(&r, child);
	rc = tree_build(&r, &e);
	if (rc == 0)
		rc = planner_run(&r, &e);
	if (rc < 0)
		printf("# %s\n", e.text);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	print(&r, &out);
	compare(name, &out);
	unmake(&r);
}

static void golden_threads(void)
{
	golden("plan-threads.txt", false);
}

static void golden_child(void)
{
	golden("plan-child.txt", true);
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

#define HAS(text, part) CU_ASSERT_PTR_NOT_NULL(strstr(text, part))
#define HAS_NOT(text, part) CU_ASSERT_PTR_NULL(strstr(text, part))

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

static void refuses_other_vdso(void)
{
	struct restore r;
	struct error e = { 0 };

	make(&r, false);
	r.host.vdso.end += 0x1000;
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT(planner_run(&r, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "vDSO"));
	unmake(&r);
}

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

static Context *context_of(struct restore *r, uint32_t tid)
{
	vec_each(rec, &r->img.records) {
		if (rec->type == &kind_context.record && rec->id == tid)
			return (Context *)rec->msg;
	}
	return NULL;
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

/* One area of the vDSO lies where it lay in the program, another does not. */
static void the_whole_vdso_is_moved(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct restore r;
		struct error e = { 0 };
		auto_buf out = { 0 };

		make(&r, false);
		r.host.vvar[0] = (struct host_range){ 0x90000000, 0x90004000 };
		r.host.vdso = (struct host_range){ 0x90004000, 0x90006000 };
		if (i)
			r.host.vdso = (struct host_range){ 0x90008000, 0x9000a000 };
		CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
		CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
		print(&r, &out);
		CU_ASSERT_EQUAL(!!strstr(out.p, "mremap("), i);
		unmake(&r);
	}
}

static void refuses_shared_mm(void)
{
	struct restore r;
	struct error e = { 0 };

	make(&r, true);
	vec_each(rec, &r.img.records) {
		if (rec->type == &record_thread && rec->id == 110)
			((Thread *)rec->msg)->mm = 100;
	}
	CU_ASSERT(tree_build(&r, &e) < 0);
	unmake(&r);
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
	{ "room below stacks", hole_keeps_the_guard },
	{ "just between two", hole_between },
	CU_TEST_INFO_NULL,
};

static CU_TestInfo plan_tests[] = {
	{ "golden plan of a process with two threads", golden_threads },
	{ "golden plan of a process with a child", golden_child },
	{ "planning is repeatable", planning_is_repeatable },
	{ "terminal: a job has a group of its own", a_job_has_a_group },
	{ "terminal: a session takes it", a_session_takes_it },
	{ "terminal: redirections come in its place", redirections_come_in_its_place },
	{ "another vDSO is refused", refuses_other_vdso },
	{ "a thread without registers is refused", refuses_no_registers },
	{ "a frame that would kill is refused", refuses_frames_that_kill },
	{ "numbers that mean something else are refused", refuses_odd_numbers },
	{ "the vDSO is moved as a whole", the_whole_vdso_is_moved },
	{ "a shared address space is refused", refuses_shared_mm },
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
