/* SPDX-License-Identifier: MIT */
/* The restorer's CALL: arguments, results that are wanted; what is no plan, and its END. */
#include "restorer-room.h"

static void test_arguments(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op;

	memcpy(one->data + 64, "hello", 6);
	room_arg(room_call(one, SYS_pipe2, 0, 0, 0), 0, CR_RST_DATA, 0);
	room_arg(room_call(one, SYS_memfd_create, 0, 0, 0), 0, CR_RST_DATA, 64);
	op = room_call(one, SYS_pwrite64, 0, 0, 6);
	room_arg(op, 0, CR_RST_RESULT, 1);
	room_arg(op, 1, CR_RST_DATA, 64);
	room_want(op, CR_RST_WANT_EXACT, 6);
	op = room_call(one, SYS_pread64, 0, 0, 6);
	room_arg(op, 0, CR_RST_RESULT, 1);
	room_arg(op, 1, CR_RST_REGION, (uint64_t)((char *)room->note - (char *)one));
	room_want(op, CR_RST_WANT_EXACT, 6);
	room_arg(room_call(one, SYS_close, 0, 0, 0), 0, CR_RST_RESULT, 1);
	op = room_call(one, SYS_mmap, 0, 4096, PROT_READ);
	op->arg[3] = MAP_PRIVATE | MAP_ANONYMOUS;
	op->arg[4] = (uint64_t)-1;
	op->arg[5] = 4096;
	op = room_call(one, SYS_munmap, 0, 4096, 0);
	room_arg(op, 0, CR_RST_RESULT, 5);
	room_call(one, SYS_getpid, 0, 0, 0);

	CU_ASSERT_EQUAL(run(one), 0);
	int fds[2];
	memcpy(fds, one->data, sizeof(fds));
	CU_ASSERT_EQUAL(close(fds[0]), 0);
	CU_ASSERT_EQUAL(close(fds[1]), 0);
	CU_ASSERT_STRING_EQUAL((char *)room->note, "hello");
	CU_ASSERT_EQUAL(close((int)one->result[1]), -1);
	CU_ASSERT_EQUAL(one->result[7], getpid());
	CU_ASSERT_EQUAL(room->report.state, 0);
	room_free(room);
}

/* Whether a close(-1), or a dup(2), passes under this wish. */
static int64_t wanted(long nr, int how, int64_t want)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_want(room_call(one, nr, (uint64_t)(nr == SYS_close ? -1 : 0), 0, 0), how, want);
	room_call(one, SYS_getpid, 0, 0, 0);

	int64_t result = run(one);

	/* stored whether it was wanted or not; nothing runs after a failure */
	CU_ASSERT_EQUAL(one->result[0], nr == SYS_close ? -EBADF : getppid());
	CU_ASSERT_EQUAL(one->result[1], result ? 0 : getpid());
	if (result)
		check_report(room, 100, 0, one->result[0]);
	room_free(room);
	return result;
}

static void test_wants(void)
{
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_EXACT, getppid()), 0);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_EXACT, getppid() + 1), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_EXACT, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_EXACT, 0), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_OK, 0), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK, 0), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_ANY, 0), 0);
	CU_ASSERT_EQUAL(wanted(SYS_getppid, CR_RST_WANT_OK_OR, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK_OR, -EBADF), 0);
	CU_ASSERT_EQUAL(wanted(SYS_close, CR_RST_WANT_OK_OR, -EINVAL), -ECANCELED);
	CU_ASSERT_EQUAL(wanted(SYS_close, 77, -EBADF), -ECANCELED);
}

static void test_refusals(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_call(one, SYS_getpid, 0, 0, 0);
	one->plan.abi++;
	CU_ASSERT_EQUAL(run(one), -EINVAL);
	CU_ASSERT_EQUAL(one->result[0], 0);
	CU_ASSERT_EQUAL(room->report.state, 0);

	one->plan.abi--;
	room_want(room_op(one, CR_RST_HASH + 1), CR_RST_WANT_ANY, 0);
	CU_ASSERT_EQUAL(run(one), -EINVAL);
	check_report(room, 100, 1, -EINVAL);

	/* the result of an operation that has not run */
	memset(&room->report, 0, sizeof(room->report));
	one->plan.n_ops = 1;
	room_arg(room_call(one, SYS_close, 0, 0, 0), 0, CR_RST_RESULT, 1);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	check_report(room, 100, 1, -EINVAL);
	room_free(room);
}

static void test_end(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];

	room_op(one, CR_RST_END);
	room_call(one, SYS_close, (uint64_t)-1, 0, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[1], 0);
	one->plan.n_ops = 0;
	CU_ASSERT_EQUAL(run(one), 0);
	room_free(room);
}

int main(void)
{
	CU_TestInfo calls[] = {
		{ "arguments: constants, results, data, region", test_arguments },
		{ "wishes of every sort, kept and not", test_wants },
		{ "another ABI, unknown code, later result", test_refusals },
		{ "END ends", test_end },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer calls", NULL, NULL, NULL, NULL, calls },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
