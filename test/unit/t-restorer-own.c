/* SPDX-License-Identifier: MIT */
/* Act on myself: all own mappings, auxiliary vector, fields, and what each way to the exe link gave. */
#include <fcntl.h>
#include <limits.h>
#include <linux/auxvec.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "restorer-room.h"
#include "tap.h"

#define MAX 512
#define PAGE 4096ul

enum {
	DONE = 42,
	NOT_HERE = 77
};

static uint64_t kept = 5;

static int open_maps(void)
{
	return open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
}

/* --- mappings --------------------------------------------------------------------------------- */

static void check_line(const char *line, const struct cr_rst_mapping *m)
{
	unsigned long start, end, offset, ino;
	unsigned int major, minor;
	char perm[5], name[17] = "", begin[17] = "";

	CU_ASSERT(sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %16[^\n]", &start, &end, perm, &offset,
			 &major, &minor, &ino, name) >= 7);
	memcpy(begin, m->name, sizeof(m->name));
	CU_ASSERT_EQUAL(m->start, start);
	CU_ASSERT_EQUAL(m->end, end);
	CU_ASSERT_EQUAL(m->offset, offset);
	CU_ASSERT_EQUAL(m->dev, makedev(major, minor));
	CU_ASSERT_EQUAL(m->ino, ino);
	CU_ASSERT_EQUAL(m->prot, (perm[0] == 'r' ? PROT_READ : 0u) |
					 (perm[1] == 'w' ? PROT_WRITE : 0u) |
					 (perm[2] == 'x' ? PROT_EXEC : 0u));
	CU_ASSERT_EQUAL(m->flags, perm[3] == 'p' ? MAP_PRIVATE : (uint32_t)MAP_SHARED);
	CU_ASSERT_STRING_EQUAL(begin, name);
}

static void test_mappings(void)
{
	static struct cr_rst_mapping list[MAX];
	static char text[MAX * 256];
	int maps = open_maps();
	int64_t n = cr_rst_mappings(maps, list, MAX);
	ssize_t got, size = 0;
	int64_t lines = 0;

	while ((got = pread(maps, text + size, sizeof(text) - 1 - (size_t)size, size)) > 0)
		size += got;
	CU_ASSERT_FATAL(n > 10 && n < MAX);
	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (lines < n)
			check_line(line, &list[lines]);
		lines++;
	}
	CU_ASSERT_EQUAL(lines, n);
	CU_ASSERT_EQUAL(cr_rst_mappings(maps, list, 1), n);
	CU_ASSERT_EQUAL(cr_rst_mappings(maps, NULL, 0), n);
	CU_ASSERT_EQUAL(cr_rst_mappings(-1, NULL, 0), -EBADF);
	close(maps);
}

static void test_mapping_at(void)
{
	struct cr_rst_mapping m;
	int maps = open_maps();

	CU_ASSERT_EQUAL(cr_rst_mapping_at(maps, (uintptr_t)&maps, &m), 0);
	CU_ASSERT_EQUAL(memcmp(m.name, "[stack]", 8), 0);
	CU_ASSERT(m.start <= (uintptr_t)&maps && (uintptr_t)&maps < m.end);
	CU_ASSERT_EQUAL(cr_rst_mapping_at(maps, getauxval(AT_SYSINFO_EHDR), &m), 0);
	CU_ASSERT_EQUAL(memcmp(m.name, "[vdso]", 7), 0);
	CU_ASSERT_EQUAL(cr_rst_mapping_at(maps, m.end - 1, &m), 0);
	CU_ASSERT_EQUAL(cr_rst_mapping_at(maps, 1, &m), -ENOENT);
	CU_ASSERT_EQUAL(cr_rst_mapping_at(-1, 1, &m), -EBADF);
	close(maps);
}

static void test_file_ranges(void)
{
	struct cr_rst_range by_stat[MAX], by_address[MAX];
	int maps = open_maps();
	struct stat st;

	CU_ASSERT_EQUAL_FATAL(stat("/proc/self/exe", &st), 0);
	int64_t n = cr_rst_own_ranges(maps, st.st_dev, st.st_ino, by_stat, MAX);
	int64_t files = cr_rst_file_ranges(maps, getauxval(AT_ENTRY), by_address, MAX);

	/* but for the bss, which is at the end: there is one, of this very test */
	CU_ASSERT_FATAL(files >= 3 && files < n && n == files + 1);
	CU_ASSERT_EQUAL(memcmp(by_stat, by_address, (size_t)files * sizeof(*by_stat)), 0);
	CU_ASSERT_EQUAL(cr_rst_file_ranges(maps, getauxval(AT_ENTRY), NULL, 0), files);
	CU_ASSERT_EQUAL(cr_rst_file_ranges(maps, (uintptr_t)&st, NULL, 0), -ENOENT);
	CU_ASSERT_EQUAL(cr_rst_file_ranges(maps, 1, NULL, 0), -ENOENT);
	CU_ASSERT_EQUAL(cr_rst_file_ranges(-1, 1, NULL, 0), -EBADF);
	close(maps);
}

