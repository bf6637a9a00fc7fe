/* SPDX-License-Identifier: MIT */
/* stat and status of a task, and its lists: threads, children, descriptors. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "proc-room.h"
#include "proc/task.h"
#include "tap.h"

/* --- stat and status ------------------------------------------------------------------------- */

static void stat_of_an_odd_name(void)
{
	auto_fd proc = snapshot("odd");
	struct proc_stat s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_stat_read(proc, &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.comm, "a) R 1 (\n\\b");
	CU_ASSERT(s.pid == 25906 && s.state == 'S' && s.ppid == 25877);
	CU_ASSERT(s.pgid == 25906 && s.sid == 25906 && s.tty_nr == 0 && s.tpgid == -1);
	CU_ASSERT(s.flags == 4194304 && s.priority == 20 && s.nice == 0 && s.start_time == 338099);
	CU_ASSERT(s.start_code == 94476679651328 && s.end_code == 94476679653573);
	CU_ASSERT(s.start_stack == 140736718960752);
	CU_ASSERT(s.exit_signal == 17 && s.rt_priority == 0 && s.policy == 0);
	CU_ASSERT(s.start_data == 94476679663056 && s.end_data == 94476679663896);
	CU_ASSERT(s.start_brk == 94477185536000 && s.arg_start == 140736718969456);
	CU_ASSERT(s.arg_end == 140736718969477 && s.env_start == 140736718969477);
	CU_ASSERT(s.env_end == 140736718970851 && s.exit_code == 0);
}

static int stat_rc(const char *text)
{
	struct proc_stat s;
	struct error e = { 0 };
	int rc = proc_stat_parse(text, &s, &e);

	CU_ASSERT(rc == 0 || e.text[0]);
	return rc;
}

#define FIELDS                                                                                    \
	" 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 -5 1 0 7 0 0 0 1 2 3 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 " \
	"1 2 3 4 5 6 7 0"

static void stat_refuses_hostile_text(void)
{
	static const char *const bad[] = {
		"",
		"1",
		"1 (",
		"1 (a",
		"1 )(",
		"(a) S" FIELDS "\n",
		"0 (a) S" FIELDS "\n",
		"2147483648 (a) S" FIELDS "\n",
		"1 (a)S" FIELDS "\n",
		"1 (a) " FIELDS "\n",
		"1 (a) S" FIELDS,
		"1 (a) S 1 2 3\n",
		"1 (a) S  1" FIELDS "\n",
		"1 (0123456789012345678901234567890123456789012345678901234567890123) S" FIELDS
		"\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(stat_rc(bad[i]), -EINVAL);
	CU_ASSERT_EQUAL(stat_rc("1 (a) S" FIELDS "\n"), 0);
	CU_ASSERT_EQUAL(stat_rc("1 (a) S" FIELDS " 99\n"), 0); /* a newer kernel may tell more */
	CU_ASSERT_EQUAL(stat_rc("1 () S" FIELDS "\n"), 0);
}

static void status_of_an_odd_name(void)
{
	auto_fd proc = snapshot("odd");
	struct arena a = { 0 };
	struct proc_status s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_status_read(proc, &a, &s, &e), 0);
	CU_ASSERT_STRING_EQUAL(s.name, "a) R 1 (\n\\b");
	CU_ASSERT(s.state == 'S' && s.tgid == 25906 && s.pid == 25906 && s.ppid == 25877);
	CU_ASSERT(s.tracer == 0 && s.umask == 027 && s.n_groups == 0 && s.threads == 1);
	CU_ASSERT(s.sig_pending == 0x200 && s.shared_pending == 0);
	CU_ASSERT(s.sig_blocked == 0x4200 && s.sig_ignored == 6 && s.sig_caught == 0);
	CU_ASSERT(s.vm_rss == 1096 * 1024);
	arena_free(&a);
}

static void status_of_another_user(void)
{
	auto_fd proc = snapshot("sleep");
	struct arena a = { 0 };
	struct proc_status s;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_status_read(proc, &a, &s, &e), 0);
	for (int i = 0; i < 4; i++)
		CU_ASSERT(s.uid[i] == 65534 && s.gid[i] == 65534);
	CU_ASSERT_EQUAL_FATAL(s.n_groups, 3);
	CU_ASSERT(s.groups[0] == 7 && s.groups[1] == 8 && s.groups[2] == 9);
	CU_ASSERT(s.cap_eff == 0 && s.cap_prm == 0 && s.cap_bnd == 0x1fffeffffff);
	CU_ASSERT(s.no_new_privs == 1 && s.seccomp == 0);
	arena_free(&a);
}

static int status_rc(const char *text, struct proc_status *s)
{
	struct arena a = { 0 };
	struct error e = { 0 };
	int rc = proc_status_parse(text, &a, s, &e);

	CU_ASSERT(rc == 0 || e.text[0]);
	arena_free(&a);
	return rc;
}

