/* SPDX-License-Identifier: MIT */
/* The contents of memory: what is stored of it. */
#ifndef DUMP_PAGES_H
#define DUMP_PAGES_H

#include "dump/chunks.h"

bool page_is_zero(const char *page);
/* Whether a page that has nothing of its own has contents all the same. */
bool pages_have_file(const struct vma *v);
/* Notes which pages of the frozen process are to be stored, or are another's. Parents come before their
 * children. */
int pages_find(struct dump *d, struct dump_process *p, struct chunks *to,
	       struct error *e) must_check;

#endif
