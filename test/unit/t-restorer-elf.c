/* SPDX-License-Identifier: MIT */
/* Executables made here: read, refused for each number that can be wrong, mapped; and their stack. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "restorer-room.h"
#include "tap.h"

#define PAGE 4096ul
#define PAGES 5
#define DONE 42

/* 0: code, 1: read only with a rest, 2: data with a bss of pages, behind a hole. 3: interpreter, 4: stack */
struct made {
	Elf64_Ehdr h;
	Elf64_Phdr p[5];
	char interpreter[16];
};

static void make(struct made *m)
{
	memset(m, 0, sizeof(*m));
	memcpy(m->h.e_ident, ELFMAG, SELFMAG);
	m->h.e_ident[EI_CLASS] = ELFCLASS64;
	m->h.e_ident[EI_DATA] = ELFDATA2LSB;
	m->h.e_ident[EI_VERSION] = EV_CURRENT;
	m->h.e_type = ET_DYN;
	m->h.e_machine = EM_X86_64;
	m->h.e_entry = 0x1010;
	m->h.e_phoff = offsetof(struct made, p);
	m->h.e_phentsize = sizeof(Elf64_Phdr);
	m->h.e_phnum = 5;
	m->p[0] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_X, 0, 0x1000, 0, 0x1000, 0x1000, 0x1000 };
	m->p[1] = (Elf64_Phdr){ PT_LOAD, PF_R, 0x1008, 0x2008, 0, 0x100, 0x200, 0x1000 };
	m->p[2] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_W, 0x2010, 0x5010, 0, 0x20, 0x2100, 0x4000 };
	m->p[3] =
		(Elf64_Phdr){ PT_INTERP, PF_R, offsetof(struct made, interpreter), 0, 0, 9, 9, 1 };
	m->p[4] = (Elf64_Phdr){ PT_GNU_STACK, PF_R | PF_W | PF_X, 0, 0, 0, 0, 0, 16 };
	strcpy(m->interpreter, "/lib/int");
}

/* What is not a header is the number of its page, from 'a'. */
static int file_of(const struct made *m)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	char page[PAGE];

	for (int i = 0; i < PAGES; i++) {
		memset(page, 'a' + i, sizeof(page));
		if (!i)
			memcpy(page, m, sizeof(*m));
		if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
			_exit(99);
	}
	return fd;
}

static int64_t read_made(const struct made *m, struct cr_rst_elf *elf)
{
	int fd = file_of(m);
	int64_t result = cr_rst_elf_read(fd, elf);

	close(fd);
	return result;
}

static void test_read(void)
{
	struct cr_rst_elf elf;
	struct made m;

	make(&m);
	CU_ASSERT_EQUAL_FATAL(read_made(&m, &elf), 0);
	CU_ASSERT_EQUAL(elf.entry, 0x1010);
	CU_ASSERT_EQUAL(elf.phdr, 0x1000 + m.h.e_phoff);
	CU_ASSERT_EQUAL(elf.phnum, 5);
	CU_ASSERT(elf.start == 0x1000 && elf.end == 0x8000);
	CU_ASSERT(elf.align == 0x4000 && elf.bias == 0 && !elf.fixed);
	CU_ASSERT(elf.start_code == 0x1000 && elf.end_code == 0x2000);
	CU_ASSERT(elf.start_data == 0x5010 && elf.end_data == 0x5030 && elf.brk == 0x7110);
	CU_ASSERT_EQUAL(elf.stack, PROT_READ | PROT_WRITE | PROT_EXEC);
	CU_ASSERT_EQUAL(elf.n_segments, 3);
	CU_ASSERT_STRING_EQUAL(elf.interpreter, "/lib/int");
	CU_ASSERT(elf.segment[2].address == 0x5010 && elf.segment[2].mem == 0x2100 &&
		  elf.segment[2].offset == 0x2010 && elf.segment[2].file == 0x20);
	m.h.e_type = ET_EXEC;
	m.p[3].p_type = m.p[4].p_type = PT_NULL;
	m.p[0].p_offset = 0x3000; /* the headers are not in memory */
	CU_ASSERT_EQUAL(read_made(&m, &elf), 0);
	CU_ASSERT(elf.fixed && !elf.interpreter[0] && elf.phdr == 0);
	CU_ASSERT_EQUAL(elf.stack, PROT_READ | PROT_WRITE);
}

