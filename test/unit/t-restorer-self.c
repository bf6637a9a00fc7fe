/* SPDX-License-Identifier: MIT */
/* The restorer's second face: own mappings, mm fields and exe link, lists of ranges. */
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "restorer-room.h"
#include "tap.h"

#define MAX_RANGES 64
#define PAGE 4096ul

enum {
	DONE = 42,
	NOT_HERE = 77
};

static uint64_t kept = 5;

static char *page_at(uint64_t address)
{
	return (char *)(uintptr_t)address;
}

/* --- own ranges ------------------------------------------------------------------------------- */

/* The same question, asked with a libc. */
static size_t ranges_by_stdio(ino_t ino, struct cr_rst_range *range)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end, offset, inode, last = 0;
	char line[2 * PATH_MAX], perm[5], name[2];
	size_t n = 0;

	while (fgets(line, sizeof(line), maps)) {
		int fields = sscanf(line, "%lx-%lx %4s %lx %*s %lu %1s", &start, &end, perm,
				    &offset, &inode, name);
		int is_file = inode == ino;

		if (is_file || (fields == 5 && start == last))
			range[n++] = (struct cr_rst_range){
				start,
				end,
				offset,
				(perm[0] == 'r' ? PROT_READ : 0u) |
					(perm[1] == 'w' ? PROT_WRITE : 0u) |
					(perm[2] == 'x' ? PROT_EXEC : 0u),
				perm[3] == 'p' ? MAP_PRIVATE : MAP_SHARED,
			};
		last = is_file ? end : 0;
	}
	fclose(maps);
	return n;
}

static void test_own_ranges(void)
{
	struct cr_rst_range range[MAX_RANGES], wanted[MAX_RANGES];
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(stat("/proc/self/exe", &st), 0);
	memset(wanted, 0, sizeof(wanted));
	size_t n = ranges_by_stdio(st.st_ino, wanted);

	CU_ASSERT_FATAL(n >= 3 && n < MAX_RANGES);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev, st.st_ino, range, MAX_RANGES),
			(int64_t)n);
	CU_ASSERT_EQUAL(memcmp(range, wanted, n * sizeof(*range)), 0);
	/* again, although the descriptor was read; fewer than there are */
	CU_ASSERT(lseek(maps, 100, SEEK_SET) == 100);
	memset(range, 0xee, sizeof(range));
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev, st.st_ino, range, 2), (int64_t)n);
	CU_ASSERT_EQUAL(memcmp(range, wanted, 2 * sizeof(*range)), 0);
	CU_ASSERT_EQUAL(range[2].start, 0xeeeeeeeeeeeeeeee);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev, st.st_ino, NULL, 0), (int64_t)n);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev ^ 1, st.st_ino, NULL, 0), 0);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev ^ 0x100, st.st_ino, NULL, 0), 0);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(maps, st.st_dev, st.st_ino + 1, NULL, 0), 0);
	CU_ASSERT_EQUAL(cr_rst_own_ranges(-1, st.st_dev, st.st_ino, NULL, 0), -EBADF);
	close(maps);
}

