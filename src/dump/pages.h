/* SPDX-License-Identifier: MIT */
/* Which pages of a process were saved, and where they lie in the page store. */
#ifndef DUMP_PAGES_H
#define DUMP_PAGES_H

#include "dump/internal.h"

/* Within one mapping; ascending. */
struct page_extent {
	uint64_t start, length;
	uint64_t offset;  /* in store 0 */
	uint32_t mapping; /* index in the list of maps */
	bool is_data;     /* else: zeros, where the file has something else */
};
struct page_list {
	vec(struct page_extent) list;
};

bool page_is_zero(const char *page);
/* Reads the frozen process' pages and appends them to the page store. */
int pages_save(struct dump *d, struct dump_process *p, struct page_list *out,
	       struct error *e) must_check;

#endif
