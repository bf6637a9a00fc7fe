/* SPDX-License-Identifier: MIT */
/* Operations that rebuild an address space. Pure. */
#include "restore/plan_memory.h"
#include "restore/shmem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/compat.h"
#include "proc/maps.h"

/* --- mappings ------------------------------------------------------------------------------------ */

/*
 * The operation whose result is a descriptor of the mapping's file, opened as the program had it: a
 * shared mapping of a descriptor that cannot write can never be made writable (`mw`).
 */
static uint32_t fetch_file(struct memory *mem, const Mapping *m)
{
	bool write = m->sort == MAPPING__SORT__FILE_SHARED && has(m, VMF_mw);
	uint32_t *known = &mem->fetch_of_file[2 * m->file + write];

	if (!*known) {
		uint32_t slot = slot_add(mem->r, (struct slot){
							 .sort = SLOT_FILE,
							 .file = mem->mm->files[m->file],
							 .flags = write ? O_RDWR : O_RDONLY,
						 });

		*known = restore_emit_fetch(mem->r, &mem->t->plan, slot) + 1;
	}
	return *known - 1;
}

/*
 * A descriptor of shared memory. Without VM_SHARED ("sh") a shared mapping is of a descriptor that could
 * not write; seals take the right to write alone ("mw"), and do so again (plan_shut.c).
 */
static uint32_t fetch_shmem(struct memory *mem, const Mapping *m)
{
	bool write = m->sort == MAPPING__SORT__SHMEM_PRIVATE || has(m, VMF_sh);
	uint32_t *known = &mem->fetch_of_shmem[2 * shmem_index(mem->r, m->memory) + write];

	if (!*known) {
		uint32_t slot = slot_add(mem->r, (struct slot){
							 .sort = SLOT_SHMEM,
							 .id = m->memory,
							 .flags = write ? O_RDWR : O_RDONLY,
						 });

		*known = restore_emit_fetch(mem->r, &mem->t->plan, slot) + 1;
	}
	return *known - 1;
}

static bool is_shared(const Mapping *m)
{
	return m->sort == MAPPING__SORT__FILE_SHARED || m->sort == MAPPING__SORT__SHMEM_SHARED;
}

static bool is_segment(const struct memory *mem, const Mapping *m)
{
	return m->has_memory && shmem_of(mem->r, m)->sort == SHARED_MEMORY__SORT__SYSV;
}

static bool has_pages(const struct memory *mem, const Mapping *m)
{
	const struct runs *own = &mem->t->process->sharing->own;
	size_t i = runs_at(own, m->start);

	return i < own->list.n && own->list.v[i].start < m->end;
}

/*
 * Whether the mapping is made writable first and protected after: it has pages to be filled, or it
 * has been writable (`ac`: the kernel charged it for memory then, and does not uncharge).
 */
static bool is_opened_up(const struct memory *mem, const Mapping *m)
{
	if (m->prot & PROT_WRITE)
		return false;
	return has_pages(mem, m) || (!is_shared(m) && has(m, VMF_ac));
}

static uint64_t map_flags(const struct memory *mem, const Mapping *m, const struct span *at,
			  bool populate)
{
	const struct host *h = &mem->r->host;
	uint64_t flags = is_shared(m) ? MAP_SHARED : has(m, VMF_dp) ? MAP_DROPPABLE : MAP_PRIVATE;
	uint64_t fixed = MAP_FIXED_NOREPLACE;

	if (m->sort == MAPPING__SORT__ANON)
		flags |= MAP_ANONYMOUS;
	if (m->has_page_size)
		flags |= MAP_HUGETLB | (uint64_t)__builtin_ctzll(m->page_size) << MAP_HUGE_SHIFT;
	if (has(m, VMF_gd))
		flags |= MAP_GROWSDOWN;
	if (has(m, VMF_nr))
		flags |= MAP_NORESERVE;
	/* All its pages at once, in place of a fault for each; huge ones, so not where it may have none. */
	if (populate)
		flags |= MAP_POPULATE;
	/* Only cr's executable, which nobody runs any more, may be replaced. */
	for (size_t i = 0; i < h->n_own; i++) {
		if (at->start < h->own[i].end && h->own[i].start < at->end)
			fixed = MAP_FIXED;
	}
	return flags | fixed;
}

