/* SPDX-License-Identifier: MIT */
/*
 * Capabilities of the calling thread, in its own user namespace. Never asked to decide whether a call
 * may be tried (the kernel knows better), only to say what would have helped.
 */
#ifndef BASE_CAPS_H
#define BASE_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>

#include "base/error.h"

bool caps_have(cap_value_t cap);
/* "CAP_SYS_ADMIN"; a value that libcap has no name for gives "capability N". */
const char *caps_name(cap_value_t cap, char *buf, size_t size);
/*
 * EPERM with "WHAT needs CAP_A or CAP_B" when none of the n capabilities is there; 0 when one is.
 * For the sentence after a call that failed with EPERM, or before work that would be in vain.
 */
int caps_need(const char *what, const cap_value_t *any, size_t n, struct error *e) must_check;
#define CAPS_NEED(what, e, ...)                               \
	caps_need(what, (const cap_value_t[]){ __VA_ARGS__ }, \
		  sizeof((const cap_value_t[]){ __VA_ARGS__ }) / sizeof(cap_value_t), e)

#endif
