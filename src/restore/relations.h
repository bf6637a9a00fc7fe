/* SPDX-License-Identifier: MIT */
/*
 * The operations of plans that make children, process groups and sessions what they were
 * (tree/relations.h tells how). All leaders first make their groups, then fork, and only then wait for
 * others, so that nobody waits in a circle. Called by tree.c and planner.c alone. Pure.
 */
#ifndef RESTORE_RELATIONS_H
#define RESTORE_RELATIONS_H

#include "restore/internal.h"
#include "tree/relations.h"

/* From PROC and ZOMB records; or why the tree cannot be made. */
int relations_build(struct restore *r, struct error *e) must_check;

/* Session and group of a task itself, as far as they need nobody else. */
void relations_plan_own(struct restore *r, struct task_plan *t, const struct relative *x);
/* The group that somebody else leads. */
void relations_plan_join(struct restore *r, struct plan *p, const struct relative *x);
/* The plan of one that has ended, or is only there to make a group or session, behind its own and those that it
 * makes. */
void relations_plan_ended(struct restore *r, struct task_plan *t, const struct relative *x);
/* In its parent's, when all are forked: until they have ended, without a signal for it. */
void relations_plan_await(struct plan *p, const struct relative *parent);

/* The rules for a zombie's record on its own. */
int relations_check_zombie(const Zombie *z, struct error *e) must_check;

#endif
