/* SPDX-License-Identifier: MIT */
/* Prints what --timeline asks for. */
#ifndef CMD_TIMELINE_H
#define CMD_TIMELINE_H

#include <stdbool.h>

#include "base/timeline.h"

void timeline_print(const struct timeline *t, bool json);

#endif
