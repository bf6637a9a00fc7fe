/* SPDX-License-Identifier: MIT */
/* Plans from files: read and run, and refused for all that can be wrong with them. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "restorer-room.h"
#include "tap.h"

/* Two plans, the second of which the first one starts. */
struct plans {
	struct cr_rst_plan plan;
	struct cr_rst_op op[4];
	int64_t result[4];
	struct cr_rst_report report;
	uint64_t data[8];
	struct {
		struct cr_rst_plan plan;
		struct cr_rst_op op[2];
		int64_t result[2];
		_Alignas(16) char stack[4096];
	} child;
};

static struct file {
	struct cr_rst_plan_file head;
	struct plans p;
} wrong, got;

static void make(struct file *f)
{
	struct plans *p = &f->p;

	memset(f, 0, sizeof(*f));
	p->plan = (struct cr_rst_plan){
		.abi = CR_RST_ABI,
		.task = 5,
		.n_ops = 4,
		.ops = offsetof(struct plans, op),
		.results = offsetof(struct plans, result),
		.data = offsetof(struct plans, data),
		.stack_top = offsetof(struct plans, child),
		.report = offsetof(struct plans, report),
	};
	p->op[0] = (struct cr_rst_op){ .code = CR_RST_CALL,
				       .nr = SYS_getpid,
				       .want_how = CR_RST_WANT_OK };
	p->op[1] = (struct cr_rst_op){ .code = CR_RST_CLONE, .want_how = CR_RST_WANT_OK };
	p->op[1].arg[1] = SIGCHLD;
	p->op[1].arg[3] = offsetof(struct plans, child);
	p->op[2] = (struct cr_rst_op){ .code = CR_RST_CALL,
				       .nr = SYS_wait4,
				       .want_how = CR_RST_WANT_OK };
	p->op[2].how = CR_RST_RESULT | CR_RST_DATA << 2;
	p->op[2].arg[0] = 1;
	p->op[3] = (struct cr_rst_op){ .code = CR_RST_END };
	p->child.plan = (struct cr_rst_plan){
		.abi = CR_RST_ABI,
		.task = 6,
		.n_ops = 2,
		.ops = offsetof(struct plans, child.op) - offsetof(struct plans, child),
		.results = offsetof(struct plans, child.result) - offsetof(struct plans, child),
		.stack_top = sizeof(p->child),
		.report = (int64_t)offsetof(struct plans, report) -
			  (int64_t)offsetof(struct plans, child),
	};
	p->child.op[0] = (struct cr_rst_op){ .code = CR_RST_CALL, .nr = SYS_exit };
	p->child.op[0].arg[0] = 9;
	p->child.op[1] = (struct cr_rst_op){ .code = CR_RST_END };
	memcpy(f->head.magic, CR_RST_PLAN_MAGIC, sizeof(f->head.magic));
	f->head.abi = CR_RST_ABI;
	f->head.size = sizeof(*p);
}

static int64_t read_back(const struct file *f, size_t size, size_t room)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);

	if (write(fd, f, size) != (ssize_t)size)
		_exit(99);
	memset(&got, 0, sizeof(got));
	int64_t result = cr_rst_plan_read(fd, &got.p, room);

	close(fd);
	return result;
}

/* With the checksum that belongs to what is there. */
static int64_t read_summed(struct file *f)
{
	f->head.sum = cr_rst_sum(&f->p, sizeof(f->p));
	return read_back(f, sizeof(*f), sizeof(got.p));
}

static void test_run(void)
{
	make(&wrong);
	CU_ASSERT_EQUAL_FATAL(read_summed(&wrong), (int64_t)sizeof(wrong.p));
	CU_ASSERT_EQUAL(memcmp(&got.p, &wrong.p, sizeof(got.p)), 0);
	CU_ASSERT_EQUAL(cr_rst_run(&got.p.plan), 0);
	CU_ASSERT_EQUAL(got.p.result[0], getpid());
	CU_ASSERT(got.p.result[1] > 0 && got.p.result[2] == got.p.result[1]);
	int status = (int)got.p.data[0];
	CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	CU_ASSERT_EQUAL(cr_rst_abi(), CR_RST_ABI);
}

