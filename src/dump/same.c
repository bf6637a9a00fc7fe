/* SPDX-License-Identifier: MIT */
#include "dump/same.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "image/hash.h"
#include "proc/pagemap.h"
#include "remote/memory.h"

#define PAGE 4096u
#define WINDOW 4096u        /* pages that are looked at at once */
#define MAX_OPEN 64u        /* descriptors of holders */
#define VERIFIED (1u << 31) /* of a holder in the window */
_Static_assert(!((SAME_SHARED | SAME_MAYBE) & VERIFIED), "they are not");

struct noted {
	uint64_t key;    /* frame, or checksum; 0: free */
	uint32_t holder; /* index + 1 */
};

struct same {
	struct dump *d;
	size_t process; /* that is looked at */
	struct pagemap pagemap;
	bool by_content;
	/* The window: what pagemap says from `start` on, who else may have these pages. */
	uint64_t start;
	size_t n;
	uint64_t entries[WINDOW], others[WINDOW];
	uint32_t holders[WINDOW];
	char *pages; /* of a holder, to be compared */
	/* Open addressing; a power of two. */
	struct noted *table;
	size_t room, used;
	int *pagemaps, *mems; /* of holders; -1: not open */
	size_t n_open;
};

struct same *same_new(struct dump *d)
{
	size_t n = d->processes.n;
	struct same *s;

	if (n < 2)
		return NULL;
	s = mem_alloc(sizeof(*s));
	s->d = d;
	s->pages = mem_alloc(SAME_MOST * PAGE);
	s->room = 1024;
	s->table = mem_alloc(s->room * sizeof(*s->table));
	s->pagemaps = mem_alloc(n * sizeof(*s->pagemaps));
	s->mems = mem_alloc(n * sizeof(*s->mems));
	for (size_t i = 0; i < n; i++)
		s->pagemaps[i] = s->mems[i] = -1;
	return s;
}

static void close_holders(struct same *s)
{
	for (size_t i = 0; i < s->d->processes.n; i++) {
		fd_cleanup(&s->pagemaps[i]);
		fd_cleanup(&s->mems[i]);
		s->pagemaps[i] = s->mems[i] = -1;
	}
	s->n_open = 0;
}

void same_free(struct same *s)
{
	if (!s)
		return;
	close_holders(s);
	free(s->pages);
	free(s->table);
	free(s->pagemaps);
	free(s->mems);
	free(s);
}

void same_begin(struct same *s, size_t process, int pagemap)
{
	s->process = process;
	s->pagemap = (struct pagemap){ .fd = pagemap };
	s->start = s->n = 0;
}

static const struct dump_process *process_of(const struct same *s, uint32_t holder)
{
	return s->d->processes.v[holder - 1];
}

