/* SPDX-License-Identifier: MIT */
/*
 * Text from outside (paths, names of tasks) on its way to a terminal: what is not printable UTF-8,
 * control characters and those that turn the direction of writing become \ooo, a backslash two.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

void escape_add(struct buf *out, const char *text, size_t n);
/* Whether escape_add would leave the text as it is. */
bool escape_is_plain(const char *text, size_t n);

#endif
