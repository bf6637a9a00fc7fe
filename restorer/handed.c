/* SPDX-License-Identifier: MIT */
/* A plan that was handed in as a file: nothing of it is run before all of it is known to be whole. */
#include <asm/stat.h>
#include <linux/stat.h>

#include "rst.h"

#define DEEPEST 16 /* plans that start plans */

uint32_t cr_rst_abi(void)
{
	return CR_RST_ABI;
}

/* FNV-1a */
uint64_t cr_rst_sum(const void *bytes, size_t n)
{
	const unsigned char *b = bytes;
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ b[i]) * 0x100000001b3;
	return sum;
}

/* --- is it whole? ----------------------------------------------------------------------------- */

/* The memory that the plan lies in; offsets are from `plan`, which is `before` bytes into it. */
struct bounds {
	uint64_t before, behind;
};

static int is_inside(const struct bounds *b, int64_t offset, uint64_t n)
{
	if (offset < 0)
		return n <= b->behind && 0 - (uint64_t)offset <= b->before;
	return (uint64_t)offset <= b->behind && n <= b->behind - (uint64_t)offset;
}

static int is_sound_op(uint32_t index, const struct cr_rst_op *op)
{
	if (op->code < CR_RST_CALL || op->code > CR_RST_HASH || op->want_how > CR_RST_WANT_OK_OR ||
	    op->how >> 12)
		return 0;
	for (unsigned int i = 0; i < 6; i++)
		if (((op->how >> (2 * i)) & 3) == CR_RST_RESULT && op->arg[i] >= index)
			return 0;
	return 1;
}

static int64_t check(const struct cr_rst_plan *plan, const struct bounds *b, unsigned int depth)
{
	if (b->behind < sizeof(*plan))
		return -EINVAL;
	if (plan->abi != CR_RST_ABI)
		return -EOPNOTSUPP;
	if (plan->reserved || (plan->ops | plan->results | plan->report) & 7 ||
	    !is_inside(b, plan->ops, plan->n_ops * sizeof(struct cr_rst_op)) ||
	    !is_inside(b, plan->results, plan->n_ops * sizeof(int64_t)) ||
	    !is_inside(b, plan->data, 0) || !is_inside(b, plan->stack_top, 0) ||
	    !is_inside(b, plan->report, sizeof(struct cr_rst_report)))
		return -EINVAL;

	const struct cr_rst_op *op = (const void *)((uintptr_t)plan + (uint64_t)plan->ops);

	for (uint32_t i = 0; i < plan->n_ops; i++, op++) {
		int64_t child = (int64_t)op->arg[3];

		if (!is_sound_op(i, op))
			return -EINVAL;
		if (op->code != CR_RST_CLONE)
			continue;
		/* Plans that are started lie behind the one that does, so there is an end to it. */
		if (((op->how >> 6) & 3) != CR_RST_CONST || child <= 0 || child & 7 ||
		    !is_inside(b, child, sizeof(*plan)))
			return -EINVAL;
		if (depth == DEEPEST)
			return -E2BIG;

		struct bounds rest = { b->before + (uint64_t)child, b->behind - (uint64_t)child };
		int64_t result =
			check((const void *)((uintptr_t)plan + (uint64_t)child), &rest, depth + 1);

		if (result < 0)
			return result;
	}
	return 0;
}

int64_t cr_rst_plan_check(const struct cr_rst_plan *plan, size_t size)
{
	struct bounds b = { .behind = size };

	return (uintptr_t)plan & 7 ? -EINVAL : check(plan, &b, 0);
}

/* --- the file --------------------------------------------------------------------------------- */

static int64_t read_at(int fd, void *to, uint64_t n, uint64_t offset)
{
	for (uint64_t done = 0; done < n;) {
		int64_t got = rst_call(__NR_pread64, (uint64_t)(int64_t)fd, (uintptr_t)to + done,
				       n - done, offset + done, 0, 0);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got ? got : -ENODATA;
		done += (uint64_t)got;
	}
	return 0;
}

int64_t cr_rst_plan_read(int fd, void *to, size_t room)
{
	struct cr_rst_plan_file head;
	struct stat st;
	int64_t result = rst_call3(__NR_fstat, (uint64_t)(int64_t)fd, (uintptr_t)&st, 0);

	/* What can wait for ever, or is another thing at the next read, is no file. */
	if (result == 0 && !S_ISREG(st.st_mode))
		result = -EBADF;
	if (result == 0)
		result = read_at(fd, &head, sizeof(head), 0);
	if (result < 0)
		return result;
	if (memcmp(head.magic, CR_RST_PLAN_MAGIC, sizeof(head.magic)) != 0)
		return -ENOEXEC;
	if (head.abi != CR_RST_ABI)
		return -EOPNOTSUPP;
	if (head.reserved)
		return -EINVAL;
	if (head.size > room)
		return -E2BIG;
	result = read_at(fd, to, head.size, sizeof(head));
	if (result < 0)
		return result;
	if (cr_rst_sum(to, head.size) != head.sum)
		return -EBADMSG;
	result = cr_rst_plan_check(to, head.size);
	return result < 0 ? result : (int64_t)head.size;
}
