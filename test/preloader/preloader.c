/* SPDX-License-Identifier: MIT */
/*
 * A preloader in the manner of Wine's, static and without a libc, and an example of how the
 * restorer library is used by one:
 *
 * preloader [--reserve START-END]... [--ways N] [--tell] [--] PROGRAM [ARGUMENT]...
 *
 * It keeps the ranges of addresses free of anything else, loads PROGRAM (a path) and its
 * interpreter, gives it arguments, environment and auxiliary vector, takes its name in /proc, makes
 * it the executable of the process, and jumps. What the kernel does not let it take over it says on
 * standard error, and runs PROGRAM all the same. --ways allows only some of the ways to the exe
 * link (CR_RST_WAY_*), --tell says which one was taken. Exit status: that of PROGRAM; 125 if it
 * could not be loaded; 2 for a wrong command line.
 *
 * It is linked at an address where no program is:
 *
 *	cc -O2 -nostdlib -static -Wl,-Ttext-segment=0x7d400000 -o preloader preloader.c \
 *		$(pkg-config --cflags --libs cr-restorer)
 */
#include <asm/errno.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#include "bare.h"
#include "cr-restorer.h"

#define MAX_RANGES 32
#define USAGE 2
#define NOT_LOADED 125

/* Where Linux puts position independent programs, and how much it shuffles them. */
#define PROGRAM_BASE 0x555555554000ull
#define SHUFFLED_PAGES (1ull << 28)
#define ADDR_NO_RANDOMIZE 0x40000

struct options {
	uint32_t ways;
	int tell;
	char **words; /* the program and its arguments */
};

struct loaded {
	struct cr_rst_elf program, interpreter;
	int fd; /* of the program */
	int has_interpreter;
};

/* --- saying ----------------------------------------------------------------------------------- */

static const struct {
	int64_t error;
	char text[64];
} reasons[] = {
	{ -EPERM, "no right to that (CAP_CHECKPOINT_RESTORE)" },
	{ -ENOENT, "no such file" },
	{ -EACCES, "permission denied, or it may not be executed" },
	{ -EBUSY, "the own executable is mapped" },
	{ -EEXIST, "something is mapped there" },
	{ -EINVAL, "a number is wrong, or this kernel cannot do it" },
	{ -ENOEXEC, "no executable of this machine" },
	{ -ENOMEM, "no such addresses, or a limit on memory" },
	{ -E2BIG, "too many parts" },
};

struct text {
	char bytes[1024];
	size_t n;
};

static void add(struct text *t, const char *word)
{
	size_t n = bare_length(word);

	if (n > sizeof(t->bytes) - t->n - 64)
		n = sizeof(t->bytes) - t->n - 64;
	memcpy(t->bytes + t->n, word, n);
	t->n += n;
}

static void add_reason(struct text *t, int64_t error)
{
	for (unsigned int i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].error == error) {
			add(t, reasons[i].text);
			return;
		}
	}
	add(t, "error ");
	t->n += bare_decimal(t->bytes + t->n, error);
}

static void print(struct text *t)
{
	t->bytes[t->n++] = '\n';
	call(__NR_write, 2, (uintptr_t)t->bytes, t->n, 0);
}

/* preloader: WHAT: REASON[REST] */
static void say(const char *what, int64_t error, const char *rest)
{
	struct text t = { .n = 0 };

	add(&t, "preloader: ");
	add(&t, what);
	add(&t, ": ");
	add_reason(&t, error);
	add(&t, rest);
	print(&t);
}

__attribute__((noreturn)) static void give_up(const char *what, int64_t error)
{
	say(what, error, "");
	bare_exit(NOT_LOADED);
}

/* --- the command line ------------------------------------------------------------------------- */

__attribute__((noreturn)) static void usage(void)
{
	struct text t = { .n = 0 };

	add(&t, "usage: preloader [--reserve START-END]... [--ways N] [--tell] [--] PROGRAM "
		"[ARGUMENT]...");
	print(&t);
	bare_exit(USAGE);
}

static int is_word(const char *word, const char *wanted)
{
	while (*word && *word == *wanted)
		word++, wanted++;
	return *word == *wanted;
}

/* Hexadecimal, up to `end`. */
static uint64_t address(const char **text, char end)
{
	uint64_t value = 0;
	const char *c = *text;

	if (c[0] == '0' && c[1] == 'x')
		c += 2;
	for (const char *first = c; *c != end || c == first; c++) {
		char low = *c | 0x20;

		if (*c >= '0' && *c <= '9')
			value = value * 16 + (uint64_t)(*c - '0');
		else if (low >= 'a' && low <= 'f')
			value = value * 16 + (uint64_t)(low - 'a' + 10);
		else
			usage();
		if (c - first == 16)
			usage();
	}
	*text = c + (end != 0);
	return value;
}

/* A range that is taken already, by the stack perhaps, is not free: better not to begin. */
static void reserve(const char *range)
{
	const char *text = range;
	uint64_t start = address(&text, '-'), end = address(&text, 0);
	int64_t result = cr_rst_reserve(start, end);

	if (result < 0)
		give_up(range, result);
}

static void read_options(char **word, struct options *o)
{
	for (word++; word[0] && word[0][0] == '-'; word++) {
		if (is_word(word[0], "--")) {
			word++;
			break;
		} else if (is_word(word[0], "--tell")) {
			o->tell = 1;
		} else if (is_word(word[0], "--reserve") && word[1]) {
			reserve(*++word);
		} else if (is_word(word[0], "--ways") && word[1]) {
			const char *text = *++word;

			o->ways = (uint32_t)address(&text, 0);
		} else {
			usage();
		}
	}
	if (!word[0])
		usage();
	o->words = word;
}