/* Lines of other processes: names with blanks, device numbers and offsets of all lengths. */
static void test_odd_maps(void)
{
	static const char text[] =
		"00400000-00401000 r--p 00000000 103:1fffff 4294967297 /a b-c: d 0\n"
		"00401000-00402000 r-xs fffffffffffff000 103:1fffff 4294967297\n"
		"00402000-00404000 rw-p 00000000 00:00 0 \n"
		"00404000-00405000 ---p 00000000 00:00 0 \n"
		"00406000-00407000 ---p 00001000 103:1fffff 4294967297   /a b-c: d 0 (deleted)\n"
		"00407000-00408000 rw-p 00000000 00:00 0                  [heap]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n";
	static const struct cr_rst_range wanted[] = {
		{ 0x400000, 0x401000, 0, PROT_READ, MAP_PRIVATE },
		{ 0x401000, 0x402000, 0xfffffffffffff000, PROT_READ | PROT_EXEC, MAP_SHARED },
		{ 0x402000, 0x404000, 0, PROT_READ | PROT_WRITE, MAP_PRIVATE },
		{ 0x406000, 0x407000, 0x1000, 0, MAP_PRIVATE },
	};
	struct cr_rst_range range[8];
	int fd = memfd_create("maps", MFD_CLOEXEC);

	CU_ASSERT_EQUAL(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
	CU_ASSERT_EQUAL_FATAL(cr_rst_own_ranges(fd, makedev(0x103, 0x1fffff), 4294967297, range, 8),
			      4);
	CU_ASSERT_EQUAL(memcmp(range, wanted, sizeof(wanted)), 0);
	close(fd);
}

/* --- the exe link ----------------------------------------------------------------------------- */

static int fields(struct cr_rst_mm_map *map)
{
	unsigned long long v[53] = { 0 };
	char text[2048], *word;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	word = strrchr(text, ')') + 4;
	for (int i = 4; i < 53; i++)
		v[i] = strtoull(word, &word, 10);
	*map = (struct cr_rst_mm_map){
		.start_code = v[26],
		.end_code = v[27],
		.start_data = v[45],
		.end_data = v[46],
		.start_brk = v[47],
		.brk = (uintptr_t)sbrk(0),
		.start_stack = v[28],
		.arg_start = v[48],
		.arg_end = v[49],
		.env_start = v[50],
		.env_end = v[51],
	};
	map->arg_end--; /* a change that shows */
	return 0;
}

/* The running executable by another path, or -1. */
static int open_again(void)
{
	char path[64];
	long tree = syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE);

	if (tree < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%ld", tree);
	return open(path, O_RDONLY);
}

struct asked {
	struct cr_rst_mm_map map;
	struct cr_rst_range range[MAX_RANGES];
	char file[PATH_MAX];
	int64_t n;
	int mount_fd;
};

static int ask(struct asked *a, uint32_t ways)
{
	int maps = open("/proc/self/maps", O_RDONLY);
	struct stat st;

	if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
		return NOT_HERE;
	if (fields(&a->map) || stat("/proc/self/exe", &st) || !realpath("/usr/bin/env", a->file))
		return 1;
	a->map.exe_fd = (uint32_t)open(a->file, O_RDONLY);
	a->n = cr_rst_own_ranges(maps, st.st_dev, st.st_ino, a->range, MAX_RANGES);
	a->mount_fd = -1;
	if (ways & CR_RST_WAY_MOUNT) {
		a->mount_fd = open_again();
		if (a->mount_fd < 0)
			return NOT_HERE;
	}
	return a->n > 0 && a->n <= MAX_RANGES ? 0 : 2;
}

static int check_taken_over(const struct asked *a)
{
	struct cr_rst_mm_map now;
	char link[PATH_MAX] = "";

	if (readlink("/proc/self/exe", link, sizeof(link) - 1) < 0 || strcmp(link, a->file) != 0)
		return 10;
	if (fields(&now) || now.arg_end != a->map.arg_end - 1)
		return 11;
	return kept == 6 ? DONE : 12;
}

static int set_directly(struct room *room)
{
	uint32_t ways = room->word[0];
	struct asked a;
	int status = ask(&a, ways);

	if (status)
		return status;
	kept = 6;
	room->note[0] = cr_rst_set_mm(&a.map, a.range, (size_t)a.n, ways, a.mount_fd);
	if (room->note[0] < 0)
		return kept == 6 ? 3 : 4;
	return check_taken_over(&a);
}

/* As in a restore: the code that runs is a copy, the own mappings are those of a program that is
 * still in use for a while. */
static int set_by_plan(struct room *room)
{
	uint32_t ways = room->word[0];
	struct cr_rst_op *op = room_op(&room->one[0], CR_RST_SET_MM);
	struct asked a;
	int status = ask(&a, ways);

	if (status)
		return status;
	kept = 6;
	op->arg[0] = (uintptr_t)&a.map;
	op->arg[1] = (uintptr_t)a.range;
	op->arg[2] = (uint64_t)a.n;
	op->arg[3] = ways;
	op->arg[4] = (uint64_t)a.mount_fd;
	memcpy(room->code, cr_rst_begin(), cr_rst_size());

	room_run moved = (room_run)room_moved(room->code, (uintptr_t)cr_rst_run);

	status = moved(&room->one[0].plan) == 0 ? 0 : 3;
	room->note[0] = room->one[0].result[0];
	return status ? status : check_taken_over(&a);
}

/* The way taken or the error; 0 if it cannot be tried here. */
static int64_t set_mm(int (*how)(struct room *), uint32_t ways)
{
	struct room *room = room_new();

	room->word[0] = ways;
	int status = room_scratch(how, room);
	int64_t result = room->note[0];

	room_free(room);
	if (status == NOT_HERE) {
		puts("# not tried: a privilege is missing");
		return 0;
	}
	CU_ASSERT_EQUAL(status, result > 0 ? DONE : 3);
	return result;
}

static void try_way(uint32_t way)
{
	int64_t direct = set_mm(set_directly, way), plan = set_mm(set_by_plan, way);

	CU_ASSERT_EQUAL(direct, plan);
	/* every released kernel up to 7.2 is busy with what it has mapped */
	if (way == CR_RST_WAY_PLAIN)
		CU_ASSERT(direct == 0 || direct == way || direct == -EBUSY);
	if (way != CR_RST_WAY_PLAIN)
		CU_ASSERT(direct == 0 || direct == way);
}

static void test_plain(void)
{
	try_way(CR_RST_WAY_PLAIN);
}

static void test_mount(void)
{
	try_way(CR_RST_WAY_MOUNT);
}

static void test_all_copied(void)
{
	try_way(CR_RST_WAY_COPY);
}

static void test_any_way(void)
{
	int64_t way = set_mm(set_directly, 0);

	CU_ASSERT(way == 0 || way == CR_RST_WAY_PLAIN || way == CR_RST_WAY_COPY);
	way = set_mm(set_directly, CR_RST_WAY_MOUNT | CR_RST_WAY_COPY);
	CU_ASSERT(way == 0 || way == CR_RST_WAY_MOUNT);
}

/* Without ranges and without a mount there is nothing to try but the plain way. */
static int set_nothing(struct room *room)
{
	struct asked a;
	int status = ask(&a, 0);

	if (status)
		return status;
	room->note[0] = cr_rst_set_mm(&a.map, NULL, 0, CR_RST_WAY_COPY, -1);
	if (room->note[0] != -EBUSY)
		return 3;
	room->note[0] = cr_rst_set_mm(&a.map, a.range, (size_t)a.n, CR_RST_WAY_MOUNT, -1);
	if (room->note[0] != -EBUSY)
		return 4;
	/* an error that no way helps against: nothing is replaced for it */
	a.map.end_code = a.map.start_code - 1;
	room->note[0] = cr_rst_set_mm(&a.map, a.range, (size_t)a.n, 0, -1);
	return room->note[0] == -EINVAL ? DONE : 5;
}

static void test_nothing_to_try(void)
{
	struct room *room = room_new();
	int status = room_scratch(set_nothing, room);

	CU_ASSERT(status == DONE || status == NOT_HERE);
	room_free(room);
}

/* --- replacing, seen on mappings that are not the executable's -------------------------------- */

static int file_of(size_t pages)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char page[PAGE];

	for (size_t i = 0; i < pages; i++) {
		memset(page, 'a' + (int)i, sizeof(page));
		if (write(fd, page, sizeof(page)) != (ssize_t)sizeof(page))
			_exit(99);
	}
	return fd;
}

