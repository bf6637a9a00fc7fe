/* SPDX-License-Identifier: MIT */
/*
 * A place for a batch where the process cannot map one (RLIMIT_AS, RLIMIT_DATA, locked memory,
 * vm.max_map_count): memory that it has is overwritten, and put back.
 *
 * The code goes into the vDSO, which nobody runs meanwhile; without one into private executable
 * memory. A write through /proc/PID/mem gives the process a copy of its own of such a page. Plans go
 * into private writable memory, best below the stack pointer. Afterwards the bytes are put back, and
 * a page that was not the process' own before is dropped by MADV_DONTNEED, so that it is the file's,
 * the vDSO's or a hole again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "arch/arch.h"
#include "base/compat.h"
#include "base/fd.h"
#include "base/mem.h"
#include "proc/maps.h"
#include "remote/memory.h"
#include "remote/session.h"

#define PAGE 4096ull
/* Of an entry of pagemap. */
#define PAGE_PRESENT (1ull << 63)
#define PAGE_SWAPPED (1ull << 62)
#define PAGE_OF_FILE (1ull << 61)

/* Not what is of a device, of huge pages, guarded, sealed, or watched by a userfaultfd. */
#define UNFIT                                                                                      \
	(VMF(sh) | VMF(io) | VMF(pf) | VMF(mm) | VMF(ht) | VMF(gu) | VMF(sl) | VMF(um) | VMF(uw) | \
	 VMF(ui) | VMF(ss) | VMF(dp) | VMF(mt) | VMF(UNKNOWN))

static bool is_fit(const struct vma *v, uint64_t needs, uint64_t lacks)
{
	return (v->flags & needs) == needs && !(v->flags & (lacks | UNFIT)) && !v->shared;
}

/* --- choosing -------------------------------------------------------------------------------------- */

/* The first page of a program may be its ELF header, which is looked at meanwhile. */
static uint64_t find_code(const struct maps *maps, size_t size)
{
	uint64_t found = 0;

	vec_each(v, &maps->list) {
		uint64_t start = v->start + (v->offset || !v->inode ? 0 : PAGE);

		if (!is_fit(v, VMF(rd) | VMF(ex) | VMF(mw), VMF(wr)) || start + size > v->end)
			continue;
		if (!strcmp(v->name, "[vdso]"))
			return start;
		if (!found)
			found = start;
	}
	return found;
}

struct span {
	uint64_t start, end;
};

static uint64_t length(struct span s)
{
	return s.end > s.start ? s.end - s.start : 0;
}

/* The kernel reads and writes a thread's rseq area whenever it runs. The longest part without one. */
static struct span without_rseq(const struct batch *b, struct span s)
{
	struct span best = { 0, 0 };

	while (s.start < s.end) {
		uint64_t stop = s.end, next;

		next = stop;
		for (size_t i = 0; i < b->n; i++) {
			const struct held_thread *t = b->threads[i].held;
			uint64_t first = t->rseq_address & ~(PAGE - 1);
			uint64_t last = (t->rseq_address + t->rseq_size + PAGE - 1) & ~(PAGE - 1);

			if (!t->rseq_address || last <= s.start || first >= stop)
				continue;
			stop = first > s.start ? first : s.start;
			next = last;
		}
		if (stop - s.start > length(best))
			best = (struct span){ s.start, stop };
		s.start = next;
	}
	return best;
}

/* Below the stack pointer nothing is of worth; else the first that is long enough. */
static struct span find_data(const struct batch *b, const struct maps *maps, size_t least,
			     size_t wish)
{
	uint64_t sp = (arch_sp(b->threads[0].held->regs) - ARCH_RED_ZONE) & ~(PAGE - 1);
	const struct vma *stack = maps_find(maps, sp - 1);
	struct span best = { 0, 0 };

	if (stack && is_fit(stack, VMF(rd) | VMF(wr), VMF(ex)))
		best = without_rseq(b, (struct span){ stack->start, sp });
	if (length(best) >= least) {
		/* The part next to the stack pointer is the one that is most likely there. */
		if (length(best) > wish)
			best.start = best.end - wish;
		return best;
	}
	best = (struct span){ 0, 0 };
	vec_each(v, &maps->list) {
		struct span s = { v->start, v->end };

		if (!is_fit(v, VMF(rd) | VMF(wr), VMF(ex)) || length(s) <= length(best))
			continue;
		s = without_rseq(b, s);
		if (length(s) > length(best))
			best = s;
		if (length(best) >= wish)
			break;
	}
	return best;
}

/* --- taking ---------------------------------------------------------------------------------------- */

static int open_of(const struct session *s, const char *what, struct error *e)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", s->b->threads[0].held->tid, what);
	fd = fd_open(AT_FDCWD, path, O_RDONLY);
	return fd < 0 ? fail(e, -fd, "open %s", path) : fd;
}

