/* SPDX-License-Identifier: MIT */
/* Pages with equal contents: whatever differs is told apart, and what is equal is found by all workers. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dump/equal.h"
#include "dump/fingerprint.h"
#include "tap.h"

#define PAGE 4096u
#define WORDS (PAGE / 8)

/* --- fingerprints ------------------------------------------------------------------------------ */

static void draw(struct fingerprint_key *k)
{
	struct error e;

	CU_ASSERT_EQUAL_FATAL(fingerprint_draw(k, &e), 0);
}

static bool is_equal(struct fingerprint a, struct fingerprint b)
{
	return a.word[0] == b.word[0] && a.word[1] == b.word[1];
}

static void every_bit_counts(void)
{
	struct fingerprint_key k;
	uint64_t page[WORDS] = { 0 };
	struct fingerprint zeros, other;
	size_t same = 0, half = 0;

	draw(&k);
	zeros = fingerprint_of(&k, page);
	CU_ASSERT(is_equal(zeros, fingerprint_of(&k, page)));
	for (size_t i = 0; i < PAGE * 8; i++) {
		page[i / 64] ^= 1ull << i % 64;
		other = fingerprint_of(&k, page);
		page[i / 64] ^= 1ull << i % 64;
		same += is_equal(zeros, other);
		half += other.word[0] == zeros.word[0] || other.word[1] == zeros.word[1];
	}
	CU_ASSERT_EQUAL(same, 0);
	CU_ASSERT_EQUAL(half, 0);
}

/* The places of words count, and pairs that would cancel out without a key do not. */
static void order_counts(void)
{
	struct fingerprint_key k;
	uint64_t page[WORDS], other[WORDS];

	draw(&k);
	for (size_t i = 0; i < WORDS; i++)
		page[i] = i * 0x9e3779b97f4a7c15ull;
	for (size_t i = 0; i < WORDS; i++) {
		size_t with = (i + 1 + i % 7) % WORDS;

		memcpy(other, page, PAGE);
		other[i] = page[with];
		other[with] = page[i];
		CU_ASSERT(!is_equal(fingerprint_of(&k, page), fingerprint_of(&k, other)));
		memcpy(other, page, PAGE);
		other[i] = 0;
		other[i ^ 1] = page[i];
		CU_ASSERT(!is_equal(fingerprint_of(&k, page), fingerprint_of(&k, other)));
		memcpy(other, page, PAGE);
		other[i]++;
		other[with]--;
		CU_ASSERT(!is_equal(fingerprint_of(&k, page), fingerprint_of(&k, other)));
	}
}

/* Whoever knows a key can make two pages of one fingerprint; under another key they differ. */
static void the_key_is_what_counts(void)
{
	struct fingerprint_key k, l;
	uint64_t page[WORDS] = { 0 }, other[WORDS] = { 0 };

	draw(&k);
	draw(&l);
	/* In both sums the second factors of pair 0 become 0 alike only by a key that was made so. */
	k.words[3] = k.words[1];
	page[1] = other[1] = -k.words[1];
	page[0] = 1;
	other[0] = 2;
	CU_ASSERT(is_equal(fingerprint_of(&k, page), fingerprint_of(&k, other)));
	CU_ASSERT(!is_equal(fingerprint_of(&l, page), fingerprint_of(&l, other)));
	CU_ASSERT(memcmp(&k, &l, sizeof(k)) != 0);
}

/* --- places ------------------------------------------------------------------------------------ */

static struct equal *make(size_t n)
{
	struct equal *q = NULL;
	struct error e;

	CU_ASSERT_EQUAL_FATAL(equal_new(&q, n, &e), 0);
	return q;
}

static void fill(uint64_t page[WORDS], uint64_t number)
{
	memset(page, 0, PAGE);
	page[number % WORDS] = number / WORDS + 1;
}

#define MANY 50000u

