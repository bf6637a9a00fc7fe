/* SPDX-License-Identifier: MIT */
/*
 * The least that a preloader does: static, without a libc, with its own first instruction. It shows
 * that the restorer library needs nothing but the kernel.
 *
 *	links			runs a plan of three operations whose third one fails
 *	links WAYS FILE		makes FILE the executable of its own process, by the allowed ways
 *
 * It prints `way N` when it has done that. The exit status says what went wrong; see below.
 */
#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/mount.h>

#include "bare.h"
#include "cr-restorer.h"

enum {
	DONE = 0,
	USAGE = 2,
	PLAN_RESULT = 10, /* cr_rst_run() or a result is not what it should be */
	PLAN_REPORT,
	NO_EXE = 20, /* stat or open of /proc/self/exe */
	NO_MAPS,
	NO_RANGES,      /* the own mappings were not found, or without the one that runs */
	NO_FILE,        /* the other executable cannot be opened */
	NO_MOUNT,       /* open_tree refused: needs CAP_SYS_ADMIN */
	BUSY = 30,      /* EBUSY */
	REFUSED,        /* EPERM */
	NOT_EXECUTABLE, /* EACCES */
	FAILED,         /* another error; printed */
	WRONG_WAY = 40, /* another way than the allowed ones */
	WRONG_LINK,
	LOST, /* own contents differ from before */
	LEFT, /* too many or too few mappings of the old executable are left */
};

#define MAX_RANGES 32
#define PAGE 4096ull

/* As in data that a real preloader would have: what was written before must stay. */
static uint64_t written = 1;
static uint64_t zeros[3000];

static uint64_t number(const char *text)
{
	uint64_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (uint64_t)(*text++ - '0');
	return value;
}

static void print(const char *word, int64_t value)
{
	char line[64];
	size_t n = bare_length(word);

	memcpy(line, word, n);
	line[n++] = ' ';
	n += bare_decimal(line + n, value);
	line[n++] = '\n';
	call(__NR_write, 1, (uintptr_t)line, n, 0);
}

/* --- a plan ----------------------------------------------------------------------------------- */

static int run_plan(void)
{
	struct {
		struct cr_rst_plan plan;
		struct cr_rst_op op[3];
		int64_t result[3];
		struct cr_rst_report report;
	} p = {
		.plan = {
			.abi = CR_RST_ABI,
			.task = 77,
			.n_ops = 3,
			.ops = offsetof(typeof(p), op),
			.results = offsetof(typeof(p), result),
			.report = offsetof(typeof(p), report),
		},
		.op = {
			{ .code = CR_RST_CALL, .nr = __NR_getpid, .want_how = CR_RST_WANT_OK },
			{ .code = CR_RST_CALL, .nr = __NR_getppid, .want_how = CR_RST_WANT_OK },
			{ .code = CR_RST_CALL, .nr = __NR_close, .arg = { (uint64_t)-1 } },
		},
	};

	if (cr_rst_run(&p.plan) != -ECANCELED)
		return PLAN_RESULT;
	if (p.result[0] != call(__NR_getpid, 0, 0, 0, 0) || p.result[2] != -EBADF)
		return PLAN_RESULT;
	if (p.report.state != 2 || p.report.task != 77 || p.report.index != 2)
		return PLAN_REPORT;
	return p.report.result == -EBADF ? DONE : PLAN_REPORT;
}

/* --- the exe link ----------------------------------------------------------------------------- */

struct self {
	uint64_t dev, ino;
	int maps;
	size_t n;
	struct cr_rst_range ranges[MAX_RANGES];
	struct cr_rst_mm_map map;
};

static int find_self(struct self *self)
{
	struct stat st;
	int64_t n;
	int runs = 0;

	if (call(__NR_stat, (uintptr_t) "/proc/self/exe", (uintptr_t)&st, 0, 0) < 0)
		return NO_EXE;
	self->dev = st.st_dev;
	self->ino = st.st_ino;
	self->maps = (int)call(__NR_open, (uintptr_t) "/proc/self/maps", O_RDONLY, 0, 0);
	if (self->maps < 0)
		return NO_MAPS;
	n = cr_rst_own_ranges(self->maps, self->dev, self->ino, self->ranges, MAX_RANGES);
	if (n <= 0 || n > MAX_RANGES)
		return NO_RANGES;
	self->n = (size_t)n;
	for (size_t i = 0; i < self->n; i++) {
		const struct cr_rst_range *r = &self->ranges[i];

		if (r->prot & PROT_EXEC && r->start <= (uintptr_t)cr_rst_begin() &&
		    r->end >= (uintptr_t)cr_rst_begin() + cr_rst_size())
			runs = 1;
	}
	return runs ? DONE : NO_RANGES;
}

