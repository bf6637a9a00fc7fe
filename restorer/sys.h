/* SPDX-License-Identifier: MIT */
/*
 * System calls without a libc. Every result is what the kernel gave: 0 or positive, or -errno.
 *
 * An architecture provides in sys-<arch>.h: rst_call (six arguments), rst_pause, rst_copy_up,
 * rst_fill, rst_leave, rst_vanish, rst_jump, RST_PAGE, RST_USER_END, RST_STACK_ALIGN and
 * RST_ELF_MACHINE; in entry-<arch>.S: cr_rst_enter, cr_rst_begin, cr_rst_size, rst_clone and the
 * labels at both ends of the code.
 */
#ifndef CR_RESTORER_SYS_H
#define CR_RESTORER_SYS_H

#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include "sys-x86_64.h"
#else
#error "the restorer does not know this architecture"
#endif

static inline int64_t rst_call3(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	return rst_call(nr, a, b, c, 0, 0, 0);
}

static inline int64_t rst_munmap(uint64_t start, uint64_t len)
{
	return rst_call3(__NR_munmap, start, len, 0);
}

#endif
