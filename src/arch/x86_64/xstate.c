/* SPDX-License-Identifier: MIT */
/* The extended state (XSAVE area) and the vDSO of x86-64. */
#include "arch/arch.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <elf.h>
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

static uint32_t note_build_id(const uint8_t *p, const uint8_t *end, uint8_t id[32])
{
	Elf64_Nhdr n;

	while ((size_t)(end - p) >= sizeof(n)) {
		size_t name, desc;

		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		name = ((size_t)n.n_namesz + 3) & ~3ul;
		desc = ((size_t)n.n_descsz + 3) & ~3ul;
		if (name > (size_t)(end - p) || desc > (size_t)(end - p) - name)
			return 0;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(p, "GNU", 4) &&
		    n.n_descsz && n.n_descsz <= 32) {
			memcpy(id, p + name, n.n_descsz);
			return n.n_descsz;
		}
		p += name + desc;
	}
	return 0;
}

uint32_t arch_elf_build_id(const void *image, size_t size, uint8_t id[32])
{
	const uint8_t *base = image;
	Elf64_Ehdr eh;

	if (size < sizeof(eh))
		return 0;
	memcpy(&eh, base, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) || eh.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		uint64_t at = eh.e_phoff + (uint64_t)i * sizeof(Elf64_Phdr);
		Elf64_Phdr ph;
		uint32_t n;

		if (at > size || size - at < sizeof(ph))
			return 0;
		memcpy(&ph, base + at, sizeof(ph));
		if (ph.p_type != PT_NOTE || ph.p_offset > size || ph.p_filesz > size - ph.p_offset)
			continue;
		n = note_build_id(base + ph.p_offset, base + ph.p_offset + ph.p_filesz, id);
		if (n)
			return n;
	}
	return 0;
}
