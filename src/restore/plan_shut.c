/* SPDX-License-Identifier: MIT */
/*
 * Memory files under F_SEAL_FUTURE_WRITE of which one memory has a mapping from before the seal, which may be written
 * still, and another one from after it, which never may be, by mprotect neither. So the first ones come first, in all
 * memories; who has one of the others waits for that, sets the seal, and maps. By then all children are forked, so
 * whoever is waited for is there. The other seals come when all have mapped (shmem_finish).
 */
#include "restore/plan_memory.h"
#include "restore/shmem.h"

#include <fcntl.h>

#include "base/compat.h"

static struct made_shmem *made_of(const struct memory *mem, const Mapping *m)
{
	return &mem->r->shmems[shmem_index(mem->r, m->memory)];
}

static bool is_shared_memory(const Mapping *m)
{
	return m->sort == MAPPING__SORT__SHMEM_SHARED;
}

bool shut_is_late(const struct memory *mem, const Mapping *m)
{
	return is_shared_memory(m) && has(m, VMF_sh) && !has(m, VMF_mw) &&
	       shmem_is_shut(made_of(mem, m));
}

/* Once for each such file. */
void shut_plan_written(struct memory *mem)
{
	struct restore *r = mem->r;
	struct plan *p = &mem->t->plan;

	for (size_t k = 0; k < r->n_shmems; k++) {
		const struct made_shmem *s = &r->shmems[k];
		bool writes = false;

		for (size_t i = 0; i < mem->mm->n_mappings && shmem_is_shut(s); i++) {
			const Mapping *m = mem->mm->mappings[i];

			writes = writes ||
				 (is_shared_memory(m) && has(m, VMF_mw) && made_of(mem, m) == s);
		}
		if (!writes)
			continue;
		plan_note(p, "'%s' is mapped where it may be written", s->rec->name);
		plan_post(p, s->word, s->n_writers);
	}
}

/* Again for each mapping of it: what is there is there. */
void shut_plan_seal(struct memory *mem, const Mapping *m, uint32_t fetch)
{
	const struct made_shmem *s = made_of(mem, m);
	struct plan *p = &mem->t->plan;

	plan_note(p, "'%s' can be mapped to be written by nobody any more", s->rec->name);
	plan_wait(p, s->word, s->n_writers);
	plan_call_is(p, 0, SYS_fcntl, arg_result(fetch), arg_num(F_ADD_SEALS),
		     arg_num(F_SEAL_FUTURE_WRITE));
}
