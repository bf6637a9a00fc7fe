/* SPDX-License-Identifier: MIT */
/*
 * Building plans for the restorer: the compiled restore of one task, and the batches that a dump
 * runs in a stopped task. Pure: nothing here makes a system call. A plan is a growing list of
 * operations and a growing block of data; plan_write lays it out as the restorer's ABI wants it.
 *
 * Each operation can carry a note ("fd 3: /tmp/x"), which `cr restore --explain` prints and from
 * which the sentence of a failure is made.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "cr-restorer.h"

struct plan_op {
	struct cr_rst_op op;
	const char *note; /* in the arena, or NULL */
	uint8_t slots;    /* bit i: argument i is the number of a slot, see plan_slot */
};

struct plan {
	struct arena *arena;
	uint32_t task; /* tid */
	vec(struct plan_op) ops;
	struct buf data;
	const char *note; /* for the operations to come */
};

/* An argument. */
struct arg {
	uint8_t how; /* enum cr_rst_arg */
	bool slot;
	uint64_t value;
};
static inline struct arg arg_num(uint64_t v)
{
	return (struct arg){ CR_RST_CONST, false, v };
}
/* The result of operation i of this plan. */
static inline struct arg arg_result(uint32_t i)
{
	return (struct arg){ CR_RST_RESULT, false, i };
}
/* The address of offset `at` in this plan's data. */
static inline struct arg arg_data(uint64_t at)
{
	return (struct arg){ CR_RST_DATA, false, at };
}
/* A descriptor of cr that is not open yet when the plan is made: slot i; plan_set_slots puts its number in. */
static inline struct arg arg_slot(uint32_t i)
{
	return (struct arg){ CR_RST_CONST, true, i };
}
/* The address of byte `at` of the shared region (plan_write makes it relative to the header). */
static inline struct arg arg_region(uint64_t at)
{
	return (struct arg){ CR_RST_REGION, false, at };
}

void plan_init(struct plan *p, struct arena *a, uint32_t task);
void plan_free(struct plan *p);
/* The note of all operations emitted from here on, until the next plan_note (NULL: none). */
void plan_note(struct plan *p, const char *fmt, ...) format_printf(2, 3);

/* Adds n bytes (copied; NULL: zeros), 16-byte aligned, and gives their offset. */
uint64_t plan_data(struct plan *p, const void *bytes, size_t n);

/* Emitters give the operation's index. */
struct plan_args {
	struct arg v[6];
};
uint32_t plan_op(struct plan *p, enum cr_rst_code code, uint32_t nr, struct plan_args args,
		 enum cr_rst_want how, int64_t want);
#define PLAN_ARGS(...) ((struct plan_args){ { __VA_ARGS__ } })
/* A system call that must give exactly `want`, something >= 0, anything. */
#define plan_call_is(p, want, nr, ...) \
	plan_op(p, CR_RST_CALL, nr, PLAN_ARGS(__VA_ARGS__), CR_RST_WANT_EXACT, (int64_t)(want))
#define plan_call(p, nr, ...) plan_op(p, CR_RST_CALL, nr, PLAN_ARGS(__VA_ARGS__), CR_RST_WANT_OK, 0)
#define plan_call_any(p, nr, ...) \
	plan_op(p, CR_RST_CALL, nr, PLAN_ARGS(__VA_ARGS__), CR_RST_WANT_ANY, 0)
/* >= 0 or this negative errno value */
#define plan_call_or(p, or, nr, ...) \
	plan_op(p, CR_RST_CALL, nr, PLAN_ARGS(__VA_ARGS__), CR_RST_WANT_OK_OR, (or))

/* Tasks meet at a word of the region, as an offset in it: adds 1, and wakes those who wait for `value`; waits until it
 * has that value. */
void plan_post(struct plan *p, uint64_t word, uint64_t value);
void plan_wait(struct plan *p, uint64_t word, uint64_t value);
/* The same without a system call, for who may make none: wakes nobody; spins. */
void plan_count(struct plan *p, uint64_t word);
void plan_spin(struct plan *p, uint64_t word, uint64_t value);

/* Bytes that the plan takes in memory, its stack included. */
size_t plan_size(const struct plan *p, size_t stack);
/*
 * Lays the plan out at `at` bytes from the region's begin, which is writable at `region` here (and
 * mapped anywhere in the task): header, operations, results, data, stack. report_at: offset of the
 * report in the region. Arguments that are slots are left as they are.
 */
void plan_write(const struct plan *p, void *region, uint64_t at, size_t stack, uint64_t report_at);
/* Puts the numbers of the slots into the operations of a plan that plan_write has laid out. */
void plan_set_slots(const struct plan *p, void *region, uint64_t at, const int *slots);
/* Where plan_write put things, as offsets from the region's begin. */
uint64_t plan_ops_at(const struct plan *p, uint64_t at);
uint64_t plan_results_at(const struct plan *p, uint64_t at);
uint64_t plan_data_at(const struct plan *p, uint64_t at);

/* --- reading plans ---------------------------------------------------------------------------- */

/* One line, decoded: `mmap(0x7f.., 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED, 3, 0) = 0x7f..`. */
void plan_explain_op(const struct plan *p, uint32_t index, struct buf *out);
/* The whole plan, a line each, with its notes. */
void plan_explain(const struct plan *p, struct buf *out);
/* Name of a system call, or "syscall_N". */
const char *plan_call_name(uint32_t nr, char buf[24]);

#endif