/* The kernel puts argc, argv, environment and auxiliary vector where the stack begins. */
static void describe_self(struct self *self, uint64_t *stack)
{
	struct cr_rst_mm_map *map = &self->map;
	char **argv = (char **)(stack + 1);
	char **env = argv + stack[0] + 1;
	uint64_t *auxv;
	int n = 0;

	map->start_code = self->ranges[0].start;
	map->end_code = self->ranges[0].end;
	map->start_data = self->ranges[self->n - 1].start;
	map->end_data = self->ranges[self->n - 1].end;
	map->start_brk = (uint64_t)call(__NR_brk, 0, 0, 0, 0);
	map->brk = map->start_brk;
	map->start_stack = (uintptr_t)stack;
	map->arg_start = map->arg_end = (uintptr_t)argv[0];
	map->env_start = map->env_end = (uintptr_t)env[0];
	while (env[n])
		n++;
	auxv = (uint64_t *)&env[n + 1];
	map->auxv = (uintptr_t)auxv;
	for (n = 0; auxv[n]; n += 2)
		;
	map->auxv_size = (uint32_t)(n + 2) * sizeof(*auxv);
}

/* The same file by another path: through a mount that is attached nowhere. */
static int open_again(void)
{
	char path[] = "/proc/self/fd/0";
	int64_t tree = call(__NR_open_tree, (uint64_t)AT_FDCWD, (uintptr_t) "/proc/self/exe",
			    OPEN_TREE_CLONE, 0);

	if (tree < 0 || tree > 9)
		return -1;
	path[14] = (char)('0' + tree);
	return (int)call(__NR_open, (uintptr_t)path, O_RDONLY, 0, 0);
}

static uint64_t sum(const struct self *self)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < self->n; i++) {
		const struct cr_rst_range *r = &self->ranges[i];
		const uint64_t *word = (const void *)(uintptr_t)r->start;

		for (uint64_t k = 0; k < (r->end - r->start) / 8; k++)
			sum = sum * 31 + word[k];
	}
	return sum;
}

static int check_link(const char *file)
{
	char link[PAGE];
	int64_t n =
		call(__NR_readlink, (uintptr_t) "/proc/self/exe", (uintptr_t)link, sizeof(link), 0);

	for (int64_t i = 0; i < n; i++)
		if (link[i] != file[i])
			return WRONG_LINK;
	return n > 0 && !file[n] ? DONE : WRONG_LINK;
}

/*
 * A copy leaves nothing of the file; the mount leaves it under all that may not be written, and the
 * copied data right behind that looks like a bss.
 */
static int check_self(const struct self *self, int64_t way)
{
	int64_t n = cr_rst_own_ranges(self->maps, self->dev, self->ino, 0, 0);
	int64_t wanted = 0;

	for (size_t i = 0; i < self->n; i++)
		if (way == CR_RST_WAY_MOUNT)
			wanted += !(self->ranges[i].prot & PROT_WRITE);
		else if (way == CR_RST_WAY_PLAIN)
			wanted++;
	if (written != 2 || zeros[2999] != 3)
		return LOST;
	if (way == CR_RST_WAY_MOUNT && n == wanted + 1)
		return DONE;
	return n == wanted ? DONE : LEFT;
}

static int status_of(int64_t error)
{
	print("error", error);
	switch (error) {
	case -EBUSY:
		return BUSY;
	case -EPERM:
		return REFUSED;
	case -EACCES:
		return NOT_EXECUTABLE;
	}
	return FAILED;
}

static int take_over(uint64_t *stack, uint32_t ways, const char *file)
{
	struct self self = { 0 };
	uint64_t before;
	int64_t fd, way;
	int mount_fd = -1, status;

	written = 2;
	zeros[2999] = 3;
	status = find_self(&self);
	if (status)
		return status;
	describe_self(&self, stack);
	fd = call(__NR_open, (uintptr_t)file, O_RDONLY, 0, 0);
	if (fd < 0)
		return NO_FILE;
	self.map.exe_fd = (uint32_t)fd;
	if (ways & CR_RST_WAY_MOUNT)
		mount_fd = open_again();
	if (ways == CR_RST_WAY_MOUNT && mount_fd < 0)
		return NO_MOUNT;

	before = sum(&self);
	way = cr_rst_set_mm(&self.map, self.ranges, self.n, ways, mount_fd);
	if (sum(&self) != before)
		return LOST;
	if (way < 0)
		return status_of(way);
	if (ways && !((uint64_t)way & ways))
		return WRONG_WAY;
	print("way", way);
	status = check_link(file);
	return status ? status : check_self(&self, way);
}

void begin(uint64_t *stack)
{
	char **argv = (char **)(stack + 1);
	int status = USAGE;

	if (stack[0] == 1)
		status = run_plan();
	else if (stack[0] == 3)
		status = take_over(stack, (uint32_t)number(argv[1]), argv[2]);
	bare_exit(status);
}
