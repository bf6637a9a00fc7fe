/* SPDX-License-Identifier: MIT */
/* The extended state (XSAVE area) and segment bases of x86-64. */
#include "arch/arch.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <string.h>

#include "plan/plan.h"

uint64_t arch_xsave_mask(const uint8_t *xstate, uint32_t xstate_size)
{
	uint64_t mask = 0;

	/* The kernel's NT_X86_XSTATE holds XCR0 in the software's bytes. */
	if (xstate_size >= 512)
		memcpy(&mask, xstate + 464, sizeof(mask));
	return mask;
}

void arch_xsave_host(uint64_t *mask, uint32_t *size)
{
	unsigned int a, b, c, d, low, high;

	*mask = 3;
	*size = 512 + 64;
	if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		return;
	/* XCR0, what the kernel has switched on; and the size for that */
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	*mask = (uint64_t)high << 32 | low;
	*size = b;
}

uint64_t arch_user_end(void)
{
	/* TASK_SIZE_MAX with four page-table levels, which mmap never exceeds without a hint. */
	return 0x7ffffffff000ull;
}

void arch_emit_bases(struct plan *p, uint64_t fs_base, uint64_t gs_base)
{
	plan_call_is(p, 0, SYS_arch_prctl, arg_num(ARCH_SET_FS), arg_num(fs_base));
	plan_call_is(p, 0, SYS_arch_prctl, arg_num(ARCH_SET_GS), arg_num(gs_base));
}