/* As it stands in the image, or more of it, for a child. */
static void emit_mmap(struct memory *mem, size_t i, const struct span *at, uint64_t prot,
		      bool is_full)
{
	const Mapping *m = mem->mm->mappings[i];
	struct plan *p = &mem->t->plan;
	struct arg fd = arg_num(~0ull);
	uint64_t offset = 0;

	if (m->has_memory) {
		plan_note(p, "shared memory %u", m->memory);
		fd = arg_result(fetch_shmem(mem, m));
		offset = m->offset;
	} else if (m->sort != MAPPING__SORT__ANON) {
		plan_note(p, "%s", mem->mm->files[m->file]->path);
		fd = arg_result(fetch_file(mem, m));
		offset = m->offset - (m->start - at->start);
	} else {
		plan_note(p, mem->note ? "%s" : NULL, mem->note);
	}
	if (has(m, VMF_ht))
		plan_note(p, "huge pages of %llu kB, of which there may be too few free",
			  (unsigned long long)(m->has_memory ? shmem_of(mem->r, m)->page_size
							     : m->page_size) >>
				  10);
	if (has(m, VMF_dp))
		plan_note(p, "droppable memory (MAP_DROPPABLE needs Linux 6.11 or newer)");
	mem->is_present[i] = is_full && !has(m, VMF_nh) &&
			     !(mem->is_much && at->end - at->start >= READERS_BLOCK);
	plan_call_is(p, at->start, SYS_mmap, arg_num(at->start), arg_num(at->end - at->start),
		     arg_num(prot), arg_num(map_flags(mem, m, at, mem->is_present[i])), fd,
		     arg_num(offset));
	/* Before the contents: where the kernel makes huge pages unasked, one would fill its holes. */
	if (has(m, VMF_nh))
		plan_call_is(p, 0, SYS_madvise, arg_num(at->start), arg_num(at->end - at->start),
			     arg_num(MADV_NOHUGEPAGE));
}

/*
 * An anonymous mapping that was writable keeps its charge only if it has ever had a page: one is made
 * and dropped again.
 */
static void emit_touch(struct memory *mem, const Mapping *m)
{
	struct plan *p = &mem->t->plan;

	plan_call_is(p, 0, SYS_madvise, arg_num(m->start), arg_num(4096),
		     arg_num(MADV_POPULATE_WRITE));
	plan_call_is(p, 0, SYS_madvise, arg_num(m->start), arg_num(4096), arg_num(MADV_DONTNEED));
}

static bool is_mapped_by_us(const Mapping *m)
{
	return m->sort != MAPPING__SORT__VDSO && m->sort != MAPPING__SORT__VVAR;
}

/* --- System V segments ---------------------------------------------------------------------------- */

static uint32_t attach_prot(const Mapping *m)
{
	return has(m, VMF_mw) ? PROT_READ | PROT_WRITE : PROT_READ;
}

static uint64_t base_of(const Mapping *m)
{
	return m->start - m->offset;
}

static void emit_unmap(struct memory *mem, uint64_t start, uint64_t end)
{
	if (start < end)
		plan_call_is(&mem->t->plan, 0, SYS_munmap, arg_num(start), arg_num(end - start));
}

static bool is_same_attach(const struct memory *mem, const Mapping *a, const Mapping *b)
{
	return is_segment(mem, b) && b->memory == a->memory && base_of(b) == base_of(a) &&
	       has(b, VMF_mw) == has(a, VMF_mw);
}

/*
 * A segment is always attached as a whole; what of it was unmapped goes again. That is done before
 * anything else is mapped, for others may lie in the gaps.
 */
static void plan_attach(struct memory *mem, size_t first, bool *done)
{
	const struct host *h = &mem->r->host;
	const Mm *mm = mem->mm;
	const Mapping *m = mm->mappings[first];
	const SharedMemory *s = shmem_of(mem->r, m);
	uint64_t base = base_of(m), at = base;

	plan_note(&mem->t->plan, "System V segment %d", s->shmid);
	for (size_t i = 0; i < h->n_own; i++)
		emit_unmap(mem, m->start > h->own[i].start ? m->start : h->own[i].start,
			   m->end < h->own[i].end ? m->end : h->own[i].end);
	plan_call_is(&mem->t->plan, base, SYS_shmat, arg_num((uint64_t)s->shmid), arg_num(base),
		     arg_num(has(m, VMF_mw) ? 0 : SHM_RDONLY));
	for (size_t i = first; i < mm->n_mappings; i++) {
		const Mapping *part = mm->mappings[i];

		if (!is_same_attach(mem, m, part))
			continue;
		emit_unmap(mem, at, part->start);
		at = part->end;
		done[i] = true;
	}
	emit_unmap(mem, at, base + ((s->size + 4095) & ~4095ull));
}

static void plan_attaches(struct memory *mem)
{
	const Mm *mm = mem->mm;
	bool *done = arena_alloc(&mem->r->arena, mm->n_mappings + 1);

	for (size_t i = 0; i < mm->n_mappings; i++)
		if (!done[i] && is_segment(mem, mm->mappings[i]))
			plan_attach(mem, i, done);
}

/* --- from the parent, for the children ------------------------------------------------------------- */

