/* SPDX-License-Identifier: MIT */
/* Plans for the vDSO: that of the image's kernel, which is moved, and another's, into which it has to lead. */
#include <elf.h>

#include "plan-room.h"

/* --- the same ----------------------------------------------------------------------------------- */

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

/* --- another ------------------------------------------------------------------------------------- */

struct function {
	const char *name;
	uint64_t at;
};

/* A file of two pages with these functions, of which nothing but the table of symbols matters. */
static void *make_vdso(struct arena *a, const struct function *f, size_t n)
{
	uint8_t *p = arena_alloc(a, 0x2000);
	Elf64_Ehdr eh = { .e_machine = EM_X86_64, .e_phoff = 64, .e_phnum = 2 };
	Elf64_Phdr ph[2] = {
		{ .p_type = PT_LOAD, .p_filesz = 0x2000 },
		{ .p_type = PT_DYNAMIC, .p_offset = 0x200, .p_filesz = 5 * sizeof(Elf64_Dyn) },
	};
	Elf64_Dyn dyn[4] = {
		{ DT_HASH, { 0x300 } },
		{ DT_SYMTAB, { 0x400 } },
		{ DT_STRTAB, { 0x600 } },
		{ DT_STRSZ, { 0x200 } },
	};
	uint32_t hash[2] = { 0, (uint32_t)n };
	size_t name = 1;

	memcpy(eh.e_ident, ELFMAG, SELFMAG);
	eh.e_ident[EI_CLASS] = ELFCLASS64;
	eh.e_phentsize = sizeof(ph[0]);
	memcpy(p, &eh, sizeof(eh));
	memcpy(p + 64, ph, sizeof(ph));
	memcpy(p + 0x200, dyn, sizeof(dyn));
	memcpy(p + 0x300, hash, sizeof(hash));
	for (size_t i = 0; i < n; i++) {
		Elf64_Sym s = { .st_name = (uint32_t)name, .st_shndx = 1, .st_value = f[i].at };

		s.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
		memcpy(p + 0x400 + i * sizeof(s), &s, sizeof(s));
		strcpy((char *)p + 0x600 + name, f[i].name);
		name += strlen(f[i].name) + 1;
	}
	return p;
}

static void make_other_vdso(struct restore *r)
{
	static const struct function old[] = {
		{ "__vdso_getcpu", 0x1000 },
		{ "__vdso_time", 0x1100 },
		{ "time", 0x1100 },
		{ "__vdso_new", 0x1200 },
	};
	static const struct function now[] = { { "__vdso_time", 0x1480 } };
	Manifest *m;

	make(r, false);
	m = r->img.manifest;
	m->kernel = arena_strdup(&r->arena, "6.1");
	m->has_vdso_build_id = m->has_vdso = true;
	m->vdso_build_id.data = (uint8_t *)arena_strdup(&r->arena, "old");
	m->vdso_build_id.len = r->host.vdso_build_id_size = 3;
	memcpy(r->host.vdso_build_id, "now", 3);
	m->vdso.data = make_vdso(&r->arena, old, 4);
	m->vdso.len = 0x2000;
	r->host.vdso_image = make_vdso(&r->arena, now, 1);
}

static const uint8_t *find_bytes(const struct buf *b, const void *bytes, size_t n)
{
	for (size_t i = 0; i + n <= b->len; i++) {
		if (!memcmp(b->p + i, bytes, n))
			return (const uint8_t *)b->p + i;
	}
	return NULL;
}

static void golden_other_vdso(void)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	struct restore r;
	struct error e = { 0 };
	auto_buf out = { 0 };
	const uint8_t *text;
	uint64_t at;

	make_other_vdso(&r);
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	if (planner_run(&r, &e) < 0)
		CU_FAIL_FATAL(e.text);
	print(&r, &out);
	compare("plan-vdso.txt", &out);
	/* time leads to where this kernel's will be, getcpu is a call, the third is known to nobody */
	text = find_bytes(&r.plans.v[0]->plan.data, ELFMAG, SELFMAG);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	CU_ASSERT(!memcmp(text + 0x1100, jump, sizeof(jump)));
	memcpy(&at, text + 0x1100 + sizeof(jump), sizeof(at));
	CU_ASSERT_EQUAL(at, r.hole.start + r.region_size + 0x4000 + 0x1480);
	CU_ASSERT(r.hole.end >= r.hole.start + r.region_size + 0x6000);
	CU_ASSERT(!memcmp(text + 0x1000, "\xb8\x35\x01\0\0\x0f\x05\xc3", 8));
	CU_ASSERT_STRING_EQUAL(r.vdso_missing, "new");
	unmake(&r);
}