static void test_sum(void)
{
	/* as others compute FNV-1a of 64 bits */
	CU_ASSERT_EQUAL(cr_rst_sum("", 0), 0xcbf29ce484222325);
	CU_ASSERT_EQUAL(cr_rst_sum("a", 1), 0xaf63dc4c8601ec8c);
	CU_ASSERT_EQUAL(cr_rst_sum("foobar", 6), 0x85944171f73967e8);
}

static void test_damaged(void)
{
	int pipes[2];

	make(&wrong);
	CU_ASSERT_EQUAL(read_summed(&wrong), (int64_t)sizeof(wrong.p));
	wrong.p.data[7] ^= 1;
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p)), -EBADMSG);
	wrong.p.data[7] ^= 1;
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong) - 1, sizeof(got.p)), -ENODATA);
	CU_ASSERT_EQUAL(read_back(&wrong, 31, sizeof(got.p)), -ENODATA);
	CU_ASSERT_EQUAL(read_back(&wrong, 0, sizeof(got.p)), -ENODATA);
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p) - 1), -E2BIG);
	wrong.head.size = UINT64_MAX;
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p)), -E2BIG);
	wrong.head.size = sizeof(wrong.p);
	wrong.head.reserved = 1;
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p)), -EINVAL);
	wrong.head.reserved = 0;
	wrong.head.abi++;
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p)), -EOPNOTSUPP);
	wrong.head.abi--;
	wrong.head.magic[7] = 'x';
	CU_ASSERT_EQUAL(read_back(&wrong, sizeof(wrong), sizeof(got.p)), -ENOEXEC);

	/* no file: nothing is read from it */
	make(&wrong);
	wrong.head.sum = cr_rst_sum(&wrong.p, sizeof(wrong.p));
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	CU_ASSERT_EQUAL(write(pipes[1], &wrong, 1000), 1000);
	CU_ASSERT_EQUAL(cr_rst_plan_read(pipes[0], &got.p, sizeof(got.p)), -EBADF);
	CU_ASSERT_EQUAL(read(pipes[0], &got, 1000), 1000);
	CU_ASSERT_EQUAL(cr_rst_plan_read(-1, &got.p, sizeof(got.p)), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
}