/* --- the auxiliary vector --------------------------------------------------------------------- */

static ssize_t file_of_auxv(uint64_t *auxv, size_t size)
{
	int fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, auxv, size);

	close(fd);
	return n;
}

static void check_auxv(void)
{
	uint64_t auxv[CR_RST_AUXV_ROOM / 8], file[CR_RST_AUXV_ROOM / 8], value = 1;
	ssize_t n = file_of_auxv(file, sizeof(file));

	CU_ASSERT_EQUAL_FATAL(cr_rst_auxv(auxv, sizeof(auxv)), n);
	CU_ASSERT_EQUAL(memcmp(auxv, file, (size_t)n), 0);
	CU_ASSERT_EQUAL(cr_rst_auxv(auxv, (size_t)n), n);
	CU_ASSERT_EQUAL(cr_rst_auxv(auxv, (size_t)n - 16), -ERANGE);
	CU_ASSERT_EQUAL(cr_rst_auxv(auxv, 0), -ERANGE);
	CU_ASSERT_EQUAL(cr_rst_auxv(auxv, (size_t)n), n);
	CU_ASSERT_EQUAL(cr_rst_auxv_get(auxv, AT_ENTRY, &value), 0);
	CU_ASSERT_EQUAL(value, getauxval(AT_ENTRY));
	CU_ASSERT_EQUAL(cr_rst_auxv_set(auxv, AT_ENTRY, 7), 0);
	CU_ASSERT_EQUAL(cr_rst_auxv_get(auxv, AT_ENTRY, &value), 0);
	CU_ASSERT_EQUAL(value, 7);
	/* not a type: the value of another entry */
	CU_ASSERT_EQUAL(cr_rst_auxv_get(auxv, 7000, &value), -ENOENT);
	CU_ASSERT_EQUAL(cr_rst_auxv_set(auxv, 7000, 1), -ENOENT);
	CU_ASSERT_EQUAL(cr_rst_auxv_get(auxv, AT_NULL, &value), -ENOENT);
}

static void test_auxv(void)
{
	check_auxv();
}

/* prctl with one first argument is refused, as by a kernel that does not know it. */
static int refuse_prctl(uint32_t first, uint32_t second, int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, second, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* Kernels before 6.4 have /proc/self/auxv only. */
static int old_auxv(struct room *room)
{
	uint64_t auxv[CR_RST_AUXV_ROOM / 8], file[CR_RST_AUXV_ROOM / 8];
	ssize_t n = file_of_auxv(file, sizeof(file));

	if (refuse_prctl(0x41555856, 0, EINVAL))
		return NOT_HERE;
	room->note[0] = prctl(0x41555856, 0, 0, 0, 0);
	if (room->note[0] != -1)
		return 1;
	if (cr_rst_auxv(auxv, sizeof(auxv)) != n || memcmp(auxv, file, (size_t)n) != 0)
		return 2;
	return cr_rst_auxv(auxv, (size_t)n - 16) == -ERANGE ? DONE : 3;
}

static void scratch(int (*function)(struct room *))
{
	struct room *room = room_new();
	int status = room_scratch(function, room);

	if (status == NOT_HERE)
		puts("# not tried: a privilege is missing");
	else
		CU_ASSERT_EQUAL(status, DONE);
	room_free(room);
}

static void test_old_auxv(void)
{
	scratch(old_auxv);
}

/* --- the fields ------------------------------------------------------------------------------- */

/* By libc and /proc/self/stat; the name of the program is the worst that can be. */
static void stat_fields(uint64_t *v)
{
	char text[2048], *word;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	word = strrchr(text, ')') + 4;
	for (int i = 4; i < 52; i++)
		v[i] = strtoull(word, &word, 10);
}

static void test_layout(void)
{
	uint64_t v[52] = { 0 }, auxv[CR_RST_AUXV_ROOM / 8];
	struct cr_rst_mm_map map;
	char name[16];

	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "a) R 1 (9 9)");
	stat_fields(v);
	memset(&map, 0xee, sizeof(map));
	CU_ASSERT_EQUAL_FATAL(cr_rst_layout(&map, auxv, sizeof(auxv)), 0);
	prctl(PR_SET_NAME, name);
	CU_ASSERT(v[26] && map.start_code == v[26]);
	CU_ASSERT(v[27] && map.end_code == v[27]);
	CU_ASSERT(v[28] && map.start_stack == v[28]);
	CU_ASSERT(v[45] && map.start_data == v[45]);
	CU_ASSERT(v[46] && map.end_data == v[46]);
	CU_ASSERT(v[47] && map.start_brk == v[47]);
	CU_ASSERT_EQUAL(map.brk, (uintptr_t)sbrk(0));
	CU_ASSERT(v[48] && map.arg_start == v[48]);
	CU_ASSERT(v[49] && map.arg_end == v[49]);
	CU_ASSERT(v[50] && map.env_start == v[50]);
	CU_ASSERT(v[51] && map.env_end == v[51]);
	CU_ASSERT_EQUAL(map.auxv, (uintptr_t)auxv);
	CU_ASSERT_EQUAL(map.auxv_size, cr_rst_auxv(auxv, sizeof(auxv)));
	CU_ASSERT_EQUAL(map.exe_fd, UINT32_MAX);
	CU_ASSERT_EQUAL(cr_rst_layout(&map, auxv, 16), -ERANGE);
	CU_ASSERT_EQUAL(cr_rst_layout(&map, NULL, 0), 0);
	CU_ASSERT(map.auxv == 0 && map.auxv_size == 0);
}

