/* SPDX-License-Identifier: MIT */
/* Another processor: which features it lacks, and what of an extended state fits it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "restore/internal.h"
#include "tap.h"

/* --- features -------------------------------------------------------------------------------------- */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p = list;

	while ((p = strstr(p, word))) {
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' ' || p[n] == '\n'))
			return true;
		p += n;
	}
	return false;
}

static char *flags(void)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t n = 0;

	while (f && getline(&line, &n, f) > 0 && strncmp(line, "flags", 5))
		;
	if (f)
		fclose(f);
	return line;
}

static void features_are_those_of_cpuinfo(void)
{
	static const char *const some[] = {
		"pni",    "ssse3",  "sse4_1",  "sse4_2",   "popcnt",   "aes",
		"avx",    "avx2",   "bmi1",    "bmi2",     "fma",      "f16c",
		"rdrand", "sha_ni", "avx512f", "avx512vl", "xsavec",   "lahf_lm",
		"gfni",   "vaes",   "movdiri", "xsaveopt", "avx_vnni", "clwb",
		"adx",    "movbe",  "fma4",    "xop",      "amx_tile", "abm"
	};
	char *known = flags();
	auto_buf have = { 0 };
	uint64_t mask;
	uint32_t size;

	CU_ASSERT_PTR_NOT_NULL_FATAL(known);
	arch_xsave_host(&mask, &size);
	arch_cpu_features(mask, &have);
	CU_ASSERT_FATAL(have.len > 0);
	/* a kernel may keep some to itself, but not those that everybody has */
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		if (has_word(known, some[i]) && !has_word(have.p, some[i]))
			printf("# %s\n", some[i]);
		CU_ASSERT(!has_word(known, some[i]) || has_word(have.p, some[i]));
		CU_ASSERT(i > 3 || has_word(known, some[i]) || !has_word(have.p, some[i]));
	}
	free(known);
}

/* Instructions of which the kernel has not switched the state on. */
static void state_that_is_off_takes_features(void)
{
	auto_buf out = { 0 };

	arch_cpu_features(3, &out);
	CU_ASSERT(!has_word(out.p, "avx") && !has_word(out.p, "avx2") &&
		  !has_word(out.p, "avx512f"));
	CU_ASSERT(has_word(out.p, "pni"));
}

