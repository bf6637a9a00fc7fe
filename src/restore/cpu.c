/* SPDX-License-Identifier: MIT */
/* Whether this processor has what that of the image had. Pure. */
#include "restore/internal.h"

#include <string.h>

#include "base/log.h"

/* x87, SSE, AVX: every dynamic linker leaves room for them. */
#define COMMON_STATE 7ull

static bool has_word(const char *list, const char *word, size_t n)
{
	for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ') {
		if (strcspn(p, " ") == n && !memcmp(p, word, n))
			return true;
	}
	return false;
}

void cpu_lacks(const char *image, const char *here, struct buf *out)
{
	size_t n;

	for (const char *p = image; *p; p += n, p += *p == ' ') {
		n = strcspn(p, " ");
		if (n && !has_word(here, p, n))
			buf_printf(out, "%s%.*s", out->len ? " " : "", (int)n, p);
	}
}

/*
 * Without XSAVEC the dynamic linker saves all that the processor has with each first call of a function, and
 * has made as much room on the stack as the processor of the dump needed.
 */
static uint64_t too_much_state(const struct restore *r)
{
	const Manifest *m = r->img.manifest;

	if (!has_word(m->cpu_features, "xsave", 5) || has_word(m->cpu_features, "xsavec", 6))
		return 0;
	return r->host.xsave_mask & ~m->xsave_mask & ~COMMON_STATE;
}

int cpu_check(const struct restore *r, struct error *e)
{
	const Manifest *m = r->img.manifest;
	unsigned long long more;
	auto_buf lacks = { 0 };

	if (!m->cpu_features)
		return 0;
	more = too_much_state(r);
	if (more && !r->opt->any_cpu)
		return fail(
			e, 0,
			"this processor has more extended state than that of the image (%s), which its "
			"dynamic linker does not know of and would save over other data: xsave components "
			"%#llx; restore it on another processor, or with --any-cpu if the programs were "
			"linked statically or with -z now",
			m->cpu, more);
	if (!r->host.cpu_features || !strcmp(m->cpu_features, r->host.cpu_features))
		return 0;
	cpu_lacks(m->cpu_features, r->host.cpu_features, &lacks);
	if (!lacks.len)
		return 0;
	if (!r->opt->any_cpu)
		return fail(
			e, 0,
			"this processor lacks what that of the image (%s) had, and programs may have chosen "
			"their code by it: %s; restore it on such a processor, or with --any-cpu if they do "
			"not use it",
			m->cpu, lacks.p);
	warn("a program that uses one of these will be ended by SIGILL: %s", lacks.p);
	return 0;
}
