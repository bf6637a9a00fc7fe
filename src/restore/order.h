/* SPDX-License-Identifier: MIT */
/* The process tree of an image: parents before their children. Pure. */
#ifndef RESTORE_ORDER_H
#define RESTORE_ORDER_H

#include "image/image.h"
#include "process.pb-c.h"

struct order_process {
	const Process *process;
	unsigned int depth; /* the root task's is 0 */
};
struct order {
	vec(struct order_process) list; /* depth first, children by pid */
};

/* All processes that descend from the manifest's root task. What is not reached (a process without a
 * parent, a circle) is not in the list: restore_check refuses that. */
void order_read(const struct image *img, struct order *t);
void order_free(struct order *t);

#endif