static void what_is_lacking_is_told(void)
{
	static const char *const cases[][3] = {
		{ "avx avx2", "avx avx2", "" }, { "avx avx2", "avx2", "avx" },
		{ "avx2 avx", "avx", "avx2" },  { "", "avx", "" },
		{ "a b c", "", "a b c" },       { "  a   b ", "b", "a" },
		{ "avx", "avx2", "avx" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		auto_buf out = { 0 };

		cpu_lacks(cases[i][0], cases[i][1], &out);
		CU_ASSERT_STRING_EQUAL(out.len ? out.p : "", cases[i][2]);
	}
}

static int check(const char *image, uint64_t mask, const char *here, uint64_t here_mask, bool any,
		 struct error *e)
{
	struct restore_options opt = { .any_cpu = any };
	struct restore r = { .opt = &opt };
	Manifest m = MANIFEST__INIT;

	m.cpu = (char *)(uintptr_t) "a cpu";
	m.cpu_features = (char *)(uintptr_t)image;
	m.xsave_mask = mask;
	r.img.manifest = &m;
	r.host.cpu_features = here;
	r.host.xsave_mask = here_mask;
	return cpu_check(&r, e);
}

static void processors_are_held_against_each_other(void)
{
	struct error e = { 0 };

	CU_ASSERT_EQUAL(check("xsave xsavec avx", 7, "xsave xsavec avx", 7, false, &e), 0);
	CU_ASSERT_EQUAL(check("avx", 7, "avx avx2", 7, false, &e), 0);
	CU_ASSERT_EQUAL(check(NULL, 7, "avx", 7, false, &e), 0);
	CU_ASSERT(check("avx avx2 sse", 7, "avx", 7, false, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "chosen their code by it: avx2 sse;"));
	CU_ASSERT_EQUAL(check("avx avx2", 7, "avx", 7, true, &e), 0);
	/* the linker of the image saves with XSAVE all that there is */
	CU_ASSERT(check("xsave avx", 7, "xsave avx", 0xe7, false, &e) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(e.text, "0xe0"));
	CU_ASSERT_EQUAL(check("xsave avx", 7, "xsave avx", 0xe7, true, &e), 0);
	CU_ASSERT_EQUAL(check("xsave xsavec", 7, "xsave xsavec", 0xe7, false, &e), 0);
	CU_ASSERT_EQUAL(check("avx", 3, "avx", 7, false, &e), 0);
}

/* --- extended state ----------------------------------------------------------------------------------- */

#define MAX 11008u

/* Areas of processors: 0xe7 is AVX-512, 0x200 protection keys, 0x60000 AMX. */
static const struct fit {
	const char *about;
	uint64_t mask, present;
	uint32_t size, keys_at, keys;
	uint64_t host_mask;
	uint32_t host_size, want; /* 0: refused */
	uint64_t want_mask, want_present;
} fits[] = {
	{ "the same", 7, 7, 832, 0, 0, 7, 832, 832, 7, 7 },
	{ "more here, of the same vendor", 7, 7, 832, 0, 0, 0xe7, 2688, 832, 7, 7 },
	{ "AVX-512 is not here and not in use", 0xe7, 7, 2688, 0, 0, 7, 832, 832, 7, 7 },
	{ "AVX-512 is not here", 0xe7, 0x27, 2688, 0, 0, 7, 832, 0, 0, 0 },
	{ "AVX is not here and not in use", 7, 3, 832, 0, 0, 3, 576, 576, 3, 3 },
	{ "AVX is not here", 7, 7, 832, 0, 0, 3, 576, 0, 0, 0 },
	{ "AVX-512 of another vendor", 0xe7, 0xe7, 2432, 0, 0, 0xe7, 2688, 0, 0, 0 },
	{ "AVX-512 of another vendor, not in use", 0xe7, 7, 2432, 0, 0, 0xe7, 2688, 832, 7, 7 },
	{ "AVX-512, keys are more", 0xe7, 0xe7, 2688, 0, 0, 0x2e7, 2696, 2688, 0xe7, 0xe7 },
	{ "AVX-512, keys are more, the other", 0xe7, 0xe7, 2432, 0, 0, 0x2e7, 2440, 2432, 0xe7,
	  0xe7 },
	{ "keys as ever, none here", 0x2e7, 0x2e7, 2696, 2688, 0x55555554, 0xe7, 2688, 2688, 0xe7,
	  0xe7 },
	{ "keys in use, none here", 0x2e7, 0x2e7, 2696, 2688, 0x55555550, 0xe7, 2688, 0, 0, 0 },
	{ "keys of Zen 3 as ever", 0x207, 0x207, 840, 832, 0x55555554, 7, 832, 832, 7, 7 },
	{ "keys of Zen 3 in use", 0x207, 0x207, 840, 832, 0, 0x2e7, 2440, 0, 0, 0 },
	{ "AMX is not here and not in use", 0x602e7, 0x2e7, 11008, 2688, 4, 0x2e7, 2696, 2696,
	  0x2e7, 0x2e7 },
	{ "AMX is not here", 0x602e7, 0x602e7, 11008, 2688, 4, 0x2e7, 2696, 0, 0, 0 },
	{ "a size that no processor has", 0xe7, 7, 2000, 0, 0, 7, 832, 832, 7, 7 },
	{ "a size that no processor has, and more", 0xe7, 0xe7, 2000, 0, 0, 0xe7, 2688, 0, 0, 0 },
	{ "too short for AVX", 7, 7, 600, 0, 0, 0xe7, 2688, 0, 0, 0 },
	{ "no area at all", 7, 7, 500, 0, 0, 7, 832, 500, 7, 7 },
};

static void areas_fit_or_are_refused(void)
{
	static uint8_t area[MAX];

	for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++) {
		const struct fit *f = &fits[i];
		uint32_t size = f->size;
		uint64_t mask, present;
		struct error e = { 0 };
		int rc;

		memset(area, 0, sizeof(area));
		memcpy(area + 464, &f->mask, 8);
		memcpy(area + 512, &f->present, 8);
		if (f->keys_at)
			memcpy(area + f->keys_at, &f->keys, 4);
		rc = arch_xstate_fit(area, &size, f->host_mask, f->host_size, &e);
		memcpy(&mask, area + 464, 8);
		memcpy(&present, area + 512, 8);
		if ((rc < 0) != !f->want)
			printf("# %s: %s\n", f->about, rc < 0 ? e.text : "taken");
		CU_ASSERT_EQUAL(rc < 0, !f->want);
		CU_ASSERT_EQUAL(rc < 0, e.text[0] != 0);
		if (rc < 0 || f->size < 576)
			continue;
		CU_ASSERT_EQUAL(size, f->want);
		CU_ASSERT_EQUAL(mask, f->want_mask);
		CU_ASSERT_EQUAL(present, f->want_present);
	}
}

int main(void)
{
	CU_TestInfo features[] = {
		{ "features are those of /proc/cpuinfo", features_are_those_of_cpuinfo },
		{ "state that is off takes features with it", state_that_is_off_takes_features },
		{ "what is lacking is told", what_is_lacking_is_told },
		{ "processors are held against each other",
		  processors_are_held_against_each_other },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo state[] = {
		{ "areas fit or are refused", areas_fit_or_are_refused },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "features", NULL, NULL, NULL, NULL, features },
		{ "extended state", NULL, NULL, NULL, NULL, state },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
