/* SPDX-License-Identifier: MIT */
/* The interpreter: do the operation, keep the result, compare, next. */
#include <linux/uio.h>

#include "rst.h"

#define MAX_IOV 1024

static void *at(const struct cr_rst_plan *plan, int64_t offset)
{
	return (void *)((uintptr_t)plan + (uintptr_t)offset);
}

/* A result can only be one of an operation before `index`. */
static int resolve(const struct cr_rst_plan *plan, uint32_t index, const struct cr_rst_op *op,
		   uint64_t *arg)
{
	const int64_t *results = at(plan, plan->results);

	for (unsigned int i = 0; i < 6; i++) {
		unsigned int how = (op->how >> (2 * i)) & 3;
		uint64_t value = op->arg[i];

		if (how == CR_RST_RESULT) {
			if (value >= index)
				return 0;
			value = (uint64_t)results[value];
		} else if (how == CR_RST_DATA) {
			value += (uintptr_t)plan + (uint64_t)plan->data;
		} else if (how == CR_RST_REGION) {
			value += (uintptr_t)plan;
		}
		arg[i] = value;
	}
	return 1;
}

static int64_t op_read(const uint64_t *arg)
{
	for (uint64_t done = 0; done < arg[2];) {
		int64_t n = rst_call(__NR_pread64, arg[0], arg[1] + done, arg[2] - done,
				     arg[3] + done, 0, 0);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n ? n : -ENODATA;
		done += (uint64_t)n;
	}
	return (int64_t)arg[2];
}

static int64_t op_readv(const uint64_t *arg)
{
	struct iovec *iov = (void *)(uintptr_t)arg[1];
	uint64_t count = arg[2], done = 0;
	int64_t n = 0;

	if (count > MAX_IOV)
		return -EINVAL;
	for (;;) {
		uint64_t left = (uint64_t)n;

		for (; count && iov->iov_len <= left; iov++, count--)
			left -= iov->iov_len;
		if (!count)
			return (int64_t)done;
		iov->iov_base = (char *)iov->iov_base + left;
		iov->iov_len -= left;

		do
			n = rst_call(__NR_preadv, arg[0], (uintptr_t)iov, count, arg[3] + done, 0,
				     0);
		while (n == -EINTR);
		if (n <= 0)
			return n ? n : -ENODATA;
		done += (uint64_t)n;
	}
}

/* In no header before 6.8. */
struct move {
	uint64_t to, from, length, mode;
	int64_t moved; /* or -errno */
};
#define MOVE_CALL 0xc028aa05ul /* UFFDIO_MOVE */
#define MOVE_ALLOW_SRC_HOLES 2ul

/*
 * The kernel stops half way when somebody else has a page or the address space locked just then; whoever that is
 * may have to run first.
 */
static int64_t op_move(const uint64_t *arg)
{
	struct move m = { arg[1], arg[2], arg[3], MOVE_ALLOW_SRC_HOLES, 0 };

	while (m.length) {
		int64_t rc = rst_call(__NR_ioctl, arg[0], MOVE_CALL, (uintptr_t)&m, 0, 0, 0);

		if (rc < 0 && rc != -EAGAIN)
			return rc;
		if (m.moved > 0) {
			m.to += (uint64_t)m.moved;
			m.from += (uint64_t)m.moved;
			m.length -= (uint64_t)m.moved;
		}
		m.moved = 0;
		if (rc < 0)
			(void)rst_call3(__NR_sched_yield, 0, 0, 0);
	}
	return 0;
}

static int64_t op_set_mm(const uint64_t *arg)
{
	return cr_rst_set_mm((const void *)(uintptr_t)arg[0], (const void *)(uintptr_t)arg[1],
			     arg[2], (uint32_t)arg[3], (int)arg[4]);
}

static int64_t op_store(const uint64_t *arg)
{
	if (arg[2] != 4 && arg[2] != 8)
		return -EINVAL;
	rst_copy_up((void *)(uintptr_t)arg[0], &arg[1], arg[2]);
	return 0;
}

static int64_t perform(struct cr_rst_plan *plan, const struct cr_rst_op *op, const uint64_t *arg)
{
	switch (op->code) {
	case CR_RST_CALL:
		return rst_call(op->nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	case CR_RST_READ:
		return op_read(arg);
	case CR_RST_READV:
		return op_readv(arg);
	case CR_RST_COPY:
		rst_copy_up((void *)(uintptr_t)arg[0], (const void *)(uintptr_t)arg[1], arg[2]);
		return 0;
	case CR_RST_CLONE:
		return rst_op_clone(plan, arg);
	case CR_RST_WAIT:
		return rst_op_wait(at(plan, plan->report), arg);
	case CR_RST_POST:
		return rst_op_post(arg);
	case CR_RST_SET_MM:
		return op_set_mm(arg);
	case CR_RST_LEAVE:
		rst_leave(arg[0], arg[1]);
	case CR_RST_VANISH:
		return rst_op_vanish(arg);
	case CR_RST_STORE:
		return op_store(arg);
	case CR_RST_LEFT:
		return rst_op_left(arg);
	case CR_RST_MOVE:
		return op_move(arg);
	case CR_RST_HASH:
		return rst_op_hash(arg);
	case CR_RST_END:
		return 0;
	}
	return -EINVAL;
}

static int is_wanted(const struct cr_rst_op *op, int64_t result)
{
	switch (op->want_how) {
	case CR_RST_WANT_EXACT:
		return result == op->want;
	case CR_RST_WANT_OK:
		return result >= 0;
	case CR_RST_WANT_ANY:
		return 1;
	case CR_RST_WANT_OK_OR:
		return result >= 0 || result == op->want;
	}
	return 0;
}

static int is_known(const struct cr_rst_op *op)
{
	return op->code >= CR_RST_CALL && op->code <= CR_RST_HASH;
}

int64_t cr_rst_run(struct cr_rst_plan *plan)
{
	if (plan->abi != CR_RST_ABI)
		return -EINVAL;

	const struct cr_rst_op *op = at(plan, plan->ops);
	int64_t *results = at(plan, plan->results);

	for (uint32_t i = 0; i < plan->n_ops; i++, op++) {
		int64_t result = -EINVAL;
		uint64_t arg[6];

		if (resolve(plan, i, op, arg))
			result = perform(plan, op, arg);
		results[i] = result;
		if (!is_known(op) || !is_wanted(op, result)) {
			rst_tell(at(plan, plan->report), plan->task, i, result);
			return is_known(op) ? -ECANCELED : -EINVAL;
		}
		if (op->code == CR_RST_END)
			return 0;
	}
	return 0;
}