static int take(struct session *s, struct loan *l, uint64_t at, size_t size, struct error *e)
{
	size_t n = size / PAGE;
	auto_fd pagemap = open_of(s, "pagemap", e);
	auto_fd mem = pagemap < 0 ? -1 : open_of(s, "mem", e);
	int rc;

	if (pagemap < 0 || mem < 0)
		return pagemap < 0 ? pagemap : mem;
	l->bytes = mem_try(size);
	l->entries = mem_try(n * sizeof(*l->entries));
	if (!l->bytes || !l->entries)
		return fail(e, ENOMEM, "borrow memory of process %d", s->b->pid);
	rc = fd_pread_full(pagemap, l->entries, n * sizeof(*l->entries),
			   (off_t)(at / PAGE * sizeof(*l->entries)));
	if (rc >= 0)
		rc = fd_pread_full(mem, l->bytes, size, (off_t)at);
	if (rc < 0)
		return fail(e, -rc, "borrow memory of process %d at 0x%llx", s->b->pid,
			    (unsigned long long)at);
	l->at = at;
	l->size = size;
	return 0;
}

static int choose(struct session *s, const struct maps *maps, size_t least, size_t wish,
		  struct error *e)
{
	uint64_t code = find_code(maps, s->code);
	struct span data = find_data(s->b, maps, least, wish);
	int rc;

	if (!code || length(data) < least)
		return fail(e, ENOMEM,
			    "process %d cannot map memory for the questions that only it can "
			    "answer (RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, vm.max_map_count?), "
			    "and has no %zu KiB of private %s memory that could be borrowed",
			    s->b->pid, (code ? least : s->code) / 1024,
			    code ? "writable" : "executable");
	if (length(data) > wish)
		data.end = data.start + wish;
	rc = take(s, &s->loans[0], code, s->code, e);
	if (rc >= 0)
		rc = take(s, &s->loans[1], data.start, length(data), e);
	s->code_at = code;
	s->data_at = data.start;
	s->room = length(data);
	return rc;
}

int borrow(struct session *s, size_t least, size_t wish, struct error *e)
{
	struct arena arena = { 0 };
	struct maps maps = { 0 };
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/proc/%d", s->b->threads[0].held->tid);
	auto_fd proc = fd_open(AT_FDCWD, path, O_PATH | O_DIRECTORY);
	if (proc < 0)
		return fail(e, -proc, "open %s", path);
	rc = smaps_read(proc, &arena, &maps, e);
	if (rc >= 0)
		rc = choose(s, &maps, least, wish, e);
	maps_free(&maps);
	arena_free(&arena);
	return rc;
}

/* --- putting back ----------------------------------------------------------------------------------- */

static bool was_own(uint64_t entry)
{
	return entry & (PAGE_PRESENT | PAGE_SWAPPED) && !(entry & PAGE_OF_FILE);
}

/* Pages [i, k) of a loan are the process' copies, and were not. What was in memory is there again. */
static int drop(struct session *s, const struct loan *l, size_t i, size_t k, struct error *e)
{
	const uint64_t args[6] = { l->at + i * PAGE, (k - i) * PAGE, MADV_DONTNEED_LOCKED };
	int64_t result = 0;
	char byte;
	int rc = session_call(s, SYS_madvise, args, &result, e);

	if (rc < 0)
		return rc;
	if (result < 0)
		return fail(e, (int)-result, "give borrowed memory of process %d back", s->b->pid);
	for (; i < k; i++)
		if (l->entries[i] & PAGE_PRESENT)
			(void)!memory_read(s->b->threads[0].held->tid, l->at + i * PAGE, &byte, 1);
	return 0;
}

static int drop_copies(struct session *s, const struct loan *l, struct error *e)
{
	size_t n = l->size / PAGE;
	int rc = 0;

	for (size_t i = 0, k; i < n && rc >= 0; i = k) {
		for (k = i + 1; k < n && was_own(l->entries[k]) == was_own(l->entries[i]);)
			k++;
		if (!was_own(l->entries[i]))
			rc = drop(s, l, i, k, e);
	}
	return rc;
}

static int put_back(struct session *s, const struct loan *l, struct error *e)
{
	int rc = 0;

	if (l->size)
		rc = memory_write_traced(s->b->threads[0].held->tid, l->at, l->bytes, l->size, e);
	return within(e, rc, "put borrowed memory of process %d back", s->b->pid);
}

/* All bytes first: the instruction that makes the call may be among them. */
int borrow_return(struct session *s, struct error *e)
{
	int rc = 0;

	for (size_t i = 0; i < 2 && rc >= 0; i++)
		rc = put_back(s, &s->loans[i], e);
	for (size_t i = 0; i < 2 && rc >= 0; i++)
		rc = drop_copies(s, &s->loans[i], e);
	for (size_t i = 0; i < 2; i++) {
		mem_free_cleanup(&s->loans[i].bytes);
		mem_free_cleanup(&s->loans[i].entries);
		s->loans[i].size = 0;
	}
	return rc;
}