static void what_was_noted_is_found(void)
{
	struct equal_walk w = { .of = make(1) };
	uint64_t page[WORDS];
	size_t wrong = 0;

	for (uint64_t i = 0; i < MANY; i++) {
		uint32_t store = i % 16;
		uint64_t offset = i * PAGE;

		fill(page, i);
		wrong += equal_find(&w, page, &store, &offset) || store != i % 16 ||
			 offset != i * PAGE;
	}
	CU_ASSERT(wrong == 0 && w.bytes_left_out == 0);
	for (uint64_t i = 0; i < MANY; i++) {
		uint32_t store = 3;
		uint64_t offset = 7 * PAGE;

		fill(page, MANY - 1 - i);
		wrong += !equal_find(&w, page, &store, &offset) || store != (MANY - 1 - i) % 16 ||
			 offset != (MANY - 1 - i) * PAGE;
	}
	CU_ASSERT(wrong == 0 && w.bytes_left_out == (uint64_t)MANY * PAGE);
	equal_free(w.of);
}

static void without_it_nothing_is_equal(void)
{
	struct equal_walk w = { 0 };
	uint64_t page[WORDS] = { 0 }, offset = 0;
	uint32_t store = 0;

	CU_ASSERT(!equal_find(&w, page, &store, &offset));
	CU_ASSERT(!equal_find(&w, page, &store, &offset));
	CU_ASSERT(w.bytes_left_out == 0);
	equal_free(NULL);
}

/* Room for one piece. */
static void pieces_come_to_an_end(void)
{
	struct equal_walk w = { .of = make((size_t)1 << 23) };
	uint64_t page[WORDS], offset;
	uint32_t store = 0;

	for (uint64_t i = 0; i < 8; i++) {
		fill(page, i);
		offset = i * PAGE;
		CU_ASSERT(!equal_find(&w, page, &store, &offset));
	}
	/* 2, 3, 4 lie one behind the other: one piece. */
	for (uint64_t i = 2; i < 5; i++) {
		fill(page, i);
		offset = 100 * PAGE;
		CU_ASSERT(equal_find(&w, page, &store, &offset) && offset == i * PAGE);
	}
	/* 1 would be another: it is stored once more. */
	fill(page, 1);
	offset = 100 * PAGE;
	CU_ASSERT(!equal_find(&w, page, &store, &offset) && offset == 100 * PAGE);
	fill(page, 2);
	CU_ASSERT(!equal_find(&w, page, &store, &offset));
	CU_ASSERT_EQUAL(w.bytes_left_out, 3 * PAGE);
	equal_free(w.of);
}

#define THREADS 4u
#define SOME 20000u
struct worker {
	struct equal_walk walk;
	uint32_t number;
	uint64_t mine; /* pages that it was the first to note */
	uint64_t places[SOME];
};

static void *note_all(void *arg)
{
	struct worker *w = arg;
	uint64_t page[WORDS];

	for (uint64_t i = 0; i < SOME; i++) {
		uint64_t at = (i + w->number * (SOME / THREADS)) % SOME, offset = i * PAGE;
		uint32_t store = w->number;

		fill(page, at);
		w->mine += !equal_find(&w->walk, page, &store, &offset);
		w->places[at] = offset * 16 + store;
	}
	return NULL;
}

static void all_workers_agree(void)
{
	struct worker *w = mem_alloc(THREADS * sizeof(*w));
	struct equal *q = make(1);
	pthread_t threads[THREADS];
	uint64_t mine = 0, left_out = 0;
	size_t wrong = 0;

	for (uint32_t i = 0; i < THREADS; i++) {
		w[i].walk.of = q;
		w[i].number = i;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, note_all, &w[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		mine += w[i].mine;
		left_out += w[i].walk.bytes_left_out;
		wrong += memcmp(w[i].places, w[0].places, sizeof(w[0].places)) != 0;
	}
	CU_ASSERT(wrong == 0 && mine == SOME);
	CU_ASSERT(left_out == (uint64_t)(THREADS - 1) * SOME * PAGE);
	equal_free(q);
	free(w);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "every bit counts", every_bit_counts },
		{ "the order counts", order_counts },
		{ "the key is what counts", the_key_is_what_counts },
		{ "what was noted is found", what_was_noted_is_found },
		{ "without it nothing is equal", without_it_nothing_is_equal },
		{ "pieces come to an end", pieces_come_to_an_end },
		{ "all workers agree", all_workers_agree },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "equal pages", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
