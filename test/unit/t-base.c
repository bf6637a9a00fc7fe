/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "tap.h"

/* --- errors ---------------------------------------------------------------------------------- */

static void fail_says_what_and_why(void)
{
	struct error e = { .exit_status = 3 };

	CU_ASSERT_EQUAL(fail(&e, ENOENT, "open %s", "fdinfo/77"), -ENOENT);
	CU_ASSERT_EQUAL(e.code, ENOENT);
	CU_ASSERT_EQUAL(e.exit_status, 0);
	CU_ASSERT_STRING_EQUAL(e.text, "open fdinfo/77: No such file or directory");
	CU_ASSERT_EQUAL(within(&e, -ENOENT, "fd %d", 77), -ENOENT);
	CU_ASSERT_EQUAL(within(&e, -ENOENT, "task %d", 4243), -ENOENT);
	CU_ASSERT_STRING_EQUAL(e.text,
			       "task 4243: fd 77: open fdinfo/77: No such file or directory");
}

static void a_refusal_has_no_strerror(void)
{
	struct error e = { 0 };

	CU_ASSERT_EQUAL(fail(&e, 0, "not supported"), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "not supported");
}

static void within_leaves_success_alone(void)
{
	struct error e = { .text = "old" };

	CU_ASSERT_EQUAL(within(&e, 0, "task"), 0);
	CU_ASSERT_EQUAL(within(&e, 5, "task"), 5);
	CU_ASSERT_STRING_EQUAL(e.text, "old");
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static void long_texts_are_cut_between_characters(void)
{
	for (size_t n = 900; n < 1100; n++) {
		struct error e = { 0 };
		char name[2400];

		for (size_t i = 0; i < n; i++)
			memcpy(name + i * 2, "\xc3\xa4", 2);
		name[n * 2] = '\0';
		CU_ASSERT_EQUAL(fail(&e, ENOENT, "%.*s%s", (int)(n % 2), "x", name), -ENOENT);
		CU_ASSERT(strlen(e.text) < sizeof(e.text));
		CU_ASSERT(ends_with(e.text, "\xa4...: No such file or directory"));
	}
}

static void within_keeps_the_head_of_a_long_text(void)
{
	struct error e = { 0 };
	char name[2000];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	CU_ASSERT_EQUAL(fail(&e, 0, "%s", name), -EINVAL);
	CU_ASSERT_EQUAL(strlen(e.text), sizeof(e.text) - 1);
	CU_ASSERT_EQUAL(within(&e, -EINVAL, "task %d", 1), -EINVAL);
	CU_ASSERT_EQUAL(strncmp(e.text, "task 1: nnnn", 12), 0);
	CU_ASSERT(ends_with(e.text, "n..."));
	CU_ASSERT_EQUAL(within(&e, -EINVAL, "%s", name), -EINVAL);
	CU_ASSERT(strstr(e.text, "n...: task 1: nnnn") != NULL);
	CU_ASSERT(strlen(e.text) < sizeof(e.text));
}

static void an_error_is_one_line(void)
{
	struct error e = { 0 };

	CU_ASSERT_EQUAL(fail(&e, 0, "a\nb\033[2Jc\x7f"), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "a?b?[2Jc?");
}

static void fail_may_quote_itself(void)
{
	struct error e = { .text = "inner" };

	CU_ASSERT_EQUAL(fail(&e, 0, "outer(%s)", e.text), -EINVAL);
	CU_ASSERT_EQUAL(within(&e, -EINVAL, "again %s", e.text), -EINVAL);
	CU_ASSERT_STRING_EQUAL(e.text, "again outer(inner): outer(inner)");
}

/* --- memory ---------------------------------------------------------------------------------- */

static void arena_things_are_zero_aligned_apart(void)
{
	struct arena a = { 0 };
	unsigned char *things[600];
	size_t sizes[600];
	bool good = true;

	for (size_t i = 0; i < 600; i++) {
		sizes[i] = i % 50 == 49 ? 20000 + i * 300 : i;
		things[i] = arena_alloc(&a, sizes[i]);
		good &= (uintptr_t)things[i] % 16 == 0;
		for (size_t k = 0; k < sizes[i]; k++)
			good &= things[i][k] == 0;
		memset(things[i], (int)(i % 251) + 1, sizes[i]);
	}
	for (size_t i = 0; i < 600; i++)
		for (size_t k = 0; k < sizes[i]; k++)
			good &= things[i][k] == i % 251 + 1;
	CU_ASSERT(good);
	arena_free(&a);
	CU_ASSERT_PTR_NULL(a.blocks);
	arena_free(&a);
}

static void arena_strings(void)
{
	struct arena a = { 0 };

	CU_ASSERT_STRING_EQUAL(arena_strdup(&a, ""), "");
	CU_ASSERT_STRING_EQUAL(arena_strndup(&a, "abcdef", 3), "abc");
	CU_ASSERT_STRING_EQUAL(arena_strndup(&a, "ab", 30), "ab");
	CU_ASSERT_STRING_EQUAL(arena_printf(&a, "%d-%s", 5, "x"), "5-x");
	CU_ASSERT_EQUAL(memcmp(arena_copy(&a, "a\0b", 3), "a\0b", 3), 0);
	CU_ASSERT_PTR_NOT_NULL(arena_copy(&a, NULL, 0));
	arena_free(&a);
}

static void buf_grows_and_ends_with_nul(void)
{
	auto_buf b = { 0 };
	bool good = true;

	for (int i = 0; i < 5000; i++) {
		if (i % 3)
			buf_add(&b, "ab", 2);
		else
			buf_printf(&b, "%02d", i % 100);
		good &= b.len == (size_t)i * 2 + 2 && b.p[b.len] == '\0' && b.room > b.len;
	}
	CU_ASSERT(good);
	CU_ASSERT_EQUAL(memcmp(b.p, "00abab03abab06", 14), 0);
	buf_free(&b);
	CU_ASSERT_EQUAL(b.len, 0);
	buf_add(&b, NULL, 0);
	CU_ASSERT_STRING_EQUAL(b.p, "");
}

static void vec_keeps_and_zeroes(void)
{
	vec(struct {
		uint64_t x;
		int y;
	}) v = { 0 };
	uint64_t sum = 0;
	bool zero = true;

	for (uint64_t i = 0; i < 1000; i++) {
		__typeof__(v.v) one = vec_add(&v);

		zero &= one->x == 0 && one->y == 0;
		one->x = i;
		one->y = -1;
	}
	vec_each(it, &v)
		sum += it->x;
	CU_ASSERT(zero);
	CU_ASSERT_EQUAL(v.n, 1000);
	CU_ASSERT_EQUAL(sum, 499500);
	v.n = 0; /* reused */
	CU_ASSERT_EQUAL(vec_add(&v)->y, 0);
	vec_free(&v);
	CU_ASSERT_PTR_NULL(v.v);
	CU_ASSERT_EQUAL(v.room, 0);
}

/* What a child says on standard error, and how it ends. */
static int child(void (*run)(void), char *said, size_t room)
{
	int p[2], status = -1;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(p) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDERR_FILENO);
		run();
		_exit(99);
	}
	close(p[1]);
	while ((n = read(p[0], said + len, room - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(p[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void use_up_by_vec(void)
{
	size_t room = SIZE_MAX / 16;
	void *p = vec_reserve(NULL, SIZE_MAX / 16, &room, 64);

	free(p);
}

static void use_up_by_arena(void)
{
	struct arena a = { 0 };

	arena_alloc(&a, SIZE_MAX - 3);
}

static void no_memory_is_one_sentence_and_status_1(void)
{
	char said[100];

	CU_ASSERT_EQUAL(child(use_up_by_vec, said, sizeof(said)), 1);
	CU_ASSERT_STRING_EQUAL(said, "cr: out of memory\n");
	CU_ASSERT_EQUAL(child(use_up_by_arena, said, sizeof(said)), 1);
	CU_ASSERT_STRING_EQUAL(said, "cr: out of memory\n");
}

/* --- descriptors ----------------------------------------------------------------------------- */

static char folder[32];
static int dir = -1;

static int make_folder(void)
{
	strcpy(folder, "/tmp/t-base.XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int remove_folder(void)
{
	unlinkat(dir, "file", 0);
	unlinkat(dir, "link", 0);
	unlinkat(dir, "log", 0);
	close(dir);
	return rmdir(folder);
}

static void auto_fd_closes_once_and_keeps_errno(void)
{
	int number, taken;

	{
		auto_fd fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		number = fd;
		errno = EXDEV;
	}
	CU_ASSERT_EQUAL(errno, EXDEV);
	CU_ASSERT_EQUAL(fcntl(number, F_GETFD), -1);
	{
		auto_fd fd = number; /* closing it fails */

		(void)fd;
		errno = EXDEV;
	}
	CU_ASSERT_EQUAL(errno, EXDEV);
	{
		auto_fd fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		taken = take_fd(&fd);
	}
	CU_ASSERT(fcntl(taken, F_GETFD) >= 0);
	close(taken);
}

static void make_file(const char *text, size_t n)
{
	auto_fd fd = openat(dir, "file", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL_FATAL(fd_write_full(fd, text, n), 0);
}

static void read_file_reads_all_sizes(void)
{
	static const size_t sizes[] = { 0, 1, 4095, 65534, 65535, 65536, 131071, 300000 };
	auto_buf b = { 0 };
	auto_free char *text = mem_alloc(300000);

	for (size_t i = 0; i < 300000; i++)
		text[i] = (char)('a' + i % 23);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make_file(text, sizes[i]);
		CU_ASSERT_EQUAL(fd_read_file(dir, "file", &b), 0);
		CU_ASSERT_EQUAL_FATAL(b.len, sizes[i]);
		CU_ASSERT_EQUAL(memcmp(b.p, text, b.len), 0);
		CU_ASSERT_EQUAL(b.p[b.len], '\0');
	}
	CU_ASSERT_EQUAL(fd_read_file(dir, "nothing", &b), -ENOENT);
	CU_ASSERT_EQUAL(b.len, 0);
	CU_ASSERT_STRING_EQUAL(b.p, "");
	CU_ASSERT_EQUAL(fd_read_file(AT_FDCWD, folder, &b), -EISDIR);
}

static void read_file_reads_proc_in_pieces(void)
{
	auto_buf b = { 0 };

	CU_ASSERT_EQUAL(fd_read_file(AT_FDCWD, "/proc/self/smaps", &b), 0);
	CU_ASSERT(b.len > 8192);
	CU_ASSERT_EQUAL(b.len, strlen(b.p));
	CU_ASSERT(ends_with(b.p, "\n"));
}

static volatile int ticks, fifo_end = -1;

/* The third tick opens the other end. */
static void on_tick(int signal)
{
	(void)signal;
	if (++ticks == 3)
		fifo_end = openat(dir, "fifo", O_RDWR | O_CLOEXEC | O_NONBLOCK);
}

static void open_goes_on_after_a_signal(void)
{
	const struct sigaction action = { .sa_handler = on_tick };
	const struct itimerval tick = { { 0, 1000 }, { 0, 1000 } }, none = { 0 };
	struct sigaction old;

	CU_ASSERT_EQUAL_FATAL(mkfifoat(dir, "fifo", 0600), 0);
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &action, &old), 0);
	CU_ASSERT_EQUAL(setitimer(ITIMER_REAL, &tick, NULL), 0);
	auto_fd fd = fd_open(dir, "fifo", O_RDONLY);
	CU_ASSERT_EQUAL(setitimer(ITIMER_REAL, &none, NULL), 0);
	CU_ASSERT_EQUAL(sigaction(SIGALRM, &old, NULL), 0);
	CU_ASSERT(fd >= 0);
	CU_ASSERT(ticks >= 3);
	CU_ASSERT_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fifo_end);
	unlinkat(dir, "fifo", 0);
	CU_ASSERT_EQUAL(fd_open(dir, "fifo", O_RDONLY), -ENOENT);
}

static void pread_full_is_whole_or_an_error(void)
{
	char text[16];

	make_file("0123456789", 10);
	auto_fd fd = openat(dir, "file", O_RDWR | O_CLOEXEC);
	CU_ASSERT_EQUAL(fd_pread_full(fd, text, 4, 6), 0);
	CU_ASSERT_EQUAL(memcmp(text, "6789", 4), 0);
	CU_ASSERT_EQUAL(fd_pread_full(fd, text, 5, 6), -ENODATA);
	CU_ASSERT_EQUAL(fd_pread_full(fd, text, 0, 100), 0);
	CU_ASSERT_EQUAL(fd_pread_full(-1, text, 1, 0), -EBADF);
	CU_ASSERT_EQUAL(fd_pwrite_full(fd, "xy", 2, 9), 0);
	CU_ASSERT_EQUAL(fd_pread_full(fd, text, 11, 0), 0);
	CU_ASSERT_EQUAL(memcmp(text, "012345678xy", 11), 0);
	CU_ASSERT_EQUAL(fd_pwrite_full(-1, "x", 1, 0), -EBADF);
	CU_ASSERT_EQUAL(fd_write_full(-1, "x", 1), -EBADF);
}

static void ignore_signal(int sig)
{
	(void)sig;
}

/* Signals cut the write to a full pipe into pieces. */
static int write_among_signals(int fd, const void *p, size_t n)
{
	struct sigaction act = { .sa_handler = ignore_signal };
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, off = { 0 };
	int rc;

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	rc = fd_write_full(fd, p, n);
	setitimer(ITIMER_REAL, &off, NULL);
	return rc;
}

static void write_full_goes_on(void)
{
	static char out[300000], in[300000];
	size_t got = 0;
	int p[2];
	pid_t pid;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7);
	CU_ASSERT_EQUAL_FATAL(pipe(p), 0);
	pid = fork();
	if (pid == 0)
		_exit(write_among_signals(p[1], out, sizeof(out)) != 0);
	close(p[1]);
	while (got < sizeof(in)) {
		size_t left = sizeof(in) - got;
		ssize_t n = read(p[0], in + got, left < 5000 ? left : 5000);

		usleep(1000);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(p[0]);
	waitpid(pid, NULL, 0);
	CU_ASSERT_EQUAL(got, sizeof(in));
	CU_ASSERT_EQUAL(memcmp(in, out, sizeof(in)), 0);
}

static void readlink_gives_the_text(void)
{
	struct arena a = { 0 };
	char target[4001];

	memset(target, 't', 4000);
	target[4000] = '\0';
	CU_ASSERT_EQUAL_FATAL(symlinkat(target, dir, "link"), 0);
	CU_ASSERT_STRING_EQUAL_FATAL(fd_readlink(&a, dir, "link"), target);
	errno = 0;
	CU_ASSERT_PTR_NULL(fd_readlink(&a, dir, "nothing"));
	CU_ASSERT_EQUAL(errno, ENOENT);
	arena_free(&a);
}

/* --- numbers --------------------------------------------------------------------------------- */

static bool u64_is(const char *s, unsigned int base, uint64_t want)
{
	uint64_t n = ~want;

	return str_to_u64(s, base, &n) && n == want;
}

static void to_u64_takes_the_whole_range(void)
{
	CU_ASSERT(u64_is("0", 10, 0));
	CU_ASSERT(u64_is("007", 10, 7));
	CU_ASSERT(u64_is("755", 8, 0755));
	CU_ASSERT(u64_is("fFaA09", 16, 0xffaa09));
	CU_ASSERT(u64_is("18446744073709551615", 10, UINT64_MAX));
	CU_ASSERT(u64_is("ffffffffffffffff", 16, UINT64_MAX));
}

static void to_u64_refuses(void)
{
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "0x1",
					   "1a",
					   "1\n",
					   "18446744073709551616",
					   "99999999999999999999" };
	uint64_t n = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT(!str_to_u64(bad[i], 10, &n));
	CU_ASSERT(!str_to_u64("8", 8, &n));
	CU_ASSERT(!str_to_u64("10000000000000000", 16, &n));
	CU_ASSERT_EQUAL(n, 77);
}

static void take_u64_moves_on(void)
{
	const char *s = "12ab rest";
	uint64_t n;

	CU_ASSERT(str_take_u64(&s, 10, &n));
	CU_ASSERT_EQUAL(n, 12);
	CU_ASSERT_STRING_EQUAL(s, "ab rest");
	CU_ASSERT(!str_take_u64(&s, 10, &n));
	CU_ASSERT_STRING_EQUAL(s, "ab rest");
	CU_ASSERT(str_take_u64(&s, 16, &n));
	CU_ASSERT_EQUAL(n, 0xab);
}

static void pids_are_positive_ints(void)
{
	int pid = 0;

	CU_ASSERT(str_to_pid("1", &pid) && pid == 1);
	CU_ASSERT(str_to_pid("2147483647", &pid) && pid == INT_MAX);
	CU_ASSERT(!str_to_pid("0", &pid));
	CU_ASSERT(!str_to_pid("2147483648", &pid));
	CU_ASSERT(!str_to_pid("-1", &pid));
	CU_ASSERT(!str_to_pid("12x", &pid));
	CU_ASSERT_EQUAL(pid, INT_MAX);
}

static void seconds_are_plain_decimals(void)
{
	static const char *const bad[] = {
		"",     "0",   "0.0", "-1",         ".5", "5.", "1e3",
		"1.5s", "nan", "inf", "1000000000", " 1", "0.", "1.2.3"
	};
	double s = 0;

	CU_ASSERT(str_to_seconds("2", &s) && s == 2);
	CU_ASSERT(str_to_seconds("0.5", &s) && s == 0.5);
	CU_ASSERT(str_to_seconds("999999999.75", &s) && s > 999999999.7 && s < 999999999.8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT(!str_to_seconds(bad[i], &s));
}

static void starts(void)
{
	CU_ASSERT(str_starts("abc", "ab"));
	CU_ASSERT(str_starts("abc", ""));
	CU_ASSERT(!str_starts("ab", "abc"));
}

/* --- clock ----------------------------------------------------------------------------------- */

static void no_deadline_is_never_over(void)
{
	CU_ASSERT_EQUAL(deadline_in(0).at, 0);
	CU_ASSERT_EQUAL(deadline_in(-1).at, 0);
	CU_ASSERT_EQUAL(deadline_in(__builtin_nan("")).at, 0);
	CU_ASSERT(!deadline_is_over(deadline_in(0)));
	CU_ASSERT_EQUAL(deadline_left_ms(deadline_in(0)), -1);
}

static void deadlines_round_up_and_end(void)
{
	struct deadline past = { 1 }, d = deadline_in(1e300);

	CU_ASSERT(deadline_is_over(past));
	CU_ASSERT_EQUAL(deadline_left_ms(past), 0);
	CU_ASSERT(!deadline_is_over(d));
	CU_ASSERT_EQUAL(deadline_left_ms(d), INT_MAX);
	d = deadline_in(1000);
	CU_ASSERT(d.at > clock_now());
	CU_ASSERT(deadline_left_ms(d) <= 1000000 && deadline_left_ms(d) > 0);
	d.at = clock_now() + 100000000000ull - 1; /* not a whole number of milliseconds */
	CU_ASSERT(deadline_left_ms(d) > 0);
}

/* --- log ------------------------------------------------------------------------------------- */

static void say_all(void)
{
	errno = EXDEV;
	warn("careful\n%d", 1);
	inform("told");
	debug(DUMP, "of the %s", "dump");
	debug(PLAN, "of the plan");
	_exit(errno == EXDEV ? 0 : 1);
}

static void silent(void)
{
	struct error e;

	if (log_open(NULL, false, NULL, &e) == 0)
		say_all();
}

static void talkative(void)
{
	struct error e;

	if (log_open("proc,,dump", true, NULL, &e) == 0)
		say_all();
}

static void into_file(void)
{
	char path[64];
	struct error e;

	snprintf(path, sizeof(path), "%s/log", folder);
	if (log_open("all", true, path, &e) == 0)
		say_all();
}

static void to_nobody(void)
{
	close(STDERR_FILENO);
	talkative();
}

static void a_log_that_fails_is_no_failure(void)
{
	char said[300];

	CU_ASSERT_EQUAL(child(to_nobody, said, sizeof(said)), 0);
	CU_ASSERT_STRING_EQUAL(said, "");
}

static void log_is_off_but_for_warnings(void)
{
	char said[300];

	CU_ASSERT_EQUAL(child(silent, said, sizeof(said)), 0);
	CU_ASSERT_STRING_EQUAL(said, "cr: warning: careful?1\n");
}

/* Takes the times out of debug lines; every one must have one. */
static char *without_times(char *text)
{
	static const char *const rooms[] = { "cr: DUMP: ", "cr: PLAN: " };

	for (size_t i = 0; i < 2; i++) {
		char *at = strstr(text, rooms[i]), *end;

		if (!at)
			continue;
		at += strlen(rooms[i]);
		end = at + strspn(at, "0123456789.");
		if (end == at || !str_starts(end, " ms: "))
			return "a debug line without its time";
		memmove(at, end + 5, strlen(end + 5) + 1);
	}
	return text;
}

static void log_goes_by_room(void)
{
	char said[300];

	CU_ASSERT_EQUAL(child(talkative, said, sizeof(said)), 0);
	CU_ASSERT_STRING_EQUAL(without_times(said),
			       "cr: warning: careful?1\ncr: told\ncr: DUMP: of the dump\n");
	CU_ASSERT(!log_is_verbose()); /* the child's own */
}

static void log_goes_to_a_file(void)
{
	auto_buf b = { 0 };
	struct stat st;
	char said[300];

	CU_ASSERT_EQUAL(child(into_file, said, sizeof(said)), 0);
	CU_ASSERT_STRING_EQUAL(said, "cr: warning: careful?1\n");
	CU_ASSERT_EQUAL(fd_read_file(dir, "log", &b), 0);
	CU_ASSERT_STRING_EQUAL(without_times(b.p),
			       "cr: warning: careful?1\ncr: told\ncr: DUMP: of the dump\n"
			       "cr: PLAN: of the plan\n");
	CU_ASSERT_EQUAL(fstatat(dir, "log", &st, 0), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
}

static void log_refuses_unknown_rooms(void)
{
	struct error e = { 0 };

	CU_ASSERT_EQUAL(log_open("dump,kitchen", false, NULL, &e), -EINVAL);
	CU_ASSERT(str_starts(e.text, "CR_DEBUG: unknown room kitchen"));
	CU_ASSERT_EQUAL(log_open("dum", false, NULL, &e), -EINVAL);
	CU_ASSERT_EQUAL(log_open(NULL, false, "/nowhere/at/all", &e), -ENOENT);
	CU_ASSERT(!log_is_on(LOG_DUMP));
}

/* --- the kernel's newer calls ---------------------------------------------------------------- */

static void wrappers_give_minus_errno(void)
{
	struct pagemap_scan scan = { .size = sizeof(scan) };
	auto_fd self = sys_pidfd_open(getpid(), 0);

	CU_ASSERT(self >= 0);
	CU_ASSERT_EQUAL(sys_pidfd_open(-1, 0), -EINVAL);
	auto_fd copy = sys_pidfd_getfd(self, 0);
	CU_ASSERT(copy >= 0 || copy == -EPERM || copy == -EBADF);
	CU_ASSERT_EQUAL(sys_pidfd_getfd(self, 1000000), -EBADF);
	CU_ASSERT_EQUAL(sys_pidfd_send_signal(self, 0, NULL, 0), 0);
	CU_ASSERT_EQUAL(sys_kcmp(getpid(), getpid(), KCMP_VM, 0, 0), 0);
	CU_ASSERT_EQUAL(sys_close_range(5, 4, 0), -EINVAL);
	CU_ASSERT_EQUAL(sys_renameat2(-1, "a", -1, "b", 0), -EBADF);
	CU_ASSERT(sys_open_tree(-1, "a", 0) < 0);
	CU_ASSERT(sys_move_mount(-1, "a", -1, "b", 0) < 0);
	CU_ASSERT_EQUAL(sys_pagemap_scan(-1, &scan), -EBADF);
}

static void clone3_forks(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .flags = CLONE_CLEAR_SIGHAND };
	int status = -1;
	pid_t pid = sys_clone3(&args);

	if (pid == 0)
		_exit(7);
	CU_ASSERT_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static CU_TestInfo error_tests[] = {
	{ "fail says what and why, within says where", fail_says_what_and_why },
	{ "a refusal has no strerror", a_refusal_has_no_strerror },
	{ "within leaves success alone", within_leaves_success_alone },
	{ "long texts are cut between characters", long_texts_are_cut_between_characters },
	{ "within keeps the head of a long text", within_keeps_the_head_of_a_long_text },
	{ "an error is one line", an_error_is_one_line },
	{ "fail may quote its own text", fail_may_quote_itself },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo mem_tests[] = {
	{ "what an arena gives is zero, aligned and apart", arena_things_are_zero_aligned_apart },
	{ "arena strings", arena_strings },
	{ "a buf grows and ends with NUL", buf_grows_and_ends_with_nul },
	{ "a vec keeps its elements and zeroes new ones", vec_keeps_and_zeroes },
	{ "no memory is one sentence and status 1", no_memory_is_one_sentence_and_status_1 },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo fd_tests[] = {
	{ "auto_fd closes once and keeps errno", auto_fd_closes_once_and_keeps_errno },
	{ "files of all sizes are read whole", read_file_reads_all_sizes },
	{ "files of /proc are read whole", read_file_reads_proc_in_pieces },
	{ "an open goes on after a signal", open_goes_on_after_a_signal },
	{ "pread and pwrite are whole or an error", pread_full_is_whole_or_an_error },
	{ "write goes on after a part", write_full_goes_on },
	{ "readlink gives the text", readlink_gives_the_text },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo str_tests[] = {
	{ "numbers of the whole range", to_u64_takes_the_whole_range },
	{ "what is no number is refused", to_u64_refuses },
	{ "take moves on", take_u64_moves_on },
	{ "pids are positive ints", pids_are_positive_ints },
	{ "seconds are plain decimals", seconds_are_plain_decimals },
	{ "starts", starts },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo clock_tests[] = {
	{ "no deadline is never over", no_deadline_is_never_over },
	{ "deadlines round up and end", deadlines_round_up_and_end },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo log_tests[] = {
	{ "off but for warnings", log_is_off_but_for_warnings },
	{ "on by room", log_goes_by_room },
	{ "to a file", log_goes_to_a_file },
	{ "not to be written is no failure", a_log_that_fails_is_no_failure },
	{ "unknown rooms are refused", log_refuses_unknown_rooms },
	CU_TEST_INFO_NULL,
};
static CU_TestInfo compat_tests[] = {
	{ "wrappers give -errno", wrappers_give_minus_errno },
	{ "clone3 forks", clone3_forks },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "error", NULL, NULL, NULL, NULL, error_tests },
	{ "mem", NULL, NULL, NULL, NULL, mem_tests },
	{ "fd", make_folder, remove_folder, NULL, NULL, fd_tests },
	{ "str", NULL, NULL, NULL, NULL, str_tests },
	{ "clock", NULL, NULL, NULL, NULL, clock_tests },
	{ "log", make_folder, remove_folder, NULL, NULL, log_tests },
	{ "compat", NULL, NULL, NULL, NULL, compat_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
