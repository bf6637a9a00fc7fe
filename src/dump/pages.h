/* SPDX-License-Identifier: MIT */
/* The contents of memory: what is stored of it. */
#ifndef DUMP_PAGES_H
#define DUMP_PAGES_H

#include "dump/internal.h"

bool page_is_zero(const char *page);
/* Appends the frozen process' pages to the page store, and notes in its list where they are. Parents come
 * before their children. */
int pages_save(struct dump *d, struct dump_process *p, struct error *e) must_check;

#endif