/* Five pages: as in the file, changed and then read-only, writable, executable only, and a closed
 * one that lies beyond the file's end, where reading is SIGBUS. */
static char *five_pages(int fd, struct cr_rst_range *range)
{
	static const unsigned int prot[5] = { PROT_READ, PROT_READ, PROT_READ | PROT_WRITE,
					      PROT_EXEC, PROT_NONE };
	char *area = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	area[PAGE] = area[2 * PAGE] = 'X';
	for (size_t i = 0; i < 5; i++) {
		range[i] = (struct cr_rst_range){
			(uintptr_t)area + i * PAGE,
			(uintptr_t)area + (i + 1) * PAGE,
			i * PAGE,
			prot[i],
			MAP_PRIVATE,
		};
		mprotect(area + i * PAGE, PAGE, (int)prot[i]);
	}
	return area;
}

/* Whether this page is mapped from this file. */
static int has_file(const char *page, const struct stat *st)
{
	struct cr_rst_range range[MAX_RANGES];
	int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int64_t n = cr_rst_own_ranges(maps, st->st_dev, st->st_ino, range, MAX_RANGES);
	int found = 0;

	close(maps);
	for (int64_t i = 0; i < n; i++)
		if (range[i].start <= (uintptr_t)page && (uintptr_t)page < range[i].end &&
		    range[i].flags == MAP_PRIVATE)
			found = 1;
	return found;
}

static void check_five_pages(char *area)
{
	CU_ASSERT_EQUAL(area[0], 'a');
	CU_ASSERT_EQUAL(area[PAGE - 1], 'a');
	CU_ASSERT_EQUAL(area[PAGE], 'X');
	CU_ASSERT_EQUAL(area[PAGE + 1], 'b');
	CU_ASSERT_EQUAL(area[2 * PAGE], 'X');
	area[2 * PAGE] = 'Y';
	CU_ASSERT_EQUAL(mprotect(area + 3 * PAGE, PAGE, PROT_READ), 0);
	CU_ASSERT_EQUAL(area[3 * PAGE + 7], 'd');
}

static int is_readable(const char *page)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);
	ssize_t n = write(fd, page, 1);

	close(fd);
	return n == 1;
}

