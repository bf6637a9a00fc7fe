/* SPDX-License-Identifier: MIT */
/* The vDSO of x86-64: an ELF file in memory, which may have come from an image. */
#include "arch/arch.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define PREFIX "__vdso_"
#define MAX_FUNCTIONS 64u
#define MAX_NAME 64u

/* --- ELF ------------------------------------------------------------------------------------------ */

struct elf {
	const uint8_t *p;
	uint64_t size;
	Elf64_Ehdr head;
	uint64_t bias;                                           /* of addresses against offsets */
	uint64_t symbols, strings, strings_size, hash, gnu_hash; /* offsets; 0: not there */
	uint64_t n_symbols;
};

static bool take(const struct elf *f, uint64_t at, void *to, size_t n)
{
	if (at > f->size || f->size - at < n)
		return false;
	memcpy(to, f->p + at, n);
	return true;
}

static bool take_word(const struct elf *f, uint64_t at, uint32_t *to)
{
	return take(f, at, to, sizeof(*to));
}

static bool elf_open(struct elf *f, const void *image, size_t size)
{
	*f = (struct elf){ .p = image, .size = size };
	return take(f, 0, &f->head, sizeof(f->head)) && !memcmp(f->head.e_ident, ELFMAG, SELFMAG) &&
	       f->head.e_ident[EI_CLASS] == ELFCLASS64 && f->head.e_phentsize == sizeof(Elf64_Phdr);
}

static bool take_segment(const struct elf *f, unsigned int i, Elf64_Phdr *to)
{
	uint64_t at = f->head.e_phoff + (uint64_t)i * sizeof(*to);

	/* the sum does not wrap around: an offset beyond the end is refused first */
	return f->head.e_phoff <= f->size && take(f, at, to, sizeof(*to)) &&
	       to->p_offset <= f->size && to->p_filesz <= f->size - to->p_offset;
}

static void read_dynamic(struct elf *f, const Elf64_Phdr *ph)
{
	for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= ph->p_filesz; at += sizeof(Elf64_Dyn)) {
		Elf64_Dyn d;

		if (!take(f, ph->p_offset + at, &d, sizeof(d)) || d.d_tag == DT_NULL)
			return;
		if (d.d_tag == DT_SYMTAB)
			f->symbols = d.d_un.d_ptr - f->bias;
		else if (d.d_tag == DT_STRTAB)
			f->strings = d.d_un.d_ptr - f->bias;
		else if (d.d_tag == DT_STRSZ)
			f->strings_size = d.d_un.d_val;
		else if (d.d_tag == DT_HASH)
			f->hash = d.d_un.d_ptr - f->bias;
		else if (d.d_tag == DT_GNU_HASH)
			f->gnu_hash = d.d_un.d_ptr - f->bias;
	}
}

/* The last chain of the table ends with the last symbol. */
static uint64_t count_by_gnu_hash(const struct elf *f)
{
	struct {
		uint32_t n_buckets, first, n_filters, shift;
	} head;
	uint64_t at = f->gnu_hash, chains;
	uint32_t last = 0, word;

	if (!take(f, at, &head, sizeof(head)))
		return 0;
	at += sizeof(head) + (uint64_t)head.n_filters * 8;
	chains = at + (uint64_t)head.n_buckets * 4;
	for (uint32_t i = 0; i < head.n_buckets; i++, at += 4) {
		if (!take_word(f, at, &word))
			return 0;
		if (word > last)
			last = word;
	}
	if (last < head.first)
		return head.first;
	while (take_word(f, chains + (uint64_t)(last - head.first) * 4, &word)) {
		if (word & 1)
			return (uint64_t)last + 1;
		last++;
	}
	return 0;
}