/* --- wrong numbers ---------------------------------------------------------------------------- */

static struct made wrong;
static const struct {
	void *field;
	size_t size;
	uint64_t value;
	int64_t error;
} numbers[] = {
	{ &wrong.h.e_ident[0], 1, 'E', -ENOEXEC },
	{ &wrong.h.e_ident[3], 1, 'f', -ENOEXEC },
	{ &wrong.h.e_ident[EI_CLASS], 1, ELFCLASS32, -ENOEXEC },
	{ &wrong.h.e_ident[EI_DATA], 1, ELFDATA2MSB, -ENOEXEC },
	{ &wrong.h.e_ident[EI_VERSION], 1, 0, -ENOEXEC },
	{ &wrong.h.e_machine, 2, EM_AARCH64, -ENOEXEC },
	{ &wrong.h.e_type, 2, ET_REL, -ENOEXEC },
	{ &wrong.h.e_type, 2, ET_CORE, -ENOEXEC },
	{ &wrong.h.e_phentsize, 2, 55, -EINVAL },
	{ &wrong.h.e_phnum, 2, 0, -EINVAL },
	{ &wrong.h.e_phnum, 2, 1025, -E2BIG },
	{ &wrong.h.e_phnum, 2, 0xffff, -E2BIG },
	{ &wrong.h.e_phnum, 2, 1000, -EINVAL }, /* beyond the file */
	{ &wrong.h.e_phoff, 8, UINT64_MAX - 7, -EINVAL },
	{ &wrong.h.e_phoff, 8, PAGES *PAGE - 5 * 56 + 1, -EINVAL },
	{ &wrong.h.e_entry, 8, 0, -EINVAL },
	{ &wrong.h.e_entry, 8, 0x2000, -EINVAL },
	{ &wrong.h.e_entry, 8, 0x5010, -EINVAL }, /* data */
	{ &wrong.h.e_entry, 8, UINT64_MAX, -EINVAL },
	{ &wrong.p[0].p_flags, 4, PF_R, -EINVAL }, /* no code */
	{ &wrong.p[0].p_type, 4, PT_NULL, -EINVAL },
	{ &wrong.p[0].p_filesz, 8, 0x1001, -EINVAL }, /* more than in memory */
	{ &wrong.p[0].p_memsz, 8, 0x1001, -EINVAL },  /* into the page of the next */
	{ &wrong.p[0].p_memsz, 8, UINT64_MAX, -EINVAL },
	{ &wrong.p[0].p_vaddr, 8, 0x5000, -EINVAL }, /* not ascending */
	{ &wrong.p[0].p_vaddr, 8, 0x1008, -EINVAL }, /* other place in a page */
	{ &wrong.p[2].p_offset, 8, 0x2011, -EINVAL },
	{ &wrong.p[2].p_offset, 8, PAGES *PAGE + 0x10, -EINVAL },
	{ &wrong.p[2].p_offset, 8, UINT64_MAX - 0xfef, -EINVAL },
	{ &wrong.p[2].p_vaddr, 8, UINT64_MAX - 0xfef, -EINVAL },
	{ &wrong.p[2].p_vaddr, 8, 0x7fffffffe010, -EINVAL }, /* ends behind user space */
	{ &wrong.p[2].p_align, 8, 0x3000, -EINVAL },
	{ &wrong.p[2].p_align, 8, 1ull << 31, -EINVAL },
	{ &wrong.p[2].p_align, 8, 1ull << 63, -EINVAL },
	{ &wrong.p[3].p_filesz, 8, 1, -EINVAL },
	{ &wrong.p[3].p_filesz, 8, 8, -EINVAL },  /* not ended */
	{ &wrong.p[3].p_filesz, 8, 10, -EINVAL }, /* ended twice */
	{ &wrong.p[3].p_filesz, 8, 257, -EINVAL },
	{ &wrong.p[3].p_filesz, 8, UINT64_MAX, -EINVAL },
	{ &wrong.p[3].p_offset, 8, UINT64_MAX, -EINVAL },
	{ &wrong.p[3].p_offset, 8, PAGES *PAGE - 1, -EINVAL },
};

