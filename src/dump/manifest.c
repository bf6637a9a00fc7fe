/* SPDX-License-Identifier: MIT */
/* What the image says of itself, of the machine and of the vDSO. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "base/fd.h"
#include "dump/internal.h"
#include "remote/memory.h"

#define FORMAT 1
#define MAX_VDSO (1u << 20)

static int fill_machine(struct dump *d, Manifest *m, struct error *e)
{
	struct utsname u;
	auto_buf boot_id = { 0 };
	char cpu[64];
	int rc;

	if (uname(&u))
		return fail(e, errno, "uname");
	rc = fd_read_record(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &boot_id);
	if (rc < 0)
		return fail(e, -rc, "read the boot id");
	arch_cpu_model(cpu);
	m->arch = arena_strdup(&d->arena, u.machine);
	m->kernel = arena_strdup(&d->arena, u.release);
	m->kernel_version = arena_strdup(&d->arena, u.version);
	m->host = arena_strdup(&d->arena, u.nodename);
	m->boot_id = arena_strndup(&d->arena, boot_id.p, strcspn(boot_id.p, "\n"));
	m->cpu = arena_strdup(&d->arena, cpu);
	return 0;
}

static int fill_vdso(struct dump *d, const struct dump_process *p, const struct vma *v, Manifest *m,
		     struct error *e)
{
	size_t size = v->end - v->start;
	void *image;
	uint8_t id[32];
	int rc;

	if (size > MAX_VDSO)
		return fail(e, 0, "a vDSO of %zu bytes", size);
	image = arena_alloc(&d->arena, size);
	rc = memory_read(speaker_id(p), v->start, image, size);
	if (rc < 0)
		return fail(e, -rc, "task %d: read the vDSO", p->pid);
	m->has_vdso_size = m->has_vdso_build_id = m->has_vdso = true;
	m->vdso_size = m->vdso.len = size;
	m->vdso.data = image;
	m->vdso_build_id.len = arch_elf_build_id(image, size, id);
	m->vdso_build_id.data = arena_copy(&d->arena, id, sizeof(id));
	return 0;
}

static bool has_vdso(const struct dump_process *p)
{
	for (size_t i = 0; p && i < p->maps.list.n; i++) {
		if (mapping_sort(&p->maps.list.v[i]) == MAPPING_VDSO)
			return true;
	}
	return false;
}

/* The same in all processes that have one: the first of them tells. */
static int fill_kernel_mappings(struct dump *d, Manifest *m, struct error *e)
{
	const struct dump_process *p = NULL;
	uint64_t vvar = 0;
	int rc = 0;

	for (size_t i = 0; i < d->processes.n && !has_vdso(p); i++)
		p = d->processes.v[i];
	for (size_t i = 0; i < p->maps.list.n && rc >= 0; i++) {
		const struct vma *v = &p->maps.list.v[i];

		if (mapping_sort(v) == MAPPING_VDSO)
			rc = fill_vdso(d, p, v, m, e);
		else if (mapping_sort(v) == MAPPING_VVAR)
			vvar += v->end - v->start;
	}
	m->has_vvar_size = vvar > 0;
	m->vvar_size = vvar;
	return rc;
}

int manifest_begin(struct dump *d, Manifest *m, struct error *e)
{
	m->format = FORMAT;
	m->tool = arena_strdup(&d->arena, PACKAGE_STRING);
	return fill_machine(d, m, e);
}

int manifest_fill(struct dump *d, Manifest *m, struct error *e)
{
	const struct dump_process *root = d->processes.v[0];
	const struct held_thread *held = speaker_of(root)->held;
	auto_buf features = { 0 };

	m->realtime_ns = d->realtime;
	m->monotonic_ns = d->monotonic;
	m->boottime_ns = d->boottime;
	m->xsave_mask = arch_xsave_mask(held->xstate, held->xstate_size);
	m->xsave_size = held->xstate_size;
	arch_cpu_features(m->xsave_mask, &features);
	m->cpu_features = arena_strdup(&d->arena, features.len ? features.p : "");
	m->root = (uint32_t)root->pid;
	m->tags = d->tags.v;
	m->n_tags = d->tags.n;
	return fill_kernel_mappings(d, m, e);
}