/* How many symbols there are is told by the tables to find them alone. */
static bool find_symbols(struct elf *f)
{
	uint32_t n = 0;

	for (unsigned int i = 0; i < f->head.e_phnum; i++) {
		Elf64_Phdr ph;

		if (!take_segment(f, i, &ph))
			return false;
		if (ph.p_type == PT_LOAD && !ph.p_offset)
			f->bias = ph.p_vaddr;
	}
	for (unsigned int i = 0; i < f->head.e_phnum; i++) {
		Elf64_Phdr ph;

		if (take_segment(f, i, &ph) && ph.p_type == PT_DYNAMIC)
			read_dynamic(f, &ph);
	}
	if (f->hash && take_word(f, f->hash + 4, &n))
		f->n_symbols = n;
	else if (f->gnu_hash)
		f->n_symbols = count_by_gnu_hash(f);
	return f->symbols && f->symbols < f->size && f->strings && f->strings < f->size &&
	       f->strings_size <= f->size - f->strings &&
	       f->n_symbols <= (f->size - f->symbols) / sizeof(Elf64_Sym);
}

/* --- the build id ----------------------------------------------------------------------------------- */

static uint32_t note_build_id(const uint8_t *p, const uint8_t *end, uint8_t id[32])
{
	Elf64_Nhdr n;

	while ((size_t)(end - p) >= sizeof(n)) {
		size_t name, desc;

		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		name = ((size_t)n.n_namesz + 3) & ~3ul;
		desc = ((size_t)n.n_descsz + 3) & ~3ul;
		if (name > (size_t)(end - p) || desc > (size_t)(end - p) - name)
			return 0;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(p, "GNU", 4) &&
		    n.n_descsz && n.n_descsz <= 32) {
			memcpy(id, p + name, n.n_descsz);
			return n.n_descsz;
		}
		p += name + desc;
	}
	return 0;
}

uint32_t arch_elf_build_id(const void *image, size_t size, uint8_t id[32])
{
	struct elf f;

	if (!elf_open(&f, image, size))
		return 0;
	for (unsigned int i = 0; i < f.head.e_phnum; i++) {
		const uint8_t *note;
		Elf64_Phdr ph;
		uint32_t n;

		/* Of a file's first page some segments are not there. */
		if (!take_segment(&f, i, &ph) || ph.p_type != PT_NOTE)
			continue;
		note = f.p + ph.p_offset;
		n = note_build_id(note, note + ph.p_filesz, id);
		if (n)
			return n;
	}
	return 0;
}

/* --- functions --------------------------------------------------------------------------------------- */

struct function {
	uint64_t at;
	char name[MAX_NAME]; /* without the prefix, so that aliases are equal */
};
struct functions {
	struct function v[MAX_FUNCTIONS];
	size_t n;
};

static bool take_name(const struct elf *f, uint64_t at, char out[MAX_NAME])
{
	for (size_t i = 0; i < MAX_NAME; i++) {
		if (at + i >= f->strings_size)
			return false;
		out[i] = (char)f->p[f->strings + at + i];
		if (!out[i])
			return i > 0;
		if (!isalnum((unsigned char)out[i]) && out[i] != '_')
			return false;
	}
	return false;
}

static int by_place(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static bool read_functions(const void *image, size_t size, struct functions *out)
{
	struct elf f;

	out->n = 0;
	if (!elf_open(&f, image, size) || f.head.e_machine != EM_X86_64 || !find_symbols(&f))
		return false;
	for (uint64_t i = 0; i < f.n_symbols; i++) {
		struct function *to = &out->v[out->n];
		Elf64_Sym s;

		if (!take(&f, f.symbols + i * sizeof(s), &s, sizeof(s)))
			return false;
		if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx == SHN_UNDEF)
			continue;
		to->at = s.st_value - f.bias;
		if (out->n == MAX_FUNCTIONS - 1 || to->at >= size ||
		    !take_name(&f, s.st_name, to->name))
			return false;
		if (!strncmp(to->name, PREFIX, strlen(PREFIX)))
			memmove(to->name, to->name + strlen(PREFIX),
				strlen(to->name + strlen(PREFIX)) + 1);
		out->n++;
	}
	qsort(out->v, out->n, sizeof(out->v[0]), by_place);
	return out->n > 0;
}

bool arch_vdso_is_begin(const void *image, size_t size, uint64_t at)
{
	struct functions all;

	if (!read_functions(image, size, &all))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		if (all.v[i].at == at)
			return true;
	}
	return false;
}