static void wait_until_open(struct memory *mem)
{
	struct plan *p = &mem->t->plan;

	if (mem->is_open)
		return;
	mem->is_open = true;
	plan_note(p, "cr has opened everything");
	plan_op(p, CR_RST_WAIT, 0, PLAN_ARGS(arg_region(WORD_AT(opened)), arg_num(1)),
		CR_RST_WANT_OK, 0);
}

static bool is_there(const struct memory *mem, size_t i)
{
	const struct legacy *l = &mem->t->process->sharing->maps[i];

	return l->above || (l->is_left && mem->is_laid);
}

/*
 * What the parent has left of one of its mappings goes, but for what the child has of it too. Both lists
 * ascend, so that *next goes on from one of the parent's to the next.
 */
static void plan_trim(struct memory *mem, const struct legacy *left, size_t *next)
{
	const struct legacy *maps = mem->t->process->sharing->maps;
	uint64_t at = left->start;

	for (; *next < mem->mm->n_mappings && maps[*next].start < left->end; ++*next) {
		if (!maps[*next].above || maps[*next].start < left->start)
			continue;
		emit_unmap(mem, at, maps[*next].start);
		at = maps[*next].end;
	}
	emit_unmap(mem, at, left->end);
}

void plan_inheritance(struct restore *r, struct task_plan *t)
{
	const struct rprocess *parent = t->process->parent;
	const Mm *mm = t->process->mm;
	struct memory *mem = arena_alloc(&r->arena, sizeof(*mem));
	size_t next = 0;

	*mem = (struct memory){ .r = r, .t = t, .mm = mm };
	mem->fetch_of_file = arena_alloc(&r->arena, (mm->n_files + 1) * 2 * sizeof(uint32_t));
	mem->fetch_of_shmem = arena_alloc(&r->arena, (r->n_shmems + 1) * 2 * sizeof(uint32_t));
	mem->fetch_of_store = arena_alloc(&r->arena, (r->img.n_stores + 1) * sizeof(uint32_t));
	mem->slot_of_store = arena_alloc(&r->arena, (r->img.n_stores + 1) * sizeof(uint32_t));
	mem->is_much = readers_are_worth(&t->process->sharing->own);
	mem->is_present = arena_alloc(&r->arena, mm->n_mappings + 1);
	t->memory = mem;
	if (!parent || is_member(t->process) || is_member(parent))
		return;
	if (t->process->sharing->is_laid && !t->process->relative->born_with[TABLE_FILES]) {
		plan_note(&t->plan, "descriptors of the parent's mapped files");
		plan_close_all(r, &t->plan);
	}
	plan_note(&t->plan, "what the parent does not leave to it");
	for (size_t i = 0; i < parent->mm->n_mappings; i++) {
		const struct legacy *l = &parent->sharing->maps[i];

		if (l->above || (l->is_left && t->process->sharing->is_laid))
			plan_trim(mem, l, &next);
	}
}

/* The mappings for all children, and the pages that this one has from them. */
void plan_legacy(struct task_plan *t, struct rprocess *child)
{
	struct memory *mem = t->memory;
	const struct legacy *maps = t->process->sharing->maps;
	const struct runs *before = &child->sharing->before;

	if (!child->sharing->is_heir)
		return;
	wait_until_open(mem);
	mem->note = "memory that children have from it";
	for (size_t i = 0; i < mem->mm->n_mappings && !mem->is_laid; i++) {
		struct span at = { maps[i].start, maps[i].end };

		if (maps[i].is_left && !maps[i].above)
			emit_mmap(mem, i, &at, maps[i].prot, runs_cover(before, at.start, at.end));
	}
	mem->is_laid = true;
	mem->note = NULL;
	if (before->list.n)
		plan_contents(mem, before, false);
}

/* What was mapped for children only. */
static void plan_cut(struct memory *mem)
{
	plan_note(&mem->t->plan, "what is its children's only");
	for (size_t i = 0; i < mem->mm->n_mappings; i++) {
		const struct legacy *l = &mem->t->process->sharing->maps[i];

		if (!is_there(mem, i))
			continue;
		emit_unmap(mem, l->start, mem->mm->mappings[i]->start);
		emit_unmap(mem, mem->mm->mappings[i]->end, l->end);
	}
	vec_each(x, &mem->t->process->sharing->drop.list)
		plan_call_is(&mem->t->plan, 0, SYS_madvise, arg_num(x->start),
			     arg_num(x->end - x->start), arg_num(MADV_DONTNEED));
}

