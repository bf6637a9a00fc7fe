/* SPDX-License-Identifier: MIT */
/* Operations that make mappings what they are, once their contents are there: protection, advice, guards, locks. Pure. */
#include "restore/plan_memory.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/compat.h"

static const struct {
	enum vmf flag;
	int advice;
} advices[] = {
	{ VMF_dc, MADV_DONTFORK },   { VMF_wf, MADV_WIPEONFORK }, { VMF_dd, MADV_DONTDUMP },
	{ VMF_hg, MADV_HUGEPAGE },   { VMF_nh, MADV_NOHUGEPAGE }, { VMF_mg, MADV_MERGEABLE },
	{ VMF_sr, MADV_SEQUENTIAL }, { VMF_rr, MADV_RANDOM },
};

/* The first that ends behind the address. */
static size_t guard_at(const Mm *mm, uint64_t address)
{
	size_t low = 0, high = mm->n_guards;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (mm->guards[mid]->start + mm->guards[mid]->length <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* They lie in one mapping each. Before mlock, after which they are not allowed. */
static void plan_guards(struct memory *mem, const Mapping *m)
{
	struct plan *p = &mem->t->plan;

	for (size_t i = guard_at(mem->mm, m->start); i < mem->mm->n_guards; i++) {
		const Guard *g = mem->mm->guards[i];

		if (g->start >= m->end)
			break;
		plan_note(p,
			  "a guard region (MADV_GUARD_INSTALL needs Linux 6.13 or newer, and 6.15 "
			  "where it is not private anonymous memory)");
		plan_call_is(p, 0, SYS_madvise, arg_num(g->start), arg_num(g->length),
			     arg_num(MADV_GUARD_INSTALL));
	}
	plan_note(p, NULL);
}

/* --- protection keys ---------------------------------------------------------------------------- */

/*
 * Memory that can only be executed gets a key from the kernel, which no call may name. Such a key is not
 * among those that the program has allocated.
 */
static uint32_t find_own_key(const Mm *mm)
{
	uint32_t own = 0, other = mm->keys;

	for (size_t i = 0; i < mm->n_mappings; i++) {
		const Mapping *m = mm->mappings[i];

		if (m->prot == PROT_EXEC)
			own |= m->has_key ? 1u << m->key : 0;
		else
			other |= m->has_key ? 1u << m->key : 0;
	}
	own &= ~other;
	return own ? (uint32_t)__builtin_ctz(own) : 0;
}

/* All that mappings have, and those that the program has: keys can be freed that mappings still have. */
static uint32_t all_keys(const Mm *mm)
{
	uint32_t keys = mm->keys;

	for (size_t i = 0; i < mm->n_mappings; i++)
		if (mm->mappings[i]->has_key)
			keys |= 1u << mm->mappings[i]->key;
	return keys;
}

static void protect_to_execute(struct memory *mem, uint32_t key)
{
	for (size_t i = 0; i < mem->mm->n_mappings; i++) {
		const Mapping *m = mem->mm->mappings[i];

		if (m->key != key)
			continue;
		plan_call_is(&mem->t->plan, 0, SYS_mprotect, arg_num(m->start),
			     arg_num(m->end - m->start), arg_num(PROT_EXEC));
		return;
	}
}

/* The kernel gives the lowest that is free: all up to the highest are taken, in their order. */
void plan_keys_take(struct memory *mem)
{
	struct plan *p = &mem->t->plan;
	uint32_t keys = all_keys(mem->mm);

	mem->own_key = find_own_key(mem->mm);
	plan_note(p, "protection keys, which this processor or kernel may not have");
	for (uint32_t key = 1; keys >> key; key++) {
		if (key == mem->own_key)
			protect_to_execute(mem, key);
		else
			plan_call_is(p, key, SYS_pkey_alloc, arg_num(0), arg_num(0));
	}
}

void plan_keys_free(struct memory *mem)
{
	struct plan *p = &mem->t->plan;
	uint32_t keys = all_keys(mem->mm);

	plan_note(p, "protection keys that are not allocated");
	for (uint32_t key = 1; keys >> key; key++)
		if (key != mem->own_key && !(mem->mm->keys >> key & 1))
			plan_call_is(p, 0, SYS_pkey_free, arg_num(key));
}

static void plan_protection(struct memory *mem, const Mapping *m, bool protect)
{
	struct plan *p = &mem->t->plan;
	struct arg at = arg_num(m->start), size = arg_num(m->end - m->start);

	if (m->has_key && m->key != mem->own_key)
		plan_call_is(p, 0, SYS_pkey_mprotect, at, size, arg_num(m->prot), arg_num(m->key));
	else if (protect)
		plan_call_is(p, 0, SYS_mprotect, at, size, arg_num(m->prot));
}

/* --- one mapping -------------------------------------------------------------------------------- */

void plan_manners(struct memory *mem, const Mapping *m, bool protect)
{
	struct plan *p = &mem->t->plan;
	struct arg at = arg_num(m->start), size = arg_num(m->end - m->start);

	plan_note(p, NULL);
	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		if (has(m, advices[i].flag))
			plan_call_is(p, 0, SYS_madvise, at, size,
				     arg_num((uint64_t)advices[i].advice));
	}
	if (m->name)
		plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_VMA), arg_num(PR_SET_VMA_ANON_NAME),
			     at, size, arg_data(plan_data(p, m->name, strlen(m->name) + 1)));
	plan_protection(mem, m, protect);
	plan_guards(mem, m);
	/* After mprotect: mlock of an unreadable range sets the flag but says ENOMEM. */
	if (has(m, VMF_lo))
		plan_call_or(p, -ENOMEM, SYS_mlock2, at, size,
			     arg_num(has(m, VMF_lf) ? MLOCK_ONFAULT : 0));
	/* The last of all: nothing of the above is allowed after it. */
	if (has(m, VMF_sl)) {
		plan_note(p, "sealed memory (mseal needs Linux 6.10 or newer)");
		plan_call_is(p, 0, SYS_mseal, at, size, arg_num(0));
	}
}
