/* SPDX-License-Identifier: MIT */
/*
 * What a program may have chosen its code by: instructions that another processor may lack. What only makes
 * things faster is not among them, nor what is the kernel's alone, nor what each x86-64 has. The names are
 * those of /proc/cpuinfo.
 *
 * CPUID traps in a virtual machine, so what libc has read at its start is taken where it tells.
 */
#include "arch/arch.h"

#include <cpuid.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#define LIBC_KNOWS 1
#endif
#endif

enum leaf {
	L1,
	L7,
	L7_1,
	L80000001,
	LD_1,
	LEAVES
};
enum reg {
	A,
	B,
	C,
	D
};

static const struct {
	uint32_t leaf, subleaf;
} asked[LEAVES] = {
	[L1] = { 1, 0 },     [L7] = { 7, 0 }, [L7_1] = { 7, 1 }, [L80000001] = { 0x80000001, 0 },
	[LD_1] = { 0xd, 1 },
};

/* Bits of XCR0 without which the instructions fault. */
#define AVX 0x6
#define AVX512 0xe6
#define AMX 0x60000
#define PKU 0x200
#define APX 0x80000

static const struct {
	const char *name;
	uint8_t leaf, reg, bit;
	uint32_t state;
} features[] = {
	{ "pni", L1, C, 0, 0 },
	{ "pclmulqdq", L1, C, 1, 0 },
	{ "ssse3", L1, C, 9, 0 },
	{ "fma", L1, C, 12, AVX },
	{ "cx16", L1, C, 13, 0 },
	{ "sse4_1", L1, C, 19, 0 },
	{ "sse4_2", L1, C, 20, 0 },
	{ "movbe", L1, C, 22, 0 },
	{ "popcnt", L1, C, 23, 0 },
	{ "aes", L1, C, 25, 0 },
	{ "xsave", L1, C, 26, 0 },
	{ "avx", L1, C, 28, AVX },
	{ "f16c", L1, C, 29, AVX },
	{ "rdrand", L1, C, 30, 0 },
	{ "fsgsbase", L7, B, 0, 0 },
	{ "bmi1", L7, B, 3, 0 },
	{ "hle", L7, B, 4, 0 },
	{ "avx2", L7, B, 5, AVX },
	{ "bmi2", L7, B, 8, 0 },
	{ "rtm", L7, B, 11, 0 },
	{ "avx512f", L7, B, 16, AVX512 },
	{ "avx512dq", L7, B, 17, AVX512 },
	{ "rdseed", L7, B, 18, 0 },
	{ "adx", L7, B, 19, 0 },
	{ "avx512ifma", L7, B, 21, AVX512 },
	{ "clflushopt", L7, B, 23, 0 },
	{ "clwb", L7, B, 24, 0 },
	{ "avx512cd", L7, B, 28, AVX512 },
	{ "sha_ni", L7, B, 29, 0 },
	{ "avx512bw", L7, B, 30, AVX512 },
	{ "avx512vl", L7, B, 31, AVX512 },
	{ "avx512vbmi", L7, C, 1, AVX512 },
	{ "ospke", L7, C, 4, PKU },
	{ "waitpkg", L7, C, 5, 0 },
	{ "avx512_vbmi2", L7, C, 6, AVX512 },
	{ "gfni", L7, C, 8, 0 },
	{ "vaes", L7, C, 9, AVX },
	{ "vpclmulqdq", L7, C, 10, AVX },
	{ "avx512_vnni", L7, C, 11, AVX512 },
	{ "avx512_bitalg", L7, C, 12, AVX512 },
	{ "avx512_vpopcntdq", L7, C, 14, AVX512 },
	{ "rdpid", L7, C, 22, 0 },
	{ "movdiri", L7, C, 27, 0 },
	{ "movdir64b", L7, C, 28, 0 },
	{ "avx512_4vnniw", L7, D, 2, AVX512 },
	{ "avx512_4fmaps", L7, D, 3, AVX512 },
	{ "avx512_vp2intersect", L7, D, 8, AVX512 },
	{ "serialize", L7, D, 14, 0 },
	{ "tsxldtrk", L7, D, 16, 0 },
	{ "amx_bf16", L7, D, 22, AMX },
	{ "avx512_fp16", L7, D, 23, AVX512 },
	{ "amx_tile", L7, D, 24, AMX },
	{ "amx_int8", L7, D, 25, AMX },
	{ "sha512", L7_1, A, 0, AVX },
	{ "sm3", L7_1, A, 1, AVX },
	{ "sm4", L7_1, A, 2, AVX },
	{ "avx_vnni", L7_1, A, 4, AVX },
	{ "avx512_bf16", L7_1, A, 5, AVX512 },
	{ "cmpccxadd", L7_1, A, 7, 0 },
	{ "amx_fp16", L7_1, A, 21, AMX },
	{ "avx_ifma", L7_1, A, 23, AVX },
	{ "avx_vnni_int8", L7_1, D, 4, AVX },
	{ "avx_ne_convert", L7_1, D, 5, AVX },
	{ "amx_complex", L7_1, D, 8, AMX },
	{ "avx_vnni_int16", L7_1, D, 10, AVX },
	{ "apx", L7_1, D, 21, APX },
	{ "lahf_lm", L80000001, C, 0, 0 },
	{ "abm", L80000001, C, 5, 0 },
	{ "sse4a", L80000001, C, 6, 0 },
	{ "misalignsse", L80000001, C, 7, 0 },
	{ "xop", L80000001, C, 11, AVX },
	{ "fma4", L80000001, C, 16, AVX },
	{ "tbm", L80000001, C, 21, 0 },
	{ "mwaitx", L80000001, C, 29, 0 },
	{ "mmxext", L80000001, D, 22, 0 },
	{ "rdtscp", L80000001, D, 27, 0 },
	{ "3dnowext", L80000001, D, 30, 0 },
	{ "3dnow", L80000001, D, 31, 0 },
	{ "xsaveopt", LD_1, A, 0, 0 },
	{ "xsavec", LD_1, A, 1, 0 },
	{ "xgetbv1", LD_1, A, 2, 0 },
};

static bool ask_libc(enum leaf leaf, uint32_t out[4])
{
#ifdef LIBC_KNOWS
	static const unsigned int index[LEAVES] = {
		[L1] = CPUID_INDEX_1,         [L7] = CPUID_INDEX_7,
		[L7_1] = CPUID_INDEX_7_ECX_1, [L80000001] = CPUID_INDEX_80000001,
		[LD_1] = CPUID_INDEX_D_ECX_1,
	};
	const struct cpuid_feature *f = __x86_get_cpuid_feature_leaf(index[leaf]);

	memcpy(out, f->cpuid_array, sizeof(f->cpuid_array));
	return true;
#else
	(void)leaf;
	(void)out;
	return false;
#endif
}

static void ask(enum leaf leaf, uint32_t out[4])
{
	if (!ask_libc(leaf, out) && !__get_cpuid_count(asked[leaf].leaf, asked[leaf].subleaf,
						       &out[A], &out[B], &out[C], &out[D]))
		memset(out, 0, 4 * sizeof(*out));
}

void arch_cpu_features(uint64_t xsave_mask, struct buf *out)
{
	uint32_t words[LEAVES][4];

	for (enum leaf i = 0; i < LEAVES; i++)
		ask(i, words[i]);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (words[features[i].leaf][features[i].reg] >> features[i].bit & 1 &&
		    (xsave_mask & features[i].state) == features[i].state)
			buf_printf(out, "%s%s", out->len ? " " : "", features[i].name);
	}
}