static void plan_mapping(struct memory *mem, size_t i, bool *opened)
{
	const Mapping *m = mem->mm->mappings[i];
	const struct sharing *s = mem->t->process->sharing;
	struct span at = { m->start, m->end };
	uint32_t prot;

	if (is_there(mem, i)) {
		*opened = m->prot != s->maps[i].prot;
		return;
	}
	if (is_segment(mem, m)) {
		*opened = m->prot != attach_prot(m);
		return;
	}
	*opened = is_opened_up(mem, m);
	prot = *opened ? m->prot | PROT_WRITE : m->prot;
	/* Of what can only be executed from the begin the kernel would choose the key. */
	if (m->has_key && prot == PROT_EXEC)
		prot |= PROT_READ;
	emit_mmap(mem, i, &at, prot, runs_cover(&s->own, at.start, at.end));
	if (*opened && m->sort == MAPPING__SORT__ANON && !has_pages(mem, m))
		emit_touch(mem, m);
	*opened = prot != m->prot;
}

static void plan_mappings(struct memory *mem)
{
	const Mm *mm = mem->mm;
	bool *opened = arena_alloc(&mem->r->arena, mm->n_mappings + 1);

	plan_cut(mem);
	plan_attaches(mem);
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (is_mapped_by_us(mm->mappings[i]) && !shut_is_late(mem, mm->mappings[i]))
			plan_mapping(mem, i, &opened[i]);
	}
	shut_plan_written(mem);
	plan_contents(mem, &mem->t->process->sharing->fill, true);
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (!shut_is_late(mem, mm->mappings[i]))
			continue;
		shut_plan_seal(mem, mm->mappings[i], fetch_shmem(mem, mm->mappings[i]));
		plan_mapping(mem, i, &opened[i]);
	}
	plan_keys_take(mem);
	for (size_t i = 0; i < mm->n_mappings; i++) {
		if (is_mapped_by_us(mm->mappings[i]))
			plan_manners(mem, mm->mappings[i], opened[i]);
	}
	plan_keys_free(mem);
}

/* --- the fields of the mm and the exe link --------------------------------------------------------- */

/* Nearly always one of the mapped files, which is there already. */
static uint32_t fetch_exe(struct memory *mem)
{
	const Mm *mm = mem->mm;

	for (size_t i = 0; i < mm->n_files; i++) {
		if (mem->fetch_of_file[2 * i] && !strcmp(mm->files[i]->path, mm->exe->path))
			return mem->fetch_of_file[2 * i] - 1;
	}
	return restore_emit_fetch(mem->r, &mem->t->plan,
				  slot_add(mem->r,
					   (struct slot){ .sort = SLOT_FILE, .file = mm->exe }));
}

static void plan_fields(struct memory *mem)
{
	struct restore *r = mem->r;
	const Mm *mm = mem->mm;
	struct plan *p = &mem->t->plan;
	struct cr_rst_mm_map map = {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.auxv_size = (uint32_t)mm->auxv.len,
	};
	struct cr_rst_range *own;
	uint64_t map_at, own_at;
	struct arg mount = arg_num(~0ull);
	uint32_t fetch;
	size_t n;

	plan_note(p, "exe link: %s", mm->exe->path);
	fetch = fetch_exe(mem);
	own = plan_own_left(r, mm, &n);
	if (r->host.ways & CR_RST_WAY_MOUNT)
		mount = arg_result(
			restore_emit_fetch(r, p,
					   slot_add(r, (struct slot){ .sort = SLOT_OWN_EXE })));
	map_at = plan_data(p, &map, sizeof(map));
	/* The addresses of the auxiliary vector and the number of the descriptor are known in the task
	 * only: two stores into the plan's own data. */
	plan_op(p, CR_RST_STORE, 0,
		PLAN_ARGS(arg_data(map_at + offsetof(struct cr_rst_mm_map, auxv)),
			  arg_data(plan_data(p, mm->auxv.data, mm->auxv.len)), arg_num(8)),
		CR_RST_WANT_OK, 0);
	plan_op(p, CR_RST_STORE, 0,
		PLAN_ARGS(arg_data(map_at + offsetof(struct cr_rst_mm_map, exe_fd)),
			  arg_result(fetch), arg_num(4)),
		CR_RST_WANT_OK, 0);
	own_at = plan_data(p, own, n * sizeof(*own));
	plan_op(p, CR_RST_SET_MM, 0,
		PLAN_ARGS(arg_data(map_at), arg_data(own_at), arg_num(n), arg_num(r->host.ways),
			  mount),
		CR_RST_WANT_OK, 0);
}

int plan_memory(struct restore *r, struct task_plan *t, struct error *e)
{
	struct memory *mem = t->memory;
	int rc = plan_vdso(r, t, e);

	if (rc < 0)
		return rc;
	wait_until_open(mem);
	plan_mappings(mem);
	plan_fields(mem);
	/* Others may be using theirs in the same table (plan_tables.c). */
	if (t->process->threads[0].table[TABLE_FILES]->n_processes > 1)
		return 0;
	plan_note(&t->plan, "descriptors of mapped files");
	plan_close_all(r, &t->plan);
	return 0;
}
