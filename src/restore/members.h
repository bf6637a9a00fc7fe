/* SPDX-License-Identifier: MIT */
/*
 * Processes that have the memory of one above or beside them (CLONE_VM), and perhaps its signal actions (CLONE_SIGHAND), in
 * the plans. The first in the tree that has it lays it out and sets what belongs to it, the actions too; its helper
 * takes the restorer away when the threads of all have left. The others, its members, are born into it at once, on
 * stacks in the region, and fork their own children before the first changes anything that these could not do
 * without; then they wait until it is laid out. Such children have nothing from it: they begin as the root does.
 * Called by planner.c and continued.c alone. Pure.
 */
#ifndef RESTORE_MEMBERS_H
#define RESTORE_MEMBERS_H

#include "restore/internal.h"

/* Where they wait for each other. */
int members_find_words(struct restore *r, struct error *e) must_check;
/* All that have the memory of p, itself first: the one behind q, NULL: there is none. */
struct rprocess *members_next(const struct restore *r, const struct rprocess *q);

/* What a child has from its maker. */
uint64_t members_clone_flags(const struct relative *x);
/* The begin of a leader's plan: of a member, or a child of one. */
void members_plan_birth(struct restore *r, struct task_plan *t);
/* One that makes siblings has done so; before their parent looks after such a child. */
void members_plan_siblings(struct task_plan *t);
void members_plan_await_birth(struct plan *p, const struct rprocess *child);
/* When its children are forked, around what the first does with the memory. */
void members_plan_before(struct task_plan *t);
void members_plan_behind(struct task_plan *t);

#endif