static void test_wrong_numbers(void)
{
	struct cr_rst_elf elf;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		make(&wrong);
		memcpy(numbers[i].field, &numbers[i].value, numbers[i].size);

		int64_t result = read_made(&wrong, &elf);

		if (result != numbers[i].error)
			printf("# number %zu: %d\n", i, (int)result);
		CU_ASSERT_EQUAL(result, numbers[i].error);
	}
}

static void test_wrong_files(void)
{
	struct cr_rst_elf elf;
	struct made m;
	int fd, pipes[2];

	make(&m);
	fd = file_of(&m);
	CU_ASSERT_EQUAL(ftruncate(fd, 63), 0);
	CU_ASSERT_EQUAL(cr_rst_elf_read(fd, &elf), -ENOEXEC);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	CU_ASSERT_EQUAL(cr_rst_elf_read(fd, &elf), -ENOEXEC);
	close(fd);
	CU_ASSERT_EQUAL(cr_rst_elf_read(-1, &elf), -EBADF);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	CU_ASSERT_EQUAL(cr_rst_elf_read(fd, &elf), -ENOEXEC);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	CU_ASSERT_EQUAL(write(pipes[1], &m, sizeof(m)), (ssize_t)sizeof(m));
	CU_ASSERT_EQUAL(cr_rst_elf_read(pipes[0], &elf), -ENOEXEC);
	close(pipes[0]);
	close(pipes[1]);
	m.p[4] = m.p[3];
	CU_ASSERT_EQUAL(read_made(&m, &elf), -EINVAL); /* two interpreters */
	/* a long name overwrites nothing */
	m.p[4].p_type = PT_NULL;
	m.p[3].p_offset = PAGE;
	m.p[3].p_filesz = 900;
	CU_ASSERT_EQUAL(read_made(&m, &elf), -EINVAL);
	CU_ASSERT(elf.segment[0].address == 0x1000 && elf.segment[5].address == 0);
}

static void test_many_segments(void)
{
	static char file[64 + 30 * 56];
	Elf64_Ehdr *h = (void *)file;
	Elf64_Phdr *p = (void *)(file + 64);
	struct cr_rst_elf elf;
	struct made m;

	make(&m);
	*h = m.h;
	h->e_phoff = 64;
	for (uint64_t i = 0; i < 30; i++)
		p[i] = (Elf64_Phdr){ PT_LOAD, PF_R | PF_X, 0,      0x1000 * (i + 1),
				     0,       0x40,        0x1000, 0x1000 };
	int fd = memfd_create("many", MFD_CLOEXEC);

	for (int n = CR_RST_MAX_SEGMENTS; n <= CR_RST_MAX_SEGMENTS + 1; n++) {
		h->e_phnum = (Elf64_Half)n;
		CU_ASSERT_EQUAL(pwrite(fd, file, sizeof(file), 0), (ssize_t)sizeof(file));
		CU_ASSERT_EQUAL(cr_rst_elf_read(fd, &elf), n > CR_RST_MAX_SEGMENTS ? -E2BIG : 0);
	}
	close(fd);
}

/* Every byte of the headers takes odd values: what is let through is mapped and taken away again, and
 * nothing that was there before is hit. */
