/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and fs in the plans, where several processes or only some threads have one
 * (tree/tables.h tells how they come to it). Called by planner.c alone. Pure.
 *
 * A table that processes share is filled by its owner alone, when all the others have laid out their memory
 * and whoever only handed it on has left it: until then anybody may fetch descriptors into it, under
 * whatever numbers. Then the others go on; the way to cr is closed by the owner, when nobody needs it any
 * more. An fs is set by its owner when nobody who has it, or is to be cloned with a copy of it, looks for a
 * path any more.
 */
#ifndef RESTORE_TABLES_H
#define RESTORE_TABLES_H

#include "restore/internal.h"

/* Where they wait for each other. */
int tables_find_words(struct restore *r, struct error *e) must_check;
int tables_find_begun(struct restore *r, struct rprocess *p, struct error *e) must_check;

/* What a child has from its parent, and a thread has not. */
uint64_t tables_clone_flags(const struct relative *x);
uint64_t tables_own_flags(const struct rthread *th);

/* For one of its own; ids, 0: nothing. */
void tables_plan_leave(struct restore *r, struct task_plan *t, const uint32_t left[TABLES]);
/* It has a copy of its maker's. */
void tables_plan_helper(struct restore *r, struct task_plan *helper);
/* A leader's descriptors. */
int tables_plan_files(struct restore *r, struct task_plan *t, struct error *e) must_check;
/* The begin of a thread's plan. */
int tables_plan_thread(struct restore *r, struct plan *p, const struct rthread *th,
		       struct error *e) must_check;
/* Around STAGE_FS. */
void tables_plan_before_fs(struct restore *r, struct plan *p, const struct rthread *th);
void tables_plan_behind_fs(struct restore *r, struct plan *p, const struct rthread *th);

#endif