/* The data areas of the image lie over the executable of cr, which may be replaced, and only that. */
static void no_data_is_where_it_was(void)
{
	struct restore r;
	struct error e = { 0 };
	auto_buf out = { 0 };
	Mm *mm;

	make_other_vdso(&r);
	mm = (Mm *)(uintptr_t)restore_record(&r, "MMSP", 100);
	mm->mappings[4]->start = 0x404000;
	mm->mappings[4]->end = 0x408000;
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	print(&r, &out);
	HAS(out.p,
	    "mmap(0x404000, 0x4000, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = "
	    "0x404000");
	unmake(&r);
}

/* In the middle of a function a thread cannot go on, at its begin it can. */
static void refuses_a_thread_inside_another(void)
{
	static const uint64_t ips[] = { 0x90003fff, 0x90004000, 0x90005000, 0x90005001,
					0x90006000 };

	for (unsigned int i = 0; i < 2 * 5; i++) {
		bool is_other = i < 5, refused = is_other && (i == 1 || i == 3);
		struct restore r;
		struct error e = { 0 };

		make_other_vdso(&r);
		if (!is_other)
			memcpy(r.host.vdso_build_id, "old", 3);
		context_of(&r, 101)->regs[16] = ips[i % 5];
		CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
		CU_ASSERT_EQUAL(planner_run(&r, &e) < 0, refused);
		CU_ASSERT_EQUAL(!!strstr(e.text,
					 "task 101: context: it was stopped inside the vDSO"),
				refused);
		unmake(&r);
	}
}

/* What another vDSO cannot be made of. */
static void refuses_what_leads_nowhere(void)
{
	static const char *const why[] = { "does not hold its own", "only a part of its vDSO",
					   "not a vDSO whose functions", "of this kernel's vDSO" };

	for (unsigned int i = 0; i < 4; i++) {
		struct restore r;
		struct error e = { 0 };
		Mm *mm;

		make_other_vdso(&r);
		mm = (Mm *)(uintptr_t)restore_record(&r, "MMSP", 100);
		if (i == 0)
			r.img.manifest->has_vdso = false;
		else if (i == 1)
			mm->mappings[5]->end -= 0x1000;
		else if (i == 2)
			r.img.manifest->vdso.data[1] = 'X';
		else
			((uint8_t *)(uintptr_t)r.host.vdso_image)[1] = 'X';
		CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
		CU_ASSERT(planner_run(&r, &e) < 0);
		HAS(e.text, "task 100: ");
		HAS(e.text, why[i]);
		unmake(&r);
	}
}

/* The same kernel; but the program has unmapped a part of the data areas. */
static void areas_that_do_not_pair_are_another(void)
{
	struct restore r;
	struct error e = { 0 };
	auto_buf out = { 0 };
	Mm *mm;

	make_other_vdso(&r);
	memcpy(r.host.vdso_build_id, "old", 3);
	mm = (Mm *)(uintptr_t)restore_record(&r, "MMSP", 100);
	mm->mappings[4]->end -= 0x1000;
	CU_ASSERT_EQUAL_FATAL(tree_build(&r, &e), 0);
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	print(&r, &out);
	HAS(out.p, "vDSO of the image, leads into this kernel's");
	/* and where there is no vDSO at all */
	r.host.vdso = (struct host_range){ 0, 0 };
	r.host.n_vvar = 0;
	CU_ASSERT_EQUAL_FATAL(planner_run(&r, &e), 0);
	CU_ASSERT_STRING_EQUAL(r.vdso_missing, "new");
	unmake(&r);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "the vDSO is moved as a whole", the_whole_vdso_is_moved },
		{ "another is refused if the image does not hold its own", refuses_other_vdso },
		{ "golden plan with the vDSO of another kernel", golden_other_vdso },
		{ "no data is where it was", no_data_is_where_it_was },
		{ "a thread inside another is refused", refuses_a_thread_inside_another },
		{ "what leads nowhere is refused", refuses_what_leads_nowhere },
		{ "areas that do not pair are another's", areas_that_do_not_pair_are_another },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "vdso", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