static int is_writable(char *page)
{
	int fds[2], done;

	if (pipe(fds))
		return -1;
	done = write(fds[1], "w", 1) == 1 && read(fds[0], page, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return done;
}

/* The executable's own mappings stay, so that in the end it is EBUSY. */
static void replace_five(uint32_t way)
{
	struct cr_rst_range range[5];
	struct cr_rst_mm_map map;
	struct stat st;
	int fd = file_of(4);
	char *area = five_pages(fd, range);
	int64_t result;

	CU_ASSERT_EQUAL(fields(&map), 0);
	map.exe_fd = (uint32_t)open("/usr/bin/env", O_RDONLY | O_CLOEXEC);
	fstat(fd, &st);
	CU_ASSERT_EQUAL(has_file(area, &st), 1);
	result = cr_rst_set_mm(&map, range, 5, way, fd);
	CU_ASSERT(result == -EBUSY || result == -EPERM);
	/* (the mount is stood in for by the file itself) */
	CU_ASSERT_EQUAL(has_file(area, &st), way == CR_RST_WAY_MOUNT);
	CU_ASSERT_EQUAL(is_writable(area), 0);
	CU_ASSERT_EQUAL(is_writable(area + PAGE), 0);
	CU_ASSERT_EQUAL(is_readable(area + 4 * PAGE), 0);
	check_five_pages(area);
	close((int)map.exe_fd);
	close(fd);
	munmap(area, 5 * PAGE);
}

static void test_replace_by_copy(void)
{
	replace_five(CR_RST_WAY_COPY);
}

static void test_replace_by_mount(void)
{
	replace_five(CR_RST_WAY_MOUNT);
}

/* A range that cannot be moved over: those before it are replaced, all is as it was to see. */
static void test_replace_stops(void)
{
	struct cr_rst_range range[5];
	struct cr_rst_mm_map map = { 0 };
	int fd = file_of(4);
	char *area = five_pages(fd, range);

	range[2].start++;
	range[2].end++;
	CU_ASSERT_EQUAL(mprotect(area + 3 * PAGE, PAGE, PROT_READ), 0);
	CU_ASSERT_EQUAL(cr_rst_set_mm(&map, range, 5, CR_RST_WAY_COPY, -1), -EINVAL);
	check_five_pages(area);
	close(fd);
	munmap(area, 5 * PAGE);
}

/* --- lists of ranges -------------------------------------------------------------------------- */

static void test_map(void)
{
	int fd = file_of(3);
	char *hole = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t base = (uintptr_t)hole;
	struct cr_rst_range range[2] = {
		{ base + PAGE, base + 2 * PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE },
		{ base + 3 * PAGE, base + 5 * PAGE, 0, PROT_READ | PROT_WRITE, MAP_SHARED },
	};

	CU_ASSERT_EQUAL(munmap(hole, 6 * PAGE), 0);
	CU_ASSERT_EQUAL(cr_rst_map(fd, range, 2), 0);
	CU_ASSERT_EQUAL(*page_at(base + PAGE), 'c');
	CU_ASSERT_EQUAL(*page_at(base + 4 * PAGE), 'b');
	*page_at(base + 4 * PAGE) = 'z';
	char c;
	CU_ASSERT(pread(fd, &c, 1, PAGE) == 1 && c == 'z');
	CU_ASSERT_EQUAL(is_readable(hole), 0);

	/* the second is taken: the first is taken back, what was there stays */
	CU_ASSERT_EQUAL(munmap(hole + PAGE, PAGE), 0);
	CU_ASSERT_EQUAL(cr_rst_map(-1, range, 2), -EEXIST);
	CU_ASSERT_EQUAL(is_readable(hole + PAGE), 0);
	CU_ASSERT_EQUAL(*page_at(base + 4 * PAGE), 'z');
	CU_ASSERT_EQUAL(cr_rst_map(-1, range, 0), 0);
	CU_ASSERT_EQUAL(munmap(hole + 3 * PAGE, 2 * PAGE), 0);
	range[0].offset = 0;
	CU_ASSERT_EQUAL(cr_rst_map(-1, range, 2), 0);
	CU_ASSERT_EQUAL(*page_at(base + 4 * PAGE), 0);
	CU_ASSERT_EQUAL(munmap(hole, 6 * PAGE), 0);
	close(fd);
}

int main(void)
{
	CU_TestInfo ranges[] = {
		{ "own ranges", test_own_ranges },
		{ "odd lines of maps", test_odd_maps },
		{ "map a list", test_map },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo link[] = {
		{ "plainly", test_plain },
		{ "through a detached mount", test_mount },
		{ "by copies", test_all_copied },
		{ "by whatever way helps", test_any_way },
		{ "nothing to try", test_nothing_to_try },
		{ "replaced by copies, contents and protection stay", test_replace_by_copy },
		{ "replaced by the file where it is equal", test_replace_by_mount },
		{ "stopped half way", test_replace_stops },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer ranges", NULL, NULL, NULL, NULL, ranges },
		{ "restorer exe link", NULL, NULL, NULL, NULL, link },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
