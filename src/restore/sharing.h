/* SPDX-License-Identifier: MIT */
/*
 * What of its memory each process of a tree has from its parent, by fork, so that pages which were shared
 * copy-on-write are shared again. Pure.
 *
 * Pages of several processes that have one address and one place in the image are one page. Who has it
 * shows when it was there: a page that somebody in a process' family and somebody outside it have was in
 * that process when it was born, whatever it has written there since. So a process that is to leave
 * mappings to a child lays them out before, and fills in what the child, or anybody in its family, has from
 * it; the next child may get other pages, which it had written in between; what it has itself comes last.
 * A child keeps the mappings that it has too, drops the pages it has not, and writes its own.
 *
 * A member (members.h) has nothing of its own here: what it has is its first's.
 */
#ifndef RESTORE_SHARING_H
#define RESTORE_SHARING_H

#include "restore/internal.h"
#include "restore/runs.h"

/* Of a mapping. */
struct legacy {
	uint64_t start,
		end; /* as it is handed on: children may have more of it than the process itself */
	uint32_t above; /* the parent's mapping that it comes from: index + 1; 0: it is made */
	bool is_left;   /* to some child */
	uint32_t prot;  /* with which it is handed on */
};

struct sharing {
	struct runs own;       /* all its pages */
	struct legacy *maps;   /* NULL: not decided yet */
	struct runs wish;      /* pages that it must have at its birth */
	struct runs before;    /* what its parent has to fill in for that */
	struct runs given;     /* pages that it has at its birth and keeps room for */
	struct runs fill;      /* what it writes when its children are forked */
	struct spans segments; /* of System V that it attaches, as a whole */
	struct spans drop;     /* where it has nothing then */
	bool is_heir;          /* it has mappings from its parent */
	bool is_laid;          /* at its birth its parent has laid out what it leaves */
	uint32_t
		first_heir; /* the first child that gets something: index + 1, in the order of forks */
};

/* When the tree is there: s->own of all, of an image that has been checked. */
int sharing_link(struct restore *r, struct error *e) must_check;
/* When the host is known: all the rest. */
void sharing_decide(struct restore *r);
void sharing_free(struct restore *r);

/* The children in the order in which they are forked: the next behind c, or the first (NULL). */
struct rprocess *sharing_next(const struct rprocess *p, const struct rprocess *c);

#endif
