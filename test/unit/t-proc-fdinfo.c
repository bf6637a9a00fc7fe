/* SPDX-License-Identifier: MIT */
/* fdinfo: what all descriptors have, and the lines of several kinds. */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "proc-room.h"
#include "proc/fdinfo.h"
#include "tap.h"

static const char *line(const struct fdinfo *f, size_t i, const char *key)
{
	return i < f->n_lines && strcmp(f->lines[i].key, key) == 0 ? f->lines[i].value : "-";
}

static void fdinfo_of_kinds(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct fdinfo f;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 4, &a, &f, &e), 0); /* eventfd */
	CU_ASSERT(f.pos == 0 && f.flags == 02004002 && f.mnt_id == 17 && f.ino == 1038);
	CU_ASSERT_EQUAL(f.n_lines, 3);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "eventfd-count"), "7");
	CU_ASSERT_STRING_EQUAL(line(&f, 2, "eventfd-semaphore"), "0");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 8, &a, &f, &e),
			      0); /* epoll: pos and ino once more */
	CU_ASSERT_EQUAL(f.n_lines, 2);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "tfd"),
			       "4 events: 80000019 data:  123456789abcdef  pos:0 ino:40e sdev:10");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 9, &a, &f, &e), 0); /* file with locks */
	CU_ASSERT(f.pos == 12345 && f.flags == 0102002 && f.ino == 10961714 && f.n_lines == 2);
	CU_ASSERT_STRING_EQUAL(line(&f, 1, "lock"),
			       "2: POSIX  ADVISORY  WRITE 25906 fe:00:10961714 10 14");
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 12, &a, &f, &e), 0);
	CU_ASSERT_EQUAL(strncmp(line(&f, 0, "inotify wd"), "1 ino:a7432f", 12), 0);
	CU_ASSERT_EQUAL_FATAL(fdinfo_read(proc, 6, &a, &f, &e), 0); /* pipe */
	CU_ASSERT(f.flags == 0 && f.n_lines == 0);
	CU_ASSERT_EQUAL(fdinfo_read(proc, 77, &a, &f, &e), -ENOENT);
	arena_free(&a);
}

static void fdinfo_refuses_hostile_text(void)
{
	static const char *const bad[] = {
		"",
		"\n",
		"pos:\t0\nflags:\t0\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t1",
		"pos:\tx\nflags:\t0\nmnt_id:\t1\n",
		"pos:\t0\nflags:\t8\nmnt_id:\t1\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t-1\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t4294967296\n",
		"pos:\t0\nflags:\t0\nmnt_id:\t1\nino:\t\n",
	};
	struct arena a = { 0 };
	struct fdinfo f;
	struct error e = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(fdinfo_parse(bad[i], &a, &f, &e), -EINVAL);
	CU_ASSERT_EQUAL(fdinfo_parse("pos:\t-5\nflags:\t0\nmnt_id:\t1\npos:\t9\nodd\n\n:\n", &a, &f,
				     &e),
			0);
	CU_ASSERT(f.pos == (uint64_t)-5 && f.n_lines == 4);
	CU_ASSERT_STRING_EQUAL(line(&f, 0, "pos"), "9");
	CU_ASSERT_STRING_EQUAL(line(&f, 1, "odd"), "");
	CU_ASSERT_STRING_EQUAL(line(&f, 2, ""), "");
	CU_ASSERT_STRING_EQUAL(line(&f, 3, ""), "");
	arena_free(&a);
}

static CU_TestInfo fdinfo_tests[] = {
	{ "several kinds", fdinfo_of_kinds },
	{ "hostile text is refused", fdinfo_refuses_hostile_text },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "fdinfo", NULL, NULL, NULL, NULL, fdinfo_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