static int every_byte(struct room *room)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct made m;
	int loaded = 0;

	(void)room;
	for (size_t at = 0; at < sizeof(m.h) + sizeof(m.p); at++) {
		for (size_t i = 0; i < sizeof(odd); i++) {
			struct cr_rst_elf elf;

			make(&m);
			((uint8_t *)&m)[at] = odd[i];
			int fd = file_of(&m);

			if (cr_rst_elf_read(fd, &elf) == 0 && cr_rst_elf_load(fd, &elf, 0) == 0) {
				loaded++;
				for (uint32_t k = 0; k < elf.n_segments; k++) {
					uint64_t from = elf.segment[k].address & ~(PAGE - 1);

					munmap((void *)(uintptr_t)from,
					       elf.segment[k].address + elf.segment[k].mem - from);
				}
			}
			close(fd);
		}
	}
	return loaded > 100 ? DONE : 1;
}

static void test_every_byte(void)
{
	struct room *room = room_new();

	CU_ASSERT_EQUAL(room_scratch(every_byte, room), DONE);
	room_free(room);
}

/* --- mapping ---------------------------------------------------------------------------------- */

static int prot_at(uint64_t address)
{
	struct cr_rst_mapping m;
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int64_t result = cr_rst_mapping_at(maps, address, &m);

	close(maps);
	return result < 0 ? -1 : (int)m.prot;
}

/* Of all that is mapped. */
static uint64_t bytes_mapped(void)
{
	static struct cr_rst_mapping list[512];
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int64_t n = cr_rst_mappings(maps, list, 512);
	uint64_t sum = 0;

	close(maps);
	for (int64_t i = 0; i < n && i < 512; i++)
		sum += list[i].end - list[i].start;
	return sum;
}

static int is_all(uint64_t from, uint64_t to, char c)
{
	const char *p = (const char *)(uintptr_t)from;

	for (uint64_t i = 0; i < to - from; i++)
		if (p[i] != c)
			return 0;
	return 1;
}

/* base: where 0x1000 of the file's addresses is */
static void check_mapped(const struct cr_rst_elf *elf, uint64_t base)
{
	uint64_t zero = base - 0x1000;

	CU_ASSERT_EQUAL(elf->bias, zero);
	CU_ASSERT(elf->start == base && elf->end == zero + 0x8000);
	CU_ASSERT_EQUAL(elf->entry, zero + 0x1010);
	CU_ASSERT_EQUAL(elf->brk, zero + 0x7110);
	CU_ASSERT_EQUAL(elf->segment[1].address, zero + 0x2008);
	CU_ASSERT_EQUAL(memcmp((void *)(uintptr_t)elf->phdr, (char *)(uintptr_t)base + 64, 56), 0);
	CU_ASSERT_EQUAL(prot_at(base), PROT_READ | PROT_EXEC);
	CU_ASSERT_EQUAL(prot_at(zero + 0x2000), PROT_READ);
	CU_ASSERT_EQUAL(prot_at(zero + 0x3000), -1); /* the hole */
	CU_ASSERT_EQUAL(prot_at(zero + 0x4000), -1);
	for (uint64_t page = 0x5000; page < 0x8000; page += PAGE)
		CU_ASSERT_EQUAL(prot_at(zero + page), PROT_READ | PROT_WRITE);
	/* the file's bytes, and zeros behind them, in what is read only too */
	CU_ASSERT(is_all(zero + 0x2008, zero + 0x2108, 'b'));
	CU_ASSERT(is_all(zero + 0x2108, zero + 0x3000, 0));
	CU_ASSERT(is_all(zero + 0x5010, zero + 0x5030, 'c'));
	CU_ASSERT(is_all(zero + 0x5030, zero + 0x8000, 0));
}

static void unmap_made(const struct cr_rst_elf *elf)
{
	munmap((void *)(uintptr_t)elf->start, elf->end - elf->start);
}

