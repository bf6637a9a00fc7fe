/* SPDX-License-Identifier: MIT */
/* timers: the POSIX timers of a process. */
#include <signal.h>

#include "proc/timers.h"
#include "tap.h"

static void posix_timers_are_read(void)
{
	static const char text[] = "ID: 7\nsignal: 34/0000000000000007\nnotify: thread/tid.-1\n"
				   "ClockID: -6\nID: 2\nsignal: 60/00007fff86e452a8\n"
				   "notify: signal/pid.2634\nClockID: 1\n";
	static const char *const bad[] = {
		"ID: 1\n",
		"ID: 1\nsignal: 60/x\nnotify: signal/pid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: signal/xid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: other/pid.1\nClockID: 1\n",
		"ID: 1\nsignal: 60/1\nnotify: signal/pid.1\nClockID: 1",
		"ID: 99999999999\nsignal: 60/1\nnotify: signal/pid.1\nClockID: 1\n",
	};
	struct arena a = { 0 };
	struct proc_timers t;
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(timers_parse(text, &a, &t, &e), 0);
	CU_ASSERT_EQUAL_FATAL(t.n, 2);
	CU_ASSERT(t.list[0].id == 2 && t.list[0].signal == 60 && t.list[0].clock == 1);
	CU_ASSERT(t.list[0].value == 0x7fff86e452a8 && t.list[0].target == 2634);
	CU_ASSERT_EQUAL(t.list[0].notify, SIGEV_SIGNAL);
	CU_ASSERT(t.list[1].id == 7 && t.list[1].clock == -6 && t.list[1].target == -1);
	CU_ASSERT_EQUAL(t.list[1].notify, SIGEV_THREAD | SIGEV_THREAD_ID);
	CU_ASSERT_PTR_EQUAL(timers_find(&t, 7), &t.list[1]);
	CU_ASSERT_PTR_NULL(timers_find(&t, 3));
	CU_ASSERT(timers_parse("", &a, &t, &e) == 0 && t.n == 0 && !timers_find(&t, 0));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT(timers_parse(bad[i], &a, &t, &e) < 0);
	arena_free(&a);
}

static CU_TestInfo timers_tests[] = {
	{ "POSIX timers", posix_timers_are_read },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "timers", NULL, NULL, NULL, NULL, timers_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
