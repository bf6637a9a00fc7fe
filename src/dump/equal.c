/* SPDX-License-Identifier: MIT */
#include "dump/equal.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "dump/fingerprint.h"
#include "image/image.h"

#define PAGE FINGERPRINT_PAGE
#define SHARDS 64u                /* so that workers seldom wait for each other */
#define ROOM 64u                  /* of a new table */
#define PIECES ((int64_t)1 << 23) /* a restore holds 2^24 */

struct entry {
	struct fingerprint print;
	uint64_t place; /* 0: free */
};
/* Open addressing; room is a power of two. */
struct shard {
	pthread_mutex_t lock;
	struct entry *table;
	size_t room, used;
};
struct equal {
	struct fingerprint_key key;
	int64_t pieces; /* that there may be still */
	struct shard shards[SHARDS];
};

int equal_new(struct equal **out, size_t n, struct error *e)
{
	struct equal *q = mem_alloc(sizeof(*q));
	int rc = fingerprint_draw(&q->key, e);

	if (rc < 0) {
		free(q);
		return rc;
	}
	q->pieces = PIECES / (int64_t)(n ? n : 1);
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &q->shards[i];

		pthread_mutex_init(&s->lock, NULL);
		s->room = ROOM;
		s->table = mem_alloc(s->room * sizeof(*s->table));
	}
	*out = q;
	return 0;
}

void equal_free(struct equal *q)
{
	for (size_t i = 0; q && i < SHARDS; i++) {
		pthread_mutex_destroy(&q->shards[i].lock);
		free(q->shards[i].table);
	}
	free(q);
}

/* --- places ------------------------------------------------------------------------------------ */

/* Pages of one store that lie one behind the other are IMAGE_STORES apart. */
static uint64_t place_of(uint32_t store, uint64_t offset)
{
	return offset / PAGE * IMAGE_STORES + store + 1;
}

static uint32_t store_of(uint64_t place)
{
	return (uint32_t)((place - 1) % IMAGE_STORES);
}

static uint64_t offset_of(uint64_t place)
{
	return (place - 1) / IMAGE_STORES * PAGE;
}

/* --- the tables -------------------------------------------------------------------------------- */

/* Where it is, or would be. The words of a fingerprint are as good as random. */
static struct entry *find(const struct shard *s, struct fingerprint f)
{
	size_t i = f.word[0] & (s->room - 1);

	while (s->table[i].place &&
	       (s->table[i].print.word[0] != f.word[0] || s->table[i].print.word[1] != f.word[1]))
		i = (i + 1) & (s->room - 1);
	return &s->table[i];
}

static void grow(struct shard *s)
{
	struct entry *old = s->table;
	size_t n = s->room;

	s->room *= 2;
	s->table = mem_alloc(s->room * sizeof(*s->table));
	for (size_t i = 0; i < n; i++)
		if (old[i].place)
			*find(s, old[i].print) = old[i];
	free(old);
}

/* The place that was noted before, or 0. */
static uint64_t look_up_or_note(struct equal *q, struct fingerprint f, uint64_t place)
{
	struct shard *s = &q->shards[f.word[1] % SHARDS];
	struct entry *at;
	uint64_t known;

	pthread_mutex_lock(&s->lock);
	if (s->used >= s->room / 4 * 3)
		grow(s);
	at = find(s, f);
	known = at->place;
	if (!known) {
		*at = (struct entry){ f, place };
		s->used++;
	}
	pthread_mutex_unlock(&s->lock);
	return known;
}

/* One for the page itself, and one for what comes behind it. */
static bool may_split(struct equal *q)
{
	return __atomic_load_n(&q->pieces, __ATOMIC_RELAXED) > 0 &&
	       __atomic_fetch_sub(&q->pieces, 2, __ATOMIC_RELAXED) > 0;
}

bool equal_find(struct equal_walk *w, const void *page, uint32_t *store, uint64_t *offset)
{
	uint64_t place, known;

	if (!w->of)
		return false;
	place = place_of(*store, *offset);
	known = look_up_or_note(w->of, fingerprint_of(&w->of->key, page), place);
	if (known && known != w->next && !may_split(w->of))
		known = 0;
	w->next = (known ? known : place) + IMAGE_STORES;
	if (!known)
		return false;
	w->bytes_left_out += PAGE;
	*store = store_of(known);
	*offset = offset_of(known);
	return true;
}
