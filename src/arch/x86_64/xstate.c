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

/* --- another processor's --------------------------------------------------------------------------- */

#define LEGACY 512u
#define HEADER 64u
#define MASK_AT 464u /* in the software's bytes */
#define PKRU_BIT 9
#define PKRU_START 0x55555554u /* what Linux gives each program */
#define COMMON 7ull            /* x87, SSE, AVX: at the same place everywhere */

/*
 * Where components lie: from the manuals of both vendors, which differ. Size and mask of an area tell which of
 * the two it is.
 */
struct component {
	uint8_t bit;
	uint16_t at, size;
};
static const struct component intel[] = {
	{ 2, 576, 256 },   { 3, 960, 64 }, { 4, 1024, 64 },  { 5, 1088, 64 },    { 6, 1152, 512 },
	{ 7, 1664, 1024 }, { 9, 2688, 8 }, { 17, 2752, 64 }, { 18, 2816, 8192 }, { 19, 960, 128 },
};
static const struct component amd[] = {
	{ 2, 576, 256 }, { 5, 832, 64 }, { 6, 896, 512 }, { 7, 1408, 1024 }, { 9, 2432, 8 },
};
/* Zen 3: no AVX-512, but protection keys. */
static const struct component amd_keys[] = { { 2, 576, 256 }, { 9, 832, 8 } };

static const struct layout {
	const struct component *v;
	size_t n;
} layouts[] = {
	{ intel, sizeof(intel) / sizeof(intel[0]) },
	{ amd, sizeof(amd) / sizeof(amd[0]) },
	{ amd_keys, sizeof(amd_keys) / sizeof(amd_keys[0]) },
};

/* 0: it has no place for one of them. */
static uint32_t size_for(const struct layout *l, uint64_t mask)
{
	uint32_t size = LEGACY + HEADER;

	mask &= ~3ull;
	for (size_t i = 0; i < l->n; i++) {
		uint32_t end = (uint32_t)l->v[i].at + l->v[i].size;

		if (mask >> l->v[i].bit & 1 && end > size)
			size = end;
		mask &= ~(1ull << l->v[i].bit);
	}
	return mask ? 0 : size;
}

/* One that both areas can have. */
static const struct layout *common_layout(uint64_t mask, uint32_t size, uint64_t host_mask,
					  uint32_t host_size)
{
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (size_for(&layouts[i], mask) == size &&
		    size_for(&layouts[i], host_mask) == host_size)
			return &layouts[i];
	}
	return NULL;
}

/* Protection keys are as every program has them, so it has asked for none. */
static bool keys_are_unused(const uint8_t *xstate, uint64_t mask, uint32_t size)
{
	uint32_t pkru;

	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		const struct layout *l = &layouts[i];

		for (size_t k = 0; k < l->n && size_for(l, mask) == size; k++) {
			if (l->v[k].bit != PKRU_BIT)
				continue;
			memcpy(&pkru, xstate + l->v[k].at, sizeof(pkru));
			return pkru == PKRU_START;
		}
	}
	return false;
}

int arch_xstate_fit(uint8_t *xstate, uint32_t *size, uint64_t host_mask, uint32_t host_size,
		    struct error *e)
{
	static const struct layout common = { intel, 1 };
	const struct layout *l;
	uint64_t mask, present, used;

	if (*size < LEGACY + HEADER)
		return 0; /* which arch_frame_build refuses */
	memcpy(&mask, xstate + MASK_AT, sizeof(mask));
	memcpy(&present, xstate + LEGACY, sizeof(present));
	if (mask == host_mask && *size == host_size)
		return 0;
	used = present;
	if (present & ~host_mask & 1ull << PKRU_BIT && mask >> PKRU_BIT & 1 &&
	    keys_are_unused(xstate, mask, *size))
		used &= ~(1ull << PKRU_BIT);
	if (used & ~host_mask)
		return fail(
			e, 0,
			"it uses extended state that this processor lacks (xsave components %#llx): "
			"restore it on a machine with the processor features of the first",
			(unsigned long long)(used & ~host_mask));
	l = common_layout(mask, *size, host_mask, host_size);
	if (!l && used & ~COMMON)
		return fail(
			e, 0,
			"it uses extended state that another vendor's processors hold at another "
			"place (xsave components %#llx): restore it on a machine of the first",
			(unsigned long long)(used & ~COMMON));
	if (!l)
		l = &common;
	mask &= host_mask & (l == &common ? COMMON : ~0ull);
	present &= mask;
	if (size_for(l, mask) > *size)
		return fail(e, 0, "its extended state has %u bytes only", *size);
	*size = size_for(l, mask);
	memcpy(xstate + MASK_AT, &mask, sizeof(mask));
	memcpy(xstate + LEGACY, &present, sizeof(present));
	return 0;
}

/* --- the rest -------------------------------------------------------------------------------------- */

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
