/* SPDX-License-Identifier: MIT */
/*
 * What the restorer's own files share. Everything is hidden but the public interface, which is
 * protected: calls inside the library never go through a table, not even in a shared object.
 */
#ifndef CR_RESTORER_RST_H
#define CR_RESTORER_RST_H

#pragma GCC visibility push(protected)
#include "cr-restorer.h"
#pragma GCC visibility pop

#include "sys.h"

/* Starts a task on the stack named in `args` that goes on in cr_rst_enter(child). */
int64_t rst_clone(const void *args, size_t size, struct cr_rst_plan *child);

int64_t rst_op_clone(struct cr_rst_plan *plan, const uint64_t *arg);
int64_t rst_op_wait(const struct cr_rst_report *report, const uint64_t *arg);
int64_t rst_op_post(const uint64_t *arg);
int64_t rst_op_left(const uint64_t *arg);
int64_t rst_op_vanish(const uint64_t *arg);
int64_t rst_op_hash(const uint64_t *arg);

/* Tells the first failure of all; waits a moment for a first one that is just being written. */
void rst_tell(struct cr_rst_report *report, uint32_t task, uint32_t index, int64_t result);

/* Where cr_rst_enter() arrives, on the plan's stack. */
__attribute__((noreturn)) void rst_main(struct cr_rst_plan *plan);

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *one, const void *other, size_t n);

#endif