/* What is asked for, and nothing else. */
static int set_one(uint32_t which)
{
	static char words[64] = "other\0words";
	static uint64_t auxv[4] = { AT_PAGESZ, 1234, AT_NULL, 0 };
	struct cr_rst_mm_map before, after, want;
	uint64_t now[CR_RST_AUXV_ROOM / 8];

	if (cr_rst_layout(&before, NULL, 0))
		return 1;
	want = before;
	struct cr_rst_mm_map map = {
		.start_code = before.start_code + 1,
		.end_code = before.end_code + 2,
		.start_data = before.start_data + 3,
		.end_data = before.end_data + 4,
		.start_brk = before.start_brk + 5,
		.brk = before.brk + 6,
		.start_stack = before.start_stack + 7,
		.arg_start = (uintptr_t)words,
		.arg_end = (uintptr_t)words + 12,
		.env_start = (uintptr_t)words + 6,
		.env_end = (uintptr_t)words + 12,
		.auxv = (uintptr_t)auxv,
		.auxv_size = sizeof(auxv),
		.exe_fd = 12345,
	};
	const uint64_t *from = (const void *)&map;
	uint64_t *to = (void *)&want;
	static const uint32_t bit[11] = { 1, 1, 2, 2, 4, 4, 8, 16, 16, 32, 32 };

	for (int i = 0; i < 11; i++)
		if (which & bit[i])
			to[i] = from[i];
	if (cr_rst_set_fields(&map, which) || cr_rst_layout(&after, NULL, 0))
		return 2;
	if (memcmp(&after, &want, sizeof(want)) != 0)
		return 3;
	if ((cr_rst_auxv(now, sizeof(now)) == sizeof(auxv)) != !!(which & CR_RST_FIELD_AUXV))
		return 4;
	return which & CR_RST_FIELD_AUXV && memcmp(now, auxv, sizeof(auxv)) != 0 ? 5 : DONE;
}

static int set_of_word(struct room *room)
{
	return set_one(room->word[0]);
}

static void test_set_fields(void)
{
	for (int i = 0; i <= 7; i++) {
		struct room *room = room_new();

		room->word[0] = i < 7 ? 1u << i : CR_RST_FIELD_ALL;
		CU_ASSERT_EQUAL(room_scratch(set_of_word, room), DONE);
		room_free(room);
	}
}

static int set_wrong(struct room *room)
{
	struct cr_rst_mm_map before, map, after;

	(void)room;
	if (cr_rst_layout(&before, NULL, 0))
		return 1;
	map = before;
	map.end_code = map.start_code - 1;
	map.arg_start = map.arg_end = before.arg_start + 1;
	if (cr_rst_set_fields(&map, CR_RST_FIELD_ALL) != -EINVAL)
		return 2;
	if (cr_rst_set_fields(&map, 0) != -EINVAL || cr_rst_set_fields(&map, 128) != -EINVAL)
		return 3;
	if (cr_rst_layout(&after, NULL, 0) || memcmp(&before, &after, sizeof(after)) != 0)
		return 4;
	/* the wrong one is not asked for */
	return cr_rst_set_fields(&map, CR_RST_FIELD_ARGS) == 0 ? DONE : 5;
}