/* --- ways into another vDSO ---------------------------------------------------------------------------- */

#define LEAST 16u /* functions begin at multiples of it */

struct piece {
	uint8_t size, bytes[LEAST];
};

/* Arguments of functions and of system calls differ from the fourth on; none of these has one. */
#define CALL(nr)                                                             \
	{                                                                    \
		8,                                                           \
		{                                                            \
			0xb8, (nr)&255, (nr) >> 8, 0, 0, /* mov $nr, %eax */ \
				0x0f, 0x05,              /* syscall */       \
				0xc3                                         \
		}                                                            \
	} /* ret */

static const struct {
	const char *name;
	struct piece piece;
} calls[] = {
	{ "clock_gettime", CALL(SYS_clock_gettime) },
	{ "gettimeofday", CALL(SYS_gettimeofday) },
	{ "time", CALL(SYS_time) },
	{ "clock_getres", CALL(SYS_clock_getres) },
	{ "getcpu", CALL(SYS_getcpu) },
	/* With -1 for the size of the state it is asked how large one is, which gets EINVAL: there are none. */
	{ "getrandom",
	  { 16,
	    { 0xb8, SYS_getrandom & 255, SYS_getrandom >> 8, 0, 0, /* mov $nr, %eax */
	      0x49, 0xff, 0xc0,                                    /*    inc %r8 */
	      0x75, 0x03,                                          /*    jnz 1f */
	      0x83, 0xca, 0xff, /*    or  $-1, %edx    the flags */
	      0x0f, 0x05,       /* 1: syscall */
	      0xc3 } } },       /*    ret */
};

static const struct piece no_call = {
	8,
	{ 0x48, 0xc7, 0xc0, (uint8_t)-ENOSYS, 0xff, 0xff, 0xff, /* mov $-ENOSYS, %rax */
	  0xc3 }                                                /* ret */
};

static struct piece jump_to(uint64_t address)
{
	struct piece p = {
		14, { 0xff, 0x25, 0, 0, 0, 0 }
	}; /* jmp *0(%rip), which changes no register */

	memcpy(p.bytes + 6, &address, sizeof(address));
	return p;
}

/* Any of the names that a function has will do. */
static const struct function *find_same(const struct functions *of, const struct function *f,
					size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < of->n; k++) {
			if (!strcmp(of->v[k].name, f[i].name))
				return &of->v[k];
		}
	}
	return NULL;
}

static const struct piece *find_call(const struct function *f, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(calls) / sizeof(calls[0]); k++) {
			if (!strcmp(calls[k].name, f[i].name))
				return &calls[k].piece;
		}
	}
	return NULL;
}

int arch_vdso_redirect(void *old, size_t size, const void *now, size_t now_size, uint64_t now_at,
		       char missing[64], struct error *e)
{
	struct functions from, to = { .n = 0 };
	size_t n;

	missing[0] = '\0';
	if (!read_functions(old, size, &from))
		return fail(e, 0, "it is not a vDSO whose functions can be found");
	if (now_size && !read_functions(now, now_size, &to))
		return fail(e, 0, "the functions of this kernel's vDSO cannot be found");
	for (size_t i = 0; i < from.n; i += n) {
		const struct function *f = &from.v[i], *same;
		const struct piece *call;
		struct piece p;
		uint64_t end;

		for (n = 1; i + n < from.n && f[n].at == f->at;)
			n++;
		end = i + n < from.n ? f[n].at : size;
		same = find_same(&to, f, n);
		call = find_call(f, n);
		p = same ? jump_to(now_at + same->at) : call ? *call : no_call;
		if (!same && !call && strcmp(f->name, "sgx_enter_enclave") && !*missing)
			strcpy(missing, f->name);
		if (end - f->at < p.size)
			return fail(e, 0,
				    "its function %s has %llu bytes, too few to lead into another",
				    f->name, (unsigned long long)(end - f->at));
		memcpy((uint8_t *)old + f->at, p.bytes, p.size);
	}
	return 0;
}