/* Each line that must be there is left out in turn, and each is damaged in turn. */
static void status_misses_lines(void)
{
	static const char *const keys[] = { "Name",      "State",  "Tgid",   "Pid",    "PPid",
					    "TracerPid", "Uid",    "Gid",    "Groups", "Threads",
					    "SigPnd",    "ShdPnd", "SigBlk", "SigIgn", "SigCgt",
					    "CapInh",    "CapPrm", "CapEff", "CapBnd", "CapAmb",
					    "NoNewPrivs" };
	auto_fd proc = snapshot("sleep");
	auto_buf text = { 0 };
	struct proc_status s;

	CU_ASSERT_EQUAL_FATAL(fd_read_file(proc, "status", &text), 0);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char line[32];
		char *at;

		snprintf(line, sizeof(line), "\n%s:\t", keys[i]);
		at = i == 0 ? text.p : strstr(text.p, line) + 1;
		*at = 'x';
		CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
		*at = keys[i][0];
		if (i > 1) { /* names and states may be anything */
			char *value = strchr(at, '\t') + 1, kept = *value;

			*value = '?';
			CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
			*value = kept;
			value = strchr(at, '\n') - 1; /* and what stands behind a value */
			kept = *value;
			*value = '?';
			CU_ASSERT_EQUAL(status_rc(text.p, &s), -EINVAL);
			*value = kept;
		}
	}
	CU_ASSERT_EQUAL(status_rc(text.p, &s), 0);
	CU_ASSERT_EQUAL(status_rc("", &s), -EINVAL);
	CU_ASSERT_EQUAL(
		status_rc(
			"Name:\t0123456789012345678901234567890123456789012345678901234567890123\n",
			&s),
		-EINVAL);
}

static void sigblk_alone(void)
{
	uint64_t mask = 0;

	CU_ASSERT_EQUAL(proc_sigblk_parse("Name:\tSigBlk:\t1\nSigBlk:\tfffffffffffbfeff\n", &mask),
			0);
	CU_ASSERT_EQUAL(mask, 0xfffffffffffbfeff);
	CU_ASSERT_EQUAL(proc_sigblk_parse("Name:\tx\n", &mask), -EINVAL);
	CU_ASSERT_EQUAL(proc_sigblk_parse("a\nSigBlk:\t12", &mask), -EINVAL);
	CU_ASSERT_EQUAL(proc_sigblk_parse("a\nSigBlk:\t\n", &mask), -EINVAL);
}

/* --- lists ----------------------------------------------------------------------------------- */

static void threads_in_order(void)
{
	auto_fd proc = snapshot("threads");
	struct pids p = { 0 };
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(proc_threads(proc, &p, &e), 0);
	CU_ASSERT_EQUAL_FATAL(p.list.n, 4);
	CU_ASSERT(p.list.v[0] == 25907 && p.list.v[1] == 25916);
	CU_ASSERT(p.list.v[2] == 25918 && p.list.v[3] == 25919);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.n, 0);
	vec_free(&p.list);
}

static void own_children_and_fds(void)
{
	auto_fd self = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pids p = { 0 };
	struct error e = { 0 };
	pid_t children[3];
	int high = fcntl(0, F_DUPFD_CLOEXEC, 700);

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			pause();
			_exit(0);
		}
	}
	CU_ASSERT_EQUAL(proc_children(self, &p, &e), 0);
	CU_ASSERT_EQUAL_FATAL(p.list.n, 3);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT(p.list.v[i] == children[0] || p.list.v[i] == children[1] ||
			  p.list.v[i] == children[2]);
		CU_ASSERT(i == 0 || p.list.v[i - 1] < p.list.v[i]);
	}
	for (int i = 0; i < 3; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	CU_ASSERT_EQUAL(proc_fds(self, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.v[0], 0);
	CU_ASSERT_EQUAL(p.list.v[p.list.n - 1], high);
	close(high);
	CU_ASSERT_EQUAL(proc_threads(self, &p, &e), 0);
	CU_ASSERT(p.list.n >= 1 && p.list.v[0] == getpid()); /* a sanitizer may have threads */
	vec_free(&p.list);
}

static void children_of_several_threads(void)
{
	char path[] = "/tmp/t-proc.XXXXXX";
	static const char *const names[] = { "task", "task/9", "task/10" };
	struct pids p = { 0 };
	struct proc_stat st;
	struct error e = { 0 };

	CU_ASSERT_FATAL(mkdtemp(path) != NULL);
	auto_fd proc = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CU_ASSERT_EQUAL(proc_stat_read(proc, &st, &e), -ESRCH); /* what some kernels call ENOENT */
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(mkdirat(proc, names[i], 0700), 0);
	/* A thread that has ended has no files, though its folder is still open. */
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT_EQUAL(p.list.n, 0);
	close(openat(proc, "task/10/stat", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e),
			-EINVAL); /* one is there, and has no children */
	CU_ASSERT(strstr(e.text, "CONFIG_PROC_CHILDREN") != NULL);
	auto_fd one = openat(proc, "task/9/children", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	auto_fd two = openat(proc, "task/10/children", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL(fd_write_full(one, "300 20 ", 7), 0);
	CU_ASSERT_EQUAL(fd_write_full(two, "100 ", 4), 0);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), 0);
	CU_ASSERT(p.list.n == 3 && p.list.v[0] == 20 && p.list.v[1] == 100 && p.list.v[2] == 300);
	CU_ASSERT_EQUAL(fd_write_full(two, "x ", 2), 0);
	CU_ASSERT_EQUAL(proc_children(proc, &p, &e), -EINVAL);
	vec_free(&p.list);
	unlinkat(proc, "task/10/stat", 0);
	unlinkat(proc, "task/9/children", 0);
	unlinkat(proc, "task/10/children", 0);
	for (int i = 2; i >= 0; i--)
		unlinkat(proc, names[i], AT_REMOVEDIR);
	rmdir(path);
}

static CU_TestInfo task_tests[] = {
	{ "stat of a task with an odd name", stat_of_an_odd_name },
	{ "hostile stat is refused", stat_refuses_hostile_text },
	{ "status of a task with an odd name", status_of_an_odd_name },
	{ "status of another user's task", status_of_another_user },
	{ "each line of status is needed and checked", status_misses_lines },
	{ "SigBlk alone", sigblk_alone },
	{ "threads in order", threads_in_order },
	{ "own children, descriptors and threads", own_children_and_fds },
	{ "children of several threads", children_of_several_threads },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "task", NULL, NULL, NULL, NULL, task_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
