/* SPDX-License-Identifier: MIT */
/*
 * A room to run plans in: a few plans with their stacks, and a page for a copy of the restorer, all
 * in one shared mapping, so that the judge sees what a scratch process did there.
 */
#ifndef RESTORER_ROOM_H
#define RESTORER_ROOM_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cr-restorer.h"
#include "tap.h"

#define ROOM_OPS 24
#define ROOM_PLANS 3

struct one {
	struct cr_rst_plan plan;
	struct cr_rst_op op[ROOM_OPS];
	int64_t result[ROOM_OPS];
	_Alignas(16) unsigned char data[2048];
	_Alignas(16) unsigned char stack[8192];
};

struct room {
	struct cr_rst_report report;
	uint32_t word[4];
	int64_t note[40];
	_Alignas(4096) struct one one[ROOM_PLANS];
	_Alignas(4096) unsigned char code[8192];
};

static inline struct room *room_new(void)
{
	struct room *room = mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE | PROT_EXEC,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED)
		_exit(99);
	for (int i = 0; i < ROOM_PLANS; i++) {
		struct one *one = &room->one[i];

		one->plan.abi = CR_RST_ABI;
		one->plan.task = 100 + (uint32_t)i;
		one->plan.ops = offsetof(struct one, op);
		one->plan.results = offsetof(struct one, result);
		one->plan.data = offsetof(struct one, data);
		one->plan.stack_top = offsetof(struct one, stack) + sizeof(one->stack);
		one->plan.report = (char *)&room->report - (char *)one;
	}
	return room;
}

static inline void room_free(struct room *room)
{
	munmap(room, sizeof(*room));
}

/* The next operation of a plan, with nothing but its code. */
static inline struct cr_rst_op *room_op(struct one *one, int code)
{
	struct cr_rst_op *op = &one->op[one->plan.n_ops++];

	memset(op, 0, sizeof(*op));
	op->code = (uint8_t)code;
	op->want_how = CR_RST_WANT_OK;
	return op;
}

static inline void room_arg(struct cr_rst_op *op, int i, int how, uint64_t value)
{
	op->how |= (uint16_t)(how << (2 * i));
	op->arg[i] = value;
}

/* A system call with up to three constant arguments. */
static inline struct cr_rst_op *room_call(struct one *one, long nr, uint64_t a, uint64_t b,
					  uint64_t c)
{
	struct cr_rst_op *op = room_op(one, CR_RST_CALL);

	op->nr = (uint32_t)nr;
	op->arg[0] = a;
	op->arg[1] = b;
	op->arg[2] = c;
	return op;
}

static inline void room_want(struct cr_rst_op *op, int how, int64_t want)
{
	op->want_how = (uint8_t)how;
	op->want = want;
}

static inline void room_wait(struct one *one, const uint32_t *word, uint32_t value, int spin)
{
	struct cr_rst_op *op = room_op(one, CR_RST_WAIT);

	op->arg[0] = (uintptr_t)word;
	op->arg[1] = value;
	op->arg[2] = (uint64_t)spin;
}

static inline void room_post(struct one *one, const uint32_t *word, uint32_t value)
{
	struct cr_rst_op *op = room_op(one, CR_RST_POST);

	op->arg[0] = (uintptr_t)word;
	op->arg[1] = value;
}

static inline struct cr_rst_op *room_clone(struct room *room, int from, int to, uint64_t flags,
					   uint64_t exit_signal, uint64_t number)
{
	struct cr_rst_op *op = room_op(&room->one[from], CR_RST_CLONE);

	op->arg[0] = flags;
	op->arg[1] = exit_signal;
	op->arg[2] = number;
	op->arg[3] = (uint64_t)((char *)&room->one[to] - (char *)&room->one[from]);
	return op;
}

/* Where a function of the library is in a copy of it. */
typedef int64_t (*room_run)(struct cr_rst_plan *);

static inline uintptr_t room_moved(const void *copy, uintptr_t function)
{
	return (uintptr_t)copy + function - (uintptr_t)cr_rst_begin();
}

/* Runs a function in a process of its own: its exit status, or 256 + the signal it died of. */
static inline int room_scratch(int (*function)(struct room *), struct room *room)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(function(room));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static inline int64_t run(struct one *one)
{
	return cr_rst_run(&one->plan);
}

static inline void check_report(const struct room *room, uint32_t task, uint32_t index,
				int64_t result)
{
	CU_ASSERT_EQUAL(room->report.state, 2);
	CU_ASSERT_EQUAL(room->report.task, task);
	CU_ASSERT_EQUAL(room->report.index, index);
	CU_ASSERT_EQUAL(room->report.result, result);
}

#endif
