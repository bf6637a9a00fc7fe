/* SPDX-License-Identifier: MIT */
/*
 * An executable is read, and every number in it checked, before anything is mapped; then it is
 * mapped, or nothing of it. What is checked stays in the caller's memory, so a file that changes in
 * between does not matter but for its contents.
 */
#include <asm/stat.h>
#include <linux/elf.h>
#include <linux/stat.h>

#include "rst.h"

#define MAX_HEADERS 1024
#define MAX_ALIGN (1ull << 30)

static uint64_t page_down(uint64_t address)
{
	return address & ~(RST_PAGE - 1);
}

static uint64_t page_up(uint64_t address)
{
	return page_down(address + RST_PAGE - 1);
}

static uint64_t segment_start(const struct cr_rst_segment *s)
{
	return page_down(s->address);
}

static uint64_t segment_end(const struct cr_rst_segment *s)
{
	return page_up(s->address + s->mem);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int64_t read_at(int fd, void *to, size_t n, uint64_t offset)
{
	for (size_t done = 0; done < n;) {
		int64_t got = rst_call(__NR_pread64, (uint64_t)(int64_t)fd, (uintptr_t)to + done,
				       n - done, offset + done, 0, 0);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got ? got : -ENOEXEC;
		done += (size_t)got;
	}
	return 0;
}

static int is_ours(const struct elf64_hdr *h)
{
	return h->e_ident[EI_MAG0] == ELFMAG0 && h->e_ident[EI_MAG1] == ELFMAG1 &&
	       h->e_ident[EI_MAG2] == ELFMAG2 && h->e_ident[EI_MAG3] == ELFMAG3 &&
	       h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_ident[EI_DATA] == ELFDATA2LSB &&
	       h->e_ident[EI_VERSION] == EV_CURRENT && h->e_machine == RST_ELF_MACHINE &&
	       (h->e_type == ET_EXEC || h->e_type == ET_DYN);
}

static uint32_t protection(uint32_t flags)
{
	return (flags & PF_R ? PROT_READ : 0u) | (flags & PF_W ? PROT_WRITE : 0u) |
	       (flags & PF_X ? PROT_EXEC : 0u);
}

static int is_within(uint64_t at, uint64_t n, uint64_t size)
{
	return at <= size && n <= size - at;
}

static int is_sound(const struct elf64_phdr *p, uint64_t size)
{
	if (p->p_align > MAX_ALIGN || p->p_align & (p->p_align - 1))
		return 0;
	if (p->p_filesz > p->p_memsz || !is_within(p->p_vaddr, p->p_memsz, RST_USER_END))
		return 0;
	/* Without bytes in the file the offset means nothing. */
	return !p->p_filesz || (is_within(p->p_offset, p->p_filesz, size) &&
				!((p->p_vaddr ^ p->p_offset) & (RST_PAGE - 1)));
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* As the kernel finds them when it starts a program. */
static void note_fields(struct cr_rst_elf *elf, const struct cr_rst_segment *s)
{
	if (s->prot & PROT_EXEC) {
		if (!elf->end_code || s->address < elf->start_code)
			elf->start_code = s->address;
		elf->end_code = larger(elf->end_code, s->address + s->file);
	}
	elf->start_data = larger(elf->start_data, s->address);
	elf->end_data = larger(elf->end_data, s->address + s->file);
	elf->brk = larger(elf->brk, s->address + s->mem);
}

static int64_t add_segment(struct cr_rst_elf *elf, const struct elf64_phdr *p, uint64_t size)
{
	struct cr_rst_segment *s = &elf->segment[elf->n_segments];

	if (!is_sound(p, size))
		return -EINVAL;
	if (!p->p_memsz)
		return 0;
	if (elf->n_segments == CR_RST_MAX_SEGMENTS)
		return -E2BIG;
	s->address = p->p_vaddr;
	s->mem = p->p_memsz;
	s->offset = p->p_offset;
	s->file = p->p_filesz;
	s->prot = protection(p->p_flags);
	/* Ascending, and no two in a page. */
	if (elf->n_segments && segment_start(s) < segment_end(s - 1))
		return -EINVAL;
	if (!elf->n_segments)
		elf->start = segment_start(s);
	elf->end = segment_end(s);
	elf->align = larger(elf->align, p->p_align);
	elf->n_segments++;
	note_fields(elf, s);
	return 0;
}

static int64_t read_interpreter(int fd, struct cr_rst_elf *elf, const struct elf64_phdr *p,
				uint64_t size)
{
	char *name = elf->interpreter;
	uint64_t n = p->p_filesz;
	int64_t result;

	if (name[0] || n < 2 || n > sizeof(elf->interpreter) || !is_within(p->p_offset, n, size))
		return -EINVAL;
	result = read_at(fd, name, n, p->p_offset);
	if (result < 0)
		return result;
	for (uint64_t i = 0; i < n - 1; i++)
		if (!name[i])
			return -EINVAL;
	return name[n - 1] ? -EINVAL : 0;
}

static int64_t take_header(int fd, struct cr_rst_elf *elf, const struct elf64_phdr *p,
			   uint64_t size)
{
	if (p->p_type == PT_LOAD)
		return add_segment(elf, p, size);
	if (p->p_type == PT_INTERP)
		return read_interpreter(fd, elf, p, size);
	if (p->p_type == PT_GNU_STACK)
		elf->stack = PROT_READ | PROT_WRITE | (p->p_flags & PF_X ? PROT_EXEC : 0u);
	return 0;
}

/* What a program finds its headers by; they need not be in memory at all. */
static uint64_t headers_at(const struct cr_rst_elf *elf, const struct elf64_hdr *h)
{
	uint64_t n = h->e_phnum * sizeof(struct elf64_phdr);

	for (uint32_t i = 0; i < elf->n_segments; i++) {
		const struct cr_rst_segment *s = &elf->segment[i];

		if (h->e_phoff >= s->offset && is_within(h->e_phoff - s->offset, n, s->file))
			return s->address + h->e_phoff - s->offset;
	}
	return 0;
}

static int begins_in_code(const struct cr_rst_elf *elf)
{
	for (uint32_t i = 0; i < elf->n_segments; i++) {
		const struct cr_rst_segment *s = &elf->segment[i];

		if (s->prot & PROT_EXEC && elf->entry >= s->address &&
		    elf->entry - s->address < s->mem)
			return 1;
	}
	return 0;
}

static int64_t read_headers(int fd, struct cr_rst_elf *elf, const struct elf64_hdr *h,
			    uint64_t size)
{
	int64_t result = 0;

	if (h->e_phentsize != sizeof(struct elf64_phdr) || !h->e_phnum)
		return -EINVAL;
	if (h->e_phnum > MAX_HEADERS)
		return -E2BIG;
	if (!is_within(h->e_phoff, h->e_phnum * sizeof(struct elf64_phdr), size))
		return -EINVAL;
	for (uint64_t i = 0; i < h->e_phnum && result == 0; i++) {
		struct elf64_phdr p;

		result = read_at(fd, &p, sizeof(p), h->e_phoff + i * sizeof(p));
		if (result == 0)
			result = take_header(fd, elf, &p, size);
	}
	return result;
}

int64_t cr_rst_elf_read(int fd, struct cr_rst_elf *elf)
{
	struct elf64_hdr h;
	struct stat st;
	int64_t result = rst_call3(__NR_fstat, (uint64_t)(int64_t)fd, (uintptr_t)&st, 0);

	memset(elf, 0, sizeof(*elf));
	if (result == 0 && !S_ISREG(st.st_mode))
		result = -ENOEXEC;
	if (result == 0)
		result = read_at(fd, &h, sizeof(h), 0);
	if (result < 0)
		return result;
	if (!is_ours(&h))
		return -ENOEXEC;
	elf->entry = h.e_entry;
	elf->fixed = h.e_type == ET_EXEC;
	elf->phnum = h.e_phnum;
	elf->align = RST_PAGE;
	elf->stack = PROT_READ | PROT_WRITE;
	result = read_headers(fd, elf, &h, (uint64_t)st.st_size);
	if (result < 0)
		return result;
	elf->phdr = headers_at(elf, &h);
	return begins_in_code(elf) ? 0 : -EINVAL;
}

/* --- mapping ---------------------------------------------------------------------------------- */

static int64_t map(uint64_t at, uint64_t end, uint32_t prot, uint32_t flags, int fd,
		   uint64_t offset)
{
	int64_t result = rst_call(__NR_mmap, at, end - at, prot, MAP_PRIVATE | flags,
				  (uint64_t)(int64_t)fd, offset);

	return result < 0 && result >= -4095 ? result : 0;
}

int64_t cr_rst_reserve(uint64_t start, uint64_t end)
{
	if ((start | end) & (RST_PAGE - 1) || start >= end)
		return -EINVAL;
	return map(start, end, PROT_NONE, MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		   0);
}

static void unmap(uint64_t start, uint64_t end)
{
	if (start < end)
		rst_munmap(start, end - start);
}

static void unmap_segments(const struct cr_rst_elf *elf, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		unmap(segment_start(&elf->segment[i]), segment_end(&elf->segment[i]));
}

/* Each segment alone, since what lies between them may be anybody's. */
static int64_t claim_fixed(const struct cr_rst_elf *elf)
{
	int64_t result = 0;
	uint32_t i;

	for (i = 0; i < elf->n_segments && result == 0; i++)
		result = cr_rst_reserve(segment_start(&elf->segment[i]),
					segment_end(&elf->segment[i]));
	if (result < 0)
		unmap_segments(elf, i - 1);
	return result;
}

/* Somewhere, with the alignment that is asked for: more than is needed, and both ends given back. */
static int64_t claim_somewhere(const struct cr_rst_elf *elf, uint64_t *at)
{
	uint64_t span = elf->end - elf->start;
	uint64_t all = span + (elf->align > RST_PAGE ? elf->align : 0);
	int64_t got = rst_call(__NR_mmap, 0, all, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, (uint64_t)-1, 0);

	if (got < 0)
		return got;
	*at = (uint64_t)got + ((elf->start - (uint64_t)got) & (elf->align - 1));
	unmap((uint64_t)got, *at);
	unmap(*at + span, (uint64_t)got + all);
	return 0;
}

static int64_t claim(const struct cr_rst_elf *elf, uint64_t *at)
{
	if (elf->fixed) {
		*at = elf->start;
		return claim_fixed(elf);
	}
	if (!*at)
		return claim_somewhere(elf, at);
	if ((*at - elf->start) & (elf->align - 1))
		return -EINVAL;
	return cr_rst_reserve(*at, *at + (elf->end - elf->start));
}

/* The rest of the page in which the file's bytes end is of what comes next in the file. */
static int64_t clear_rest(const struct cr_rst_segment *s, uint64_t file_end)
{
	uint64_t from = s->address + s->file;

	rst_fill((void *)(uintptr_t)from, 0, file_end - from);
	if (s->prot & PROT_WRITE)
		return 0;
	return rst_call3(__NR_mprotect, segment_start(s), file_end - segment_start(s), s->prot);
}

static int64_t map_segment(int fd, const struct cr_rst_segment *s)
{
	uint64_t start = segment_start(s), end = segment_end(s);
	uint64_t file_end = s->file ? page_up(s->address + s->file) : start;
	int has_rest = s->file && s->mem > s->file && s->address + s->file != file_end;
	uint32_t prot = has_rest && !(s->prot & PROT_WRITE) ? PROT_READ | PROT_WRITE : s->prot;
	int64_t result = 0;

	if (s->file)
		result = map(start, file_end, prot, MAP_FIXED, fd, page_down(s->offset));
	if (result == 0 && end > file_end)
		result = map(file_end, end, s->prot, MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	return result == 0 && has_rest ? clear_rest(s, file_end) : result;
}

static void unmap_holes(const struct cr_rst_elf *elf)
{
	for (uint32_t i = 1; i < elf->n_segments; i++)
		unmap(segment_end(&elf->segment[i - 1]), segment_start(&elf->segment[i]));
}

static void rebase(struct cr_rst_elf *elf, uint64_t by)
{
	uint64_t *const all[] = { &elf->entry,      &elf->start,    &elf->end,
				  &elf->start_code, &elf->end_code, &elf->start_data,
				  &elf->end_data,   &elf->brk };

	for (unsigned int i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		*all[i] += by;
	if (elf->phdr)
		elf->phdr += by;
	for (uint32_t i = 0; i < elf->n_segments; i++)
		elf->segment[i].address += by;
	elf->bias += by;
}

int64_t cr_rst_elf_load(int fd, struct cr_rst_elf *elf, uint64_t at)
{
	uint64_t by;
	int64_t result = claim(elf, &at);

	if (result < 0)
		return result;
	by = at - elf->start;
	rebase(elf, by);
	if (!elf->fixed)
		unmap_holes(elf);
	for (uint32_t i = 0; i < elf->n_segments && result == 0; i++)
		result = map_segment(fd, &elf->segment[i]);
	if (result < 0) {
		unmap_segments(elf, elf->n_segments);
		rebase(elf, 0 - by);
	}
	return result;
}