static void test_set_wrong(void)
{
	scratch(set_wrong);
}

/* --- the exe link ----------------------------------------------------------------------------- */

struct asked {
	struct cr_rst_range range[MAX];
	struct cr_rst_told told;
	char file[PATH_MAX];
	int64_t n;
	int fd;
};

static int ask(struct asked *a)
{
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
		return NOT_HERE;
	if (!realpath("/usr/bin/env", a->file))
		return 1;
	a->fd = open(a->file, O_RDONLY | O_CLOEXEC);
	a->n = cr_rst_file_ranges(open_maps(), getauxval(AT_ENTRY), a->range, MAX);
	memset(&a->told, 0xee, sizeof(a->told));
	kept = 6;
	return a->n > 0 && a->n <= MAX ? 0 : 2;
}

static int has_link(const struct asked *a)
{
	char link[PATH_MAX] = "";

	return readlink("/proc/self/exe", link, sizeof(link) - 1) > 0 &&
	       strcmp(link, a->file) == 0 && kept == 6;
}

static int all_ways(struct room *room)
{
	static struct asked a;
	struct cr_rst_mm_map before, after;
	int status = ask(&a);
	int64_t again = cr_rst_open_again("/proc/self/exe");

	(void)room;
	if (status)
		return status;
	if (cr_rst_layout(&before, NULL, 0))
		return 3;
	int64_t way = cr_rst_set_exe(a.fd, a.range, (size_t)a.n, 0, (int)again, &a.told);

	if (!has_link(&a) || way != a.told.way || a.told.by != CR_RST_BY_MAP)
		return 4;
	if (cr_rst_layout(&after, NULL, 0) || memcmp(&before, &after, sizeof(after)) != 0)
		return 5;
	if (way == CR_RST_WAY_PLAIN)
		return a.told.plain == 0 && a.told.mount == CR_RST_NOT_TRIED ? DONE : 6;
	if (a.told.plain != -EBUSY || a.told.exe_file != CR_RST_NOT_TRIED)
		return 7;
	if (again >= 0)
		return way == CR_RST_WAY_MOUNT && a.told.mount == 0 &&
				       a.told.copy == CR_RST_NOT_TRIED
			       ? DONE
			       : 8;
	return way == CR_RST_WAY_COPY && a.told.mount == CR_RST_NOT_TRIED && a.told.copy == 0 ? DONE
											      : 9;
}

static void test_all_ways(void)
{
	scratch(all_ways);
}

/* A mount descriptor that is none: its failure is told, and the next way helps. */
static int next_way(struct room *room)
{
	static struct asked a;
	int status = ask(&a);
	int wrong = open("/dev", O_RDONLY | O_CLOEXEC);

	(void)room;
	if (status)
		return status;
	int64_t way = cr_rst_set_exe(a.fd, a.range, (size_t)a.n, CR_RST_WAY_MOUNT | CR_RST_WAY_COPY,
				     wrong, &a.told);

	if (way != CR_RST_WAY_COPY || !has_link(&a))
		return 4;
	return a.told.plain == CR_RST_NOT_TRIED && a.told.mount == -ENODEV && a.told.copy == 0
		       ? DONE
		       : 5;
}

static void test_next_way(void)
{
	scratch(next_way);
}

/* The reasons why none works; nothing is replaced for them. */
static int no_way(struct room *room)
{
	static struct asked a;
	int64_t n;
	int status = ask(&a);

	(void)room;
	if (status)
		return status;
	close(a.fd);
	a.fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	int64_t got = cr_rst_set_exe(a.fd, a.range, (size_t)a.n, 0, -1, &a.told);

	if (got != -EACCES || a.told.plain != -EACCES || a.told.copy != CR_RST_NOT_TRIED)
		return 4;
	if (cr_rst_set_exe(-1, a.range, (size_t)a.n, CR_RST_WAY_PLAIN, -1, &a.told) != -EBADF)
		return 5;
	if (a.told.way || a.told.by)
		return 6;
	if (cr_rst_set_exe(a.fd, NULL, 0, CR_RST_WAY_COPY, -1, &a.told) != -EBUSY)
		return 7;
	n = cr_rst_file_ranges(open_maps(), getauxval(AT_ENTRY), a.range, MAX);
	return n == a.n && !has_link(&a) ? DONE : 8;
}