static void test_load(void)
{
	struct cr_rst_elf elf, again;
	struct made m;
	int fd;

	make(&m);
	fd = file_of(&m);
	CU_ASSERT_EQUAL_FATAL(cr_rst_elf_read(fd, &elf), 0);
	again = elf;
	bytes_mapped(); /* a first look may grow the stack */
	uint64_t bytes = bytes_mapped();

	CU_ASSERT_EQUAL_FATAL(cr_rst_elf_load(fd, &elf, 0), 0);
	CU_ASSERT_EQUAL(bytes_mapped(),
			bytes + 5 * PAGE); /* neither holes nor what alignment took */
	CU_ASSERT_EQUAL((elf.start - 0x1000) % 0x4000, 0);
	check_mapped(&elf, elf.start);
	uint64_t base = elf.start;

	/* what is there stays, and elf too */
	struct cr_rst_elf before = again;

	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &again, base), -EEXIST);
	CU_ASSERT_EQUAL(memcmp(&again, &before, sizeof(again)), 0);
	check_mapped(&elf, base);
	unmap_made(&elf);
	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &again, base + PAGE), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &again, base + 1), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &again, base), 0);
	check_mapped(&again, base);
	unmap_made(&again);

	/* a failure in the middle: nothing is left */
	again = before;
	again.segment[2].offset += 0x8000000000000000;
	CU_ASSERT(cr_rst_elf_load(fd, &again, base) < 0);
	CU_ASSERT_EQUAL(again.start, before.start);
	for (uint64_t page = 0; page < 7; page++)
		CU_ASSERT_EQUAL(prot_at(base + page * PAGE), -1);
	close(fd);
}

/* At its own addresses, with something of somebody else's in the hole. */
static void test_load_fixed(void)
{
	struct cr_rst_elf elf, before;
	char *area = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t zero = (uintptr_t)area;
	struct made m;
	int fd;

	make(&m);
	m.h.e_type = ET_EXEC;
	m.h.e_entry += zero;
	for (int i = 0; i < 3; i++)
		m.p[i].p_vaddr += zero;
	munmap(area, 8 * PAGE);
	CU_ASSERT_EQUAL(cr_rst_reserve(zero + 0x3000, zero + 0x5000), 0);
	fd = file_of(&m);
	CU_ASSERT_EQUAL_FATAL(cr_rst_elf_read(fd, &elf), 0);
	before = elf;
	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &elf, 12345), 0);
	CU_ASSERT_EQUAL(memcmp(&elf, &before, sizeof(elf)), 0);
	CU_ASSERT(is_all(zero + 0x5030, zero + 0x8000, 0) &&
		  is_all(zero + 0x2008, zero + 0x2108, 'b'));
	CU_ASSERT_EQUAL(prot_at(zero + 0x3000), PROT_NONE);
	munmap(area + PAGE, 2 * PAGE);

	/* the last is taken: the first are given back */
	CU_ASSERT_EQUAL(cr_rst_elf_load(fd, &elf, 0), -EEXIST);
	CU_ASSERT_EQUAL(prot_at(zero + 0x1000), -1);
	CU_ASSERT_EQUAL(prot_at(zero + 0x2000), -1);
	CU_ASSERT_EQUAL(prot_at(zero + 0x5000), PROT_READ | PROT_WRITE);
	munmap(area, 8 * PAGE);
	close(fd);
}

static void test_reserve(void)
{
	char *area = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)area;

	CU_ASSERT_EQUAL(cr_rst_reserve(at, at + PAGE), -EEXIST);
	munmap(area, 4 * PAGE);
	CU_ASSERT_EQUAL(cr_rst_reserve(at, at + 2 * PAGE), 0);
	CU_ASSERT(prot_at(at) == PROT_NONE && prot_at(at + 2 * PAGE) == -1);
	CU_ASSERT_EQUAL(cr_rst_reserve(at - PAGE, at + 4 * PAGE), -EEXIST);
	CU_ASSERT_EQUAL(cr_rst_reserve(at + 2 * PAGE, at + 2 * PAGE), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_reserve(at + 3 * PAGE, at + 2 * PAGE), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_reserve(at + 2 * PAGE, at + 3 * PAGE - 1), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_reserve(at + 2 * PAGE + 8, at + 3 * PAGE), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_reserve(1ull << 60, (1ull << 60) + PAGE), -ENOMEM);
	munmap(area, 2 * PAGE);
}