#define P wrong.p
static const struct {
	void *field;
	size_t size;
	uint64_t value;
	int64_t error;
} numbers[] = {
	{ &P.plan.abi, 4, CR_RST_ABI + 1, -EOPNOTSUPP },
	{ &P.plan.reserved, 4, 1, -EINVAL },
	{ &P.plan.n_ops, 4, UINT32_MAX, -EINVAL },
	{ &P.plan.n_ops, 4, 1000, -EINVAL },
	{ &P.plan.ops, 8, sizeof(P) - 4 * 64 + 8, -EINVAL },
	{ &P.plan.ops, 8, offsetof(struct plans, op) + 4, -EINVAL },
	{ &P.plan.ops, 8, (uint64_t)-8, -EINVAL }, /* before it */
	{ &P.plan.ops, 8, INT64_MAX - 7, -EINVAL },
	{ &P.plan.ops, 8, 1ull << 63, -EINVAL },
	{ &P.plan.results, 8, sizeof(P) - 3 * 8, -EINVAL },
	{ &P.plan.results, 8, offsetof(struct plans, result) + 1, -EINVAL },
	{ &P.plan.data, 8, sizeof(P) + 1, -EINVAL },
	{ &P.plan.data, 8, (uint64_t)-1, -EINVAL },
	{ &P.plan.stack_top, 8, sizeof(P) + 1, -EINVAL },
	{ &P.plan.report, 8, sizeof(P) - 16, -EINVAL },
	{ &P.plan.report, 8, (uint64_t)-24, -EINVAL },
	{ &P.op[0].code, 1, 0, -EINVAL },
	{ &P.op[0].code, 1, CR_RST_HASH + 1, -EINVAL },
	{ &P.op[0].want_how, 1, CR_RST_WANT_OK_OR + 1, -EINVAL },
	{ &P.op[0].how, 2, CR_RST_RESULT, -EINVAL }, /* its own */
	{ &P.op[0].how, 2, 1 << 12, -EINVAL },
	{ &P.op[2].arg[0], 8, 2, -EINVAL },
	{ &P.op[2].arg[0], 8, UINT64_MAX, -EINVAL },
	{ &P.op[1].how, 2, CR_RST_REGION << 6, -EINVAL },
	{ &P.op[1].arg[3], 8, 0, -EINVAL }, /* itself: for ever */
	{ &P.op[1].arg[3], 8, (uint64_t)-56, -EINVAL },
	{ &P.op[1].arg[3], 8, offsetof(struct plans, child) + 4, -EINVAL },
	{ &P.op[1].arg[3], 8, sizeof(P), -EINVAL },
	{ &P.op[1].arg[3], 8, sizeof(P) - 48, -EINVAL },
	{ &P.child.plan.abi, 4, CR_RST_ABI + 1, -EOPNOTSUPP },
	{ &P.child.plan.stack_top, 8, sizeof(P.child) + 1, -EINVAL },
	{ &P.child.plan.report, 8, (uint64_t) - (int64_t)offsetof(struct plans, child) - 8,
	  -EINVAL },
	{ &P.child.op[0].code, 1, 99, -EINVAL },
};

static void test_wrong_numbers(void)
{
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		make(&wrong);
		memcpy(numbers[i].field, &numbers[i].value, numbers[i].size);

		int64_t result = read_summed(&wrong);

		if (result != numbers[i].error)
			printf("# number %zu: %d\n", i, (int)result);
		CU_ASSERT_EQUAL(result, numbers[i].error);
	}
	make(&wrong);
	CU_ASSERT_EQUAL(cr_rst_plan_check(&wrong.p.plan, sizeof(wrong.p)), 0);
	CU_ASSERT_EQUAL(cr_rst_plan_check(&wrong.p.plan, sizeof(wrong.p.plan) - 1), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_plan_check(&wrong.p.plan, 0), -EINVAL);
	CU_ASSERT_EQUAL(cr_rst_plan_check((void *)((char *)&wrong.p.plan + 4), sizeof(wrong.p) - 4),
			-EINVAL);
}

/* A chain of plans, each of which starts the next one. */
static void test_deep(void)
{
	static struct link {
		struct cr_rst_plan plan;
		struct cr_rst_op op;
		int64_t result;
		struct cr_rst_report report;
	} chain[18];

	for (size_t n = 17; n <= 18; n++) {
		memset(chain, 0, sizeof(chain));
		for (size_t i = 0; i < n; i++) {
			chain[i].plan = (struct cr_rst_plan){
				.abi = CR_RST_ABI,
				.n_ops = 1,
				.ops = offsetof(struct link, op),
				.results = offsetof(struct link, result),
				.report = offsetof(struct link, report),
			};
			chain[i].op.code = i + 1 < n ? CR_RST_CLONE : CR_RST_END;
			chain[i].op.arg[3] = sizeof(chain[0]);
		}
		CU_ASSERT_EQUAL(cr_rst_plan_check(&chain[0].plan, sizeof(chain)),
				n > 17 ? -E2BIG : 0);
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "read and run", test_run },
		{ "checksum", test_sum },
		{ "damaged, and what is no file", test_damaged },
		{ "wrong numbers", test_wrong_numbers },
		{ "plans that start plans", test_deep },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer, plans from files", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