/* --- loading ---------------------------------------------------------------------------------- */

static int open_file(const char *path)
{
	int64_t fd =
		call(__NR_openat, (uint64_t)AT_FDCWD, (uintptr_t)path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		give_up(path, fd);
	return (int)fd;
}

/* Where a program would be without us; 0 (anywhere) for one that has its own addresses. */
static uint64_t place(const struct cr_rst_elf *elf)
{
	uint64_t random = 0;

	if (!(call(__NR_personality, 0xffffffff, 0, 0, 0) & ADDR_NO_RANDOMIZE))
		call(__NR_getrandom, (uintptr_t)&random, sizeof(random), 0, 0);

	uint64_t base = PROGRAM_BASE + (random % SHUFFLED_PAGES) * 4096;

	return base + ((elf->start - base) & (elf->align - 1));
}

static void load_one(const char *path, int fd, struct cr_rst_elf *elf, int is_program)
{
	int64_t result = cr_rst_elf_read(fd, elf);

	if (result < 0)
		give_up(path, result);
	result = cr_rst_elf_load(fd, elf, is_program ? place(elf) : 0);
	if (result == -EEXIST && !elf->fixed)
		result = cr_rst_elf_load(fd, elf, 0);
	if (result < 0)
		give_up(path, result);
}

static void load(const char *path, struct loaded *l)
{
	l->fd = open_file(path);
	load_one(path, l->fd, &l->program, 1);
	l->has_interpreter = l->program.interpreter[0] != 0;
	if (l->has_interpreter) {
		int fd = open_file(l->program.interpreter);

		load_one(l->program.interpreter, fd, &l->interpreter, 0);
		call(__NR_close, (uint64_t)fd, 0, 0, 0);
	}
}

/* --- being taken for it ----------------------------------------------------------------------- */

static void tell(const struct cr_rst_told *told)
{
	struct text t = { .n = 0 };

	add(&t, "preloader: way ");
	t.n += bare_decimal(t.bytes + t.n, told->way);
	add(&t, " by ");
	add(&t, told->by == CR_RST_BY_MAP ? "PR_SET_MM_MAP" : "PR_SET_MM_EXE_FILE");
	print(&t);
}

static void take_link(int maps, uint64_t own_entry, int fd, const struct options *o)
{
	struct cr_rst_range own[MAX_RANGES];
	struct cr_rst_told told;
	int64_t n = cr_rst_file_ranges(maps, own_entry, own, MAX_RANGES);
	int64_t again = -1, result = n;
	int itself = open_file("/proc/self/exe");

	if (n > MAX_RANGES)
		result = -E2BIG;
	if (!o->ways || o->ways & CR_RST_WAY_MOUNT)
		again = cr_rst_open_again("/proc/self/exe");
	if (result >= 0)
		result = cr_rst_set_exe(fd, own, (size_t)n, o->ways, (int)again, &told);
	if (again >= 0)
		call(__NR_close, (uint64_t)again, 0, 0, 0);
	/* The link is another now, so the own file may be mapped under its own path again. */
	if (result >= 0)
		cr_rst_replace(CR_RST_WAY_MOUNT, own, (size_t)n, itself);
	call(__NR_close, (uint64_t)itself, 0, 0, 0);
	if (result < 0)
		say("/proc/self/exe stays that of the preloader", result,
		    "; the program runs all the same");
	else if (o->tell)
		tell(&told);
}

static void take_name(const char *path)
{
	const char *name = path;

	for (const char *c = path; *c; c++)
		if (*c == '/')
			name = c + 1;
	call(__NR_prctl, PR_SET_NAME, (uintptr_t)name, 0, 0);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* The stack goes on below what is built for the program; the preloader's own is lost with the jump. */
__attribute__((noreturn)) static void start(char **envp, uint64_t *auxv, const struct options *o)
{
	const char *const *words = (const char *const *)o->words;
	const char *const *environment = (const char *const *)envp;
	struct loaded l;
	struct cr_rst_mm_map map;
	uint64_t own_entry = 0;
	int maps = open_file("/proc/self/maps");

	load(o->words[0], &l);
	cr_rst_auxv_get(auxv, AT_ENTRY, &own_entry);

	int64_t result = cr_rst_elf_auxv(&l.program, l.has_interpreter ? &l.interpreter : NULL,
					 o->words[0], auxv);
	size_t size = (size_t)cr_rst_stack_size(words, environment, auxv);
	uint64_t low = (uintptr_t)__builtin_alloca(size);
	int64_t stack = cr_rst_stack_build(low, low + size, words, environment, auxv, &map);

	if (result < 0 || stack < 0)
		give_up("the stack of the program", result < 0 ? result : stack);
	result = cr_rst_stack_protect(maps, low, l.program.stack);
	if (result < 0)
		give_up("the protection of the stack", result);
	cr_rst_elf_fields(&l.program, &map);
	result = cr_rst_set_fields(&map, CR_RST_FIELD_ALL);
	if (result < 0)
		say("arguments and addresses in /proc stay those of the preloader", result,
		    "; the program runs all the same");
	take_link(maps, own_entry, l.fd, o);
	take_name(o->words[0]);
	call(__NR_close, (uint64_t)l.fd, 0, 0, 0);
	call(__NR_close, (uint64_t)maps, 0, 0, 0);
	cr_rst_jump((uint64_t)stack, l.has_interpreter ? l.interpreter.entry : l.program.entry);
}

void begin(uint64_t *stack)
{
	struct options o = { .ways = 0 };
	char **argv = (char **)(stack + 1);
	char **envp = argv + stack[0] + 1;
	char **end = envp;

	while (*end)
		end++;
	read_options(argv, &o);
	start(envp, (uint64_t *)(end + 1), &o);
}