/* --- how it starts ---------------------------------------------------------------------------- */

static void test_auxv(void)
{
	uint64_t auxv[] = { AT_PHDR,  1, AT_PHENT,  2, AT_PHNUM, 3, AT_BASE, 4,
			    AT_ENTRY, 5, AT_EXECFN, 6, 99,       7, AT_NULL, 0 };
	struct cr_rst_elf program = { .phdr = 0x40, .phnum = 9, .entry = 0x77 };
	struct cr_rst_elf interpreter = { .bias = 0x5000 };

	CU_ASSERT_EQUAL(cr_rst_elf_auxv(&program, &interpreter, "name", auxv), 0);
	CU_ASSERT(auxv[1] == 0x40 && auxv[3] == 56 && auxv[5] == 9 && auxv[7] == 0x5000);
	CU_ASSERT(auxv[9] == 0x77 && auxv[13] == 7);
	CU_ASSERT_STRING_EQUAL((char *)(uintptr_t)auxv[11], "name");
	CU_ASSERT_EQUAL(cr_rst_elf_auxv(&program, NULL, "name", auxv), 0);
	CU_ASSERT_EQUAL(auxv[7], 0);
	program.phdr = 0;
	CU_ASSERT_EQUAL(cr_rst_elf_auxv(&program, NULL, "name", auxv), 0);
	CU_ASSERT(auxv[1] == 0 && auxv[5] == 0);
	program.entry = 0x78;
	auxv[10] = 98;
	CU_ASSERT_EQUAL(cr_rst_elf_auxv(&program, NULL, "name", auxv), -ENOENT);
	CU_ASSERT_EQUAL(auxv[9], 0x77);
}

static void test_stack(void)
{
	static const char *const argv[] = { "program", "", "a word", NULL }, *const envp[] = {
		"A=1", "BB=2", NULL
	};
	static const uint64_t auxv[] = { 3, 4, 5, 6, AT_NULL, 0 };
	static _Alignas(16) char memory[1024];
	uint64_t low = (uintptr_t)memory;
	int64_t need = cr_rst_stack_size(argv, envp, auxv);
	struct cr_rst_mm_map map = { .brk = 5 };

	CU_ASSERT_FATAL(need > 0 && need < 512);
	CU_ASSERT_EQUAL(cr_rst_stack_build(low, low + (uint64_t)need - 1, argv, envp, auxv, &map),
			-E2BIG);
	CU_ASSERT_EQUAL(cr_rst_stack_build(low + 1024, low, argv, envp, auxv, &map), -E2BIG);
	/* whatever the ends are, the stack is aligned and within them */
	for (uint64_t off = 1; off < 17; off++) {
		memset(memory, 0x55, sizeof(memory));
		int64_t stack = cr_rst_stack_build(low + off, low + off + (uint64_t)need, argv,
						   envp, auxv, &map);
		const uint64_t *w = (const void *)(uintptr_t)stack;

		CU_ASSERT_FATAL(stack > 0 && stack % 16 == 0 && (uint64_t)stack >= low + off);
		CU_ASSERT(is_all(low, low + off, 0x55));
		CU_ASSERT(is_all(low + off + (uint64_t)need, low + 1024, 0x55));
		CU_ASSERT(w[0] == 3 && w[4] == 0 && w[7] == 0);
		for (int i = 0; i < 3; i++)
			CU_ASSERT_STRING_EQUAL((char *)(uintptr_t)w[1 + i], argv[i]);
		for (int i = 0; i < 2; i++)
			CU_ASSERT_STRING_EQUAL((char *)(uintptr_t)w[5 + i], envp[i]);
		CU_ASSERT_EQUAL(memcmp(w + 8, auxv, sizeof(auxv)), 0);
		CU_ASSERT(map.start_stack == (uint64_t)stack && map.auxv == (uintptr_t)(w + 8));
		CU_ASSERT(map.auxv_size == sizeof(auxv) && map.brk == 5);
		CU_ASSERT(map.arg_start == w[1] && map.arg_end == w[5] && map.env_start == w[5]);
		CU_ASSERT_EQUAL(map.env_end, w[6] + 5);
		CU_ASSERT_EQUAL(memcmp((void *)(uintptr_t)w[1], "program\0\0a word\0A=1\0BB=2", 25),
				0);
	}
}

