/* SPDX-License-Identifier: MIT */
/*
 * Makes an image one of another kernel, or of another processor, for tests: `other-kernel DIR WORD...`
 *
 *   vdso            the build id of the vDSO is another, so that its functions have to lead into this
 *                   kernel's
 *   rename=A,B      a function of the vDSO is called B (as long as A), which no kernel has
 *   no-vdso         the image does not hold its vDSO
 *   cpu=NAME        the processor had this feature too
 *   ip=TID,OFFSET   the thread was stopped at this offset of the vDSO
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "context.pb-c.h"
#include "hostile.h"
#include "mm.pb-c.h"

static void rename_function(Manifest *m, char *names)
{
	char *to = strchr(names, ',');
	size_t n = to ? (size_t)(to - names) : 0;

	if (!to || strlen(to + 1) != n)
		exit(2);
	*to++ = '\0';
	for (size_t i = 0; i + n < m->vdso.len; i++) {
		uint8_t *p = m->vdso.data + i;

		/* the whole of a name, with or without the prefix */
		if (memcmp(p, names, n + 1) || (i && p[-1] && p[-1] != '_'))
			continue;
		memcpy(p, to, n);
	}
}

static uint64_t find_vdso(const struct hostile *h)
{
	for (size_t i = 0; i < h->records.n; i++) {
		const Mm *mm = (const Mm *)h->records.v[i].msg;

		if (strcmp(h->records.v[i].type->tag, "MMSP"))
			continue;
		for (size_t k = 0; k < mm->n_mappings; k++) {
			if (mm->mappings[k]->sort == MAPPING__SORT__VDSO)
				return mm->mappings[k]->start;
		}
	}
	exit(2);
}

static void set_ip(struct hostile *h, const char *text)
{
	unsigned int tid = 0;
	unsigned long at = 0;

	if (sscanf(text, "%u,%li", &tid, (long *)&at) != 2)
		exit(2);
	for (size_t i = 0; i < h->records.n; i++) {
		Context *c = (Context *)h->records.v[i].msg;

		if (!strcmp(h->records.v[i].type->tag, "CTXT") && c->id == tid)
			arch_set_ip(c->regs, find_vdso(h) + at);
	}
}

static void change(struct hostile *h, char *word)
{
	static char features[4096];
	Manifest *m = h->manifest;

	if (!strncmp(word, "cpu=", 4)) {
		snprintf(features, sizeof(features), "%s %s", m->cpu_features, word + 4);
		m->cpu_features = features;
		return;
	}

	if (!strcmp(word, "vdso") && m->vdso_build_id.len)
		m->vdso_build_id.data[0] ^= 0xff;
	else if (!strcmp(word, "no-vdso"))
		m->has_vdso = false;
	else if (!strncmp(word, "rename=", 7))
		rename_function(m, word + 7);
	else if (!strncmp(word, "ip=", 3))
		set_ip(h, word + 3);
	else
		exit(2);
}

int main(int argc, char **argv)
{
	auto_buf blob = { 0 };
	auto_buf out = { 0 };
	struct hostile h;
	struct error e = { 0 };
	int dir;

	if (argc < 3)
		return 2;
	dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || hostile_read(argv[1], &blob, &e) < 0 ||
	    !hostile_parse(&h, (const uint8_t *)blob.p, blob.len)) {
		fprintf(stderr, "%s: not an image: %s\n", argv[1], e.text);
		return 1;
	}
	for (int i = 2; i < argc; i++)
		change(&h, argv[i]);
	hostile_pack(&h, &out);
	hostile_write(dir, (const uint8_t *)out.p, out.len);
	hostile_free(&h);
	return 0;
}
