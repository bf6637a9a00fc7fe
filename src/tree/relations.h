/* SPDX-License-Identifier: MIT */
/*
 * Who is whose child, in which process group and session, among the living and those that have ended, and
 * how that can be made again.
 *
 * A session is what a task is born into, or begins by setsid(2); so a parent that has begun one had
 * children before that, which are still in the session it came from: those are forked early. A session
 * whose leader has ended lives on in those that were born to it, as every daemon's does: there a task with
 * the leader's number (a zombie of the tree, or one that is made for this) begins the session again and
 * makes them as its own siblings (CLONE_PARENT), so that they are their parent's children. A group
 * has a leader, whose number it has: a member below its leader joins it on its way, another waits until
 * the leader is there. A leader that has ended is a zombie, or it is gone altogether while its group lives
 * on: then a task with its number makes the group again, and ends when all members are in it.
 *
 * A descriptor table and an fs (folders, umask) can be shared by processes, but only from birth (CLONE_FILES,
 * CLONE_FS): tables.h. Memory and signal actions likewise (CLONE_VM, CLONE_SIGHAND): space.h.
 *
 * In: the numbers of all. Out: for each how it comes to its group, or why that cannot be made. The dump
 * asks before it freezes anything, the restore acts on it (restore/relations.h). Pure.
 */
#ifndef TREE_RELATIONS_H
#define TREE_RELATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/mem.h"

enum group_how {
	GROUP_INHERITED, /* from the parent, or it is that of cr */
	GROUP_OWN,       /* it leads it */
	GROUP_ABOVE,     /* of an ancestor */
	GROUP_JOINED,    /* of somebody else in the tree */
	GROUP_OUTSIDE /* that of the root task, which is not in the tree, and the parent has left it */
};

/* What processes and threads can share one by one. */
enum table {
	TABLE_FILES,
	TABLE_FS,
	TABLES
};

struct relative {
	/* Set by the caller. */
	uint32_t id, group, session;
	uint32_t exit_signal;
	struct relative *parent;  /* NULL: the root */
	bool has_ended;           /* a zombie */
	bool session_is_gone;     /* nobody has the number of its session, in the tree or outside */
	uint32_t table[TABLES];   /* ids; 0: it has none */
	uint32_t memory, actions; /* likewise: address space and signal actions */
	uint32_t context; /* of input and output: the first task that has it; 0: it is not shared */
	const void *record; /* as the caller likes */
	/* Found out. */
	bool is_made;             /* no zombie either: it only makes its group, or its session */
	struct relative *born_of; /* the leader of its session that makes it, as a sibling */
	struct relative *next;    /* that has ended, of the same parent */
	struct relative *ended;   /* the first such child */
	struct relative *leader;  /* GROUP_JOINED and GROUP_ABOVE */
	uint32_t born; /* of one that leads its session: the one it must come from; 0: any */
	bool born_is_gone;
	enum group_how how;
	bool is_early;   /* forked before its parent begins a session */
	bool is_awaited; /* leads a group that somebody waits for */
	/* tables.h; ids, 0: none */
	uint32_t born_with[TABLES]; /* what it shares with its parent at its birth */
	uint32_t left_before
		[TABLES]; /* what its parent leaves before it forks it, for one of its own */
	uint32_t left_at_last[TABLES]; /* what it leaves itself when all children are forked */
	uint32_t rank;                 /* children of one parent are forked in this order */
	/* space.h: it is born with those of its parent or, if there is one, of this older sibling, which makes it */
	bool has_memory, has_actions;
	struct relative *twin;
	bool has_twins;   /* and this one makes such siblings */
	bool has_context; /* contexts.h: likewise */
};

struct relatives {
	/* Room for 3 * n: each may be in a group and in a session whose leaders are gone. [0]: the root, parents
	 * before their children. */
	struct relative *v;
	size_t n;          /* the leaders that have to be made are added */
	uint32_t n_led;    /* leaders that are awaited */
	uint32_t n_joined; /* members of groups whose leaders have to be made */
};

int relations_find(struct relatives *all, struct error *e) must_check;

#endif