static void test_no_way(void)
{
	scratch(no_way);
}

/* PR_SET_MM as a whole is refused: what an ordinary user has, or a sandbox. */
static int no_right(struct room *room)
{
	static struct asked a;
	int status = ask(&a);

	(void)room;
	if (status)
		return status;
	if (refuse_prctl(PR_SET_MM, 0, EPERM))
		return NOT_HERE;
	int64_t got = cr_rst_set_exe(a.fd, a.range, (size_t)a.n, 0, -1, &a.told);

	if (got != -EPERM || a.told.plain != -EPERM || a.told.exe_file != -EPERM)
		return 4;
	return a.told.copy == CR_RST_NOT_TRIED && !a.told.by ? DONE : 5;
}

/* The other call is permitted, and only that: stood in for by a filter that says so. */
static int other_call(struct room *room)
{
	static struct asked a;
	int status = ask(&a);

	(void)room;
	if (status)
		return status;
	/* the later filter counts for what both name */
	if (refuse_prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, 0) ||
	    refuse_prctl(PR_SET_MM, PR_SET_MM_MAP, EPERM))
		return NOT_HERE;
	int64_t got = cr_rst_set_exe(a.fd, a.range, (size_t)a.n, 0, -1, &a.told);

	if (got != CR_RST_WAY_PLAIN || a.told.plain != 0 || a.told.exe_file != 0)
		return 4;
	return a.told.by == CR_RST_BY_EXE_FILE ? DONE : 5;
}

static void test_other_call(void)
{
	scratch(other_call);
}

static void test_no_right(void)
{
	scratch(no_right);
}

/* --- replacing alone -------------------------------------------------------------------------- */

static int replaced(struct room *room)
{
	static struct asked a;
	int status = ask(&a);
	int maps = open_maps();

	(void)room;
	if (status)
		return status;
	if (cr_rst_replace(CR_RST_WAY_PLAIN, a.range, (size_t)a.n, -1) != -EINVAL)
		return 4;
	if (cr_rst_file_ranges(maps, getauxval(AT_ENTRY), NULL, 0) != a.n)
		return 5;
	if (cr_rst_replace(CR_RST_WAY_COPY, a.range, (size_t)a.n, -1) != 0)
		return 6;
	if (cr_rst_file_ranges(maps, getauxval(AT_ENTRY), NULL, 0) != -ENOENT)
		return 7;
	return kept == 6 ? DONE : 8;
}

static void test_replaced(void)
{
	scratch(replaced);
}

static void test_open_again(void)
{
	struct stat one, other;
	int64_t fd = cr_rst_open_again("/proc/self/exe");

	CU_ASSERT_EQUAL(cr_rst_open_again("/nonexistent") == -ENOENT, fd >= 0);
	if (fd < 0) {
		CU_ASSERT_EQUAL(fd, -EPERM);
		return;
	}
	CU_ASSERT(stat("/proc/self/exe", &one) == 0 && fstat((int)fd, &other) == 0);
	CU_ASSERT(one.st_ino == other.st_ino && one.st_dev == other.st_dev);
	CU_ASSERT_EQUAL(fcntl((int)fd, F_GETFD), FD_CLOEXEC);
	/* the mount, which came first, is not left open */
	CU_ASSERT_EQUAL(dup((int)fd), (int)fd - 1);
	close((int)fd - 1);
	close((int)fd);
}

int main(void)
{
	CU_TestInfo own[] = {
		{ "all mappings", test_mappings },
		{ "the mapping at an address", test_mapping_at },
		{ "the ranges of a file", test_file_ranges },
		{ "the auxiliary vector", test_auxv },
		{ "the auxiliary vector of an old kernel", test_old_auxv },
		{ "the fields", test_layout },
		{ "each field set", test_set_fields },
		{ "fields that are refused", test_set_wrong },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo link[] = {
		{ "all ways, and what they gave", test_all_ways },
		{ "the next way helps", test_next_way },
		{ "a file that may not be executed", test_no_way },
		{ "no right at all", test_no_right },
		{ "a right to the other call only", test_other_call },
		{ "replaced and nothing else", test_replaced },
		{ "opened by another path", test_open_again },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer, own layout", NULL, NULL, NULL, NULL, own },
		{ "restorer, exe link", NULL, NULL, NULL, NULL, link },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