static void test_fields(void)
{
	struct cr_rst_elf elf = {
		.start_code = 1,
		.end_code = 2,
		.start_data = 3,
		.end_data = 4,
		.brk = 5,
		.end = 6,
	};
	struct cr_rst_mm_map map = { .start_stack = 9 };

	cr_rst_elf_fields(&elf, &map);
	CU_ASSERT(map.start_code == 1 && map.end_code == 2 && map.start_data == 3);
	CU_ASSERT(map.end_data == 4 && map.start_brk == 6 && map.brk == 6 && map.start_stack == 9);
}

static void test_stack_protect(void)
{
	char *area =
		mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t at = (uintptr_t)area;

	mprotect(area, PAGE, PROT_NONE);
	mprotect(area + 2 * PAGE, PAGE, PROT_READ);
	CU_ASSERT_EQUAL(cr_rst_stack_protect(maps, at + PAGE + 5, PROT_READ | PROT_EXEC), 0);
	CU_ASSERT(prot_at(at) == PROT_NONE && prot_at(at + PAGE) == (PROT_READ | PROT_EXEC));
	CU_ASSERT_EQUAL(prot_at(at + 2 * PAGE), PROT_READ);
	munmap(area, 3 * PAGE);
	CU_ASSERT_EQUAL(cr_rst_stack_protect(maps, at, PROT_READ), -ENOENT);
	close(maps);
}

/* A program of one piece of code: it exits with the sum of its registers and what its stack holds. */
__asm__(".pushsection .text\n"
	".globl jumped_to\n"
	"jumped_to:\n"
	"	mov %rax, %rdi\n"
	"	or %rbx, %rdi\n	or %rcx, %rdi\n	or %rdx, %rdi\n	or %rsi, %rdi\n"
	"	or %rbp, %rdi\n	or %r8, %rdi\n	or %r9, %rdi\n	or %r10, %rdi\n"
	"	or %r11, %rdi\n	or %r12, %rdi\n	or %r13, %rdi\n	or %r14, %rdi\n"
	"	or %r15, %rdi\n"
	"	add (%rsp), %rdi\n"
	"	mov $231, %eax\n"
	"	syscall\n"
	"	ud2\n"
	".popsection\n");
void jumped_to(void);

static int jump(struct room *room)
{
	uint64_t *stack = (uint64_t *)(room->one[0].stack + 4096);

	*stack = DONE;
	cr_rst_jump((uintptr_t)stack, (uintptr_t)jumped_to);
}

static void test_jump(void)
{
	struct room *room = room_new();

	CU_ASSERT_EQUAL(room_scratch(jump, room), DONE);
	room_free(room);
}

int main(void)
{
	CU_TestInfo read[] = {
		{ "headers", test_read },
		{ "wrong numbers", test_wrong_numbers },
		{ "wrong files", test_wrong_files },
		{ "too many segments", test_many_segments },
		{ "every byte", test_every_byte },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo load[] = {
		{ "anywhere", test_load },
		{ "at its own addresses", test_load_fixed },
		{ "reserved ranges", test_reserve },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo start[] = {
		{ "auxiliary vector", test_auxv },
		{ "stack", test_stack },
		{ "fields", test_fields },
		{ "protection of a stack", test_stack_protect },
		{ "jump", test_jump },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer, executables read", NULL, NULL, NULL, NULL, read },
		{ "restorer, executables mapped", NULL, NULL, NULL, NULL, load },
		{ "restorer, a start", NULL, NULL, NULL, NULL, start },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