static int open_holder(struct same *s, int *fds, uint32_t holder, const char *name, struct error *e)
{
	int *fd = &fds[holder - 1];

	if (*fd >= 0)
		return *fd;
	if (s->n_open == MAX_OPEN)
		close_holders(s);
	*fd = openat(process_of(s, holder)->dir, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return fail(e, errno, "open %s of process %d", name, process_of(s, holder)->pid);
	s->n_open++;
	return *fd;
}

/* --- the table --------------------------------------------------------------------------------- */

/* Where the key is, or would be. */
static struct noted *find(const struct same *s, uint64_t key)
{
	size_t i = (key * 0x9e3779b97f4a7c15ull >> 20) & (s->room - 1);

	while (s->table[i].key && s->table[i].key != key)
		i = (i + 1) & (s->room - 1);
	return &s->table[i];
}

static void grow(struct same *s)
{
	struct noted *old = s->table;
	size_t n = s->room;

	s->room *= 2;
	s->table = mem_alloc(s->room * sizeof(*s->table));
	for (size_t i = 0; i < n; i++)
		if (old[i].key)
			*find(s, old[i].key) = old[i];
	free(old);
}

static void note(struct same *s, uint64_t key)
{
	struct noted *at = find(s, key);

	if (!at->key && s->used >= s->room / 4 * 3) {
		grow(s);
		at = find(s, key);
	}
	s->used += !at->key;
	*at = (struct noted){ key, (uint32_t)s->process + 1 };
}

/* Somebody else who was noted; 0: nobody. */
static uint32_t look_up(const struct same *s, uint64_t key)
{
	uint32_t holder = find(s, key)->holder;

	return holder == s->process + 1 ? 0 : holder;
}

/* --- by frame ---------------------------------------------------------------------------------- */

/* Of memory that is the process' own and that somebody else has too. */
static bool is_shared(uint64_t entry)
{
	return entry & PM_PRESENT && !(entry & (PM_FILE | PM_EXCLUSIVE));
}

static bool is_frame(uint64_t entry)
{
	return is_shared(entry) && entry & PM_FRAME;
}

static bool is_same_frame(uint64_t a, uint64_t b)
{
	return is_frame(a) && b & PM_PRESENT && !((a ^ b) & PM_FRAME);
}

static bool is_holder(uint32_t h)
{
	return h != SAME_ALONE && h != SAME_SHARED && h != SAME_MAYBE;
}

/* Reads [first, last] of the window once more, from this pagemap; whoever has other frames there than the
 * process that is looked at has other pages. */
static int compare_frames(struct same *s, int fd, size_t first, size_t last, uint32_t holder,
			  struct error *e)
{
	struct pagemap p = { .fd = fd };
	int n = pagemap_read(&p, s->start + first * PAGE, last - first + 1, s->others, e);

	for (size_t i = first; n >= 0 && i <= last; i++) {
		if (holder ? s->holders[i] != holder : !is_holder(s->holders[i]))
			continue;
		if (i - first >= (size_t)n || !is_same_frame(s->entries[i], s->others[i - first]))
			s->holders[i] = SAME_SHARED;
		else if (holder)
			s->holders[i] |= VERIFIED;
	}
	return n;
}

/* Each holder is read once, however many pages of its there are. */
static int verify(struct same *s, struct error *e)
{
	size_t first = WINDOW, last = 0;

	for (size_t i = 0; i < s->n; i++) {
		uint32_t holder = s->holders[i];
		size_t end = i;
		int rc;

		if (!is_holder(holder))
			continue;
		first = i < first ? i : first;
		last = i;
		if (holder & VERIFIED)
			continue;
		for (size_t k = i; k < s->n; k++)
			end = s->holders[k] == holder ? k : end;
		rc = open_holder(s, s->pagemaps, holder, "pagemap", e);
		if (rc >= 0)
			rc = compare_frames(s, rc, i, end, holder, e);
		if (rc < 0)
			return rc;
	}
	return first > last ? 0 : compare_frames(s, s->pagemap.fd, first, last, 0, e);
}

static int look_at_window(struct same *s, uint64_t start, uint64_t limit, struct error *e)
{
	uint64_t n = (limit - start) / PAGE;
	bool any = false;
	int rc;

	s->start = start;
	s->n = n < WINDOW ? n : WINDOW;
	rc = pagemap_read(&s->pagemap, start, s->n, s->entries, e);
	if (rc < 0)
		return rc;
	memset(s->entries + rc, 0, (s->n - (size_t)rc) * sizeof(*s->entries));
	for (size_t i = 0; i < s->n; i++) {
		uint64_t entry = s->entries[i];

		s->by_content = s->by_content || (is_shared(entry) && !is_frame(entry));
		s->holders[i] = is_frame(entry) ? look_up(s, entry & PM_FRAME) : SAME_ALONE;
		any = any || s->holders[i];
		if (is_shared(entry) && !s->holders[i])
			s->holders[i] = SAME_SHARED;
	}
	for (size_t i = 0; i < s->n && s->by_content; i++)
		s->holders[i] = is_shared(s->entries[i]) ? SAME_MAYBE : SAME_ALONE;
	return any && !s->by_content ? verify(s, e) : 0;
}

int64_t same_holder(struct same *s, uint64_t start, uint64_t end, uint64_t limit, uint64_t *stop,
		    struct error *e)
{
	size_t first, i;

	if (start < s->start || start >= s->start + s->n * PAGE) {
		int rc = look_at_window(s, start, limit, e);

		if (rc < 0)
			return rc;
	}
	first = i = (start - s->start) / PAGE;
	for (; i < s->n && s->start + i * PAGE < end && s->holders[i] == s->holders[first]; i++)
		if (s->holders[i] == SAME_SHARED)
			note(s, s->entries[i] & PM_FRAME);
	*stop = s->start + i * PAGE;
	return s->holders[first] & ~VERIFIED;
}

/* --- by content -------------------------------------------------------------------------------- */

static uint64_t checksum(uint64_t at, const char *page)
{
	uint64_t sum = XXH3_64bits_withSeed(page, PAGE, at);

	return sum ? sum : 1;
}

/* Pages of one holder, which are to be compared with those of its memory. Neighbours are read by one call. */
static int compare_with(struct same *s, uint32_t holder, const uint64_t *at, const char *pages,
			size_t n, uint32_t *holders, struct error *e)
{
	int rc = open_holder(s, s->mems, holder, "mem", e);
	struct memory m = memory_of(s->d, process_of(s, holder), rc);

	for (size_t i = 0, end; i < n && rc >= 0; i = end) {
		struct iovec run = { (void *)(uintptr_t)at[i], 0 };

		for (end = i;
		     end < n && holders[end] == holder && at[end] == at[i] + (end - i) * PAGE;
		     end++)
			run.iov_len += PAGE;
		end += end == i;
		if (!run.iov_len)
			continue;
		rc = memory_read_shared(&m, &run, s->pages, e);
		for (size_t k = i; k < end && rc >= 0; k++)
			holders[k] = memcmp(pages + k * PAGE, s->pages + (k - i) * PAGE, PAGE)
					     ? 0
					     : holder | VERIFIED;
	}
	return rc < 0 ? rc : 0;
}

int same_compare(struct same *s, const uint64_t *at, const char *pages, size_t n, uint32_t *holders,
		 struct error *e)
{
	uint64_t sums[SAME_MOST];

	for (size_t i = 0; i < n; i++) {
		sums[i] = at[i] ? checksum(at[i], pages + i * PAGE) : 0;
		holders[i] = at[i] ? look_up(s, sums[i]) : 0;
	}
	for (size_t i = 0; i < n; i++) {
		int rc = 0;

		if (holders[i] && !(holders[i] & VERIFIED))
			rc = compare_with(s, holders[i], at, pages, n, holders, e);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < n; i++) {
		holders[i] &= ~VERIFIED;
		if (at[i] && !holders[i])
			note(s, sums[i]);
	}
	return 0;
}

/* --- places ------------------------------------------------------------------------------------ */

/* The first extent that ends behind `at`. */
static const struct page_extent *extent_at(const struct page_list *l, uint64_t at)
{
	size_t low = 0, high = l->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->list.v[mid].start + l->list.v[mid].length <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < l->list.n ? &l->list.v[low] : NULL;
}

/* The process whose memory that of p came from. */
static const struct dump_process *above_of(const struct dump_process *p)
{
	return p->parent ? p->parent->memory : NULL;
}

/* PAGES_DATA or PAGES_ZERO. */
static struct same_piece resolve(const struct dump_process *p, uint64_t at, uint64_t length)
{
	for (;;) {
		const struct page_extent *x = extent_at(&p->pages, at);
		uint64_t left;

		if (!x || x->start >= at + length)
			return (struct same_piece){ .length = length, .sort = PAGES_ZERO };
		if (x->start > at)
			return (struct same_piece){ .length = x->start - at, .sort = PAGES_ZERO };
		left = x->start + x->length - at;
		length = left < length ? left : length;
		if (x->sort != PAGES_SAME)
			return (struct same_piece){ .length = length,
						    .sort = x->sort,
						    .store = x->store,
						    .offset = x->offset + at - x->start };
		p = above_of(p);
	}
}

struct same_piece same_place(const struct same *s, const struct dump_process *p, uint32_t holder,
			     uint64_t at, uint64_t length)
{
	struct same_piece piece = resolve(process_of(s, holder), at, length), above;

	if (piece.sort != PAGES_DATA || !above_of(p))
		return piece;
	above = resolve(above_of(p), at, piece.length);
	piece.length = above.length;
	if (above.sort == PAGES_DATA && above.store == piece.store && above.offset == piece.offset)
		piece.sort = PAGES_SAME;
	return piece;
}
