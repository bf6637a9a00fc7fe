/* SPDX-License-Identifier: MIT */
/*
 * Memory. Running out of it ends the program with a sentence and status 1: at any moment cr may be
 * killed without harm (the holder rolls a dump back, the tree of a restore dies with cr), so there
 * is no other way out to keep alive. Sizes that come from an image are checked before they get
 * here.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

_Noreturn void mem_exhausted(void); /* what all of them do when there is none left */
void *mem_alloc(size_t n);          /* zeroed, never NULL */
/* The same, but NULL: for the holder while a thread of the subject is not as it was. */
void *mem_try(size_t n);
void *mem_realloc(void *p, size_t n);
void mem_free_cleanup(void *pp);
/*
 * Makes the program itself, its stack and n bytes of heap present, each in one call: page faults, one by
 * one, take more of a short run than all its system calls together. In a child once more, since a fork
 * makes copies of all that is written. What is freed stays with the program from then on.
 */
void mem_warm(size_t heap);
/*
 * A child that is made while this is so has no heap and no stack: it must begin on a stack of its own, in code
 * that needs neither libc nor what the program has written. Saves the kernel the copy of their page tables, and
 * the program that of each page it writes while the child lives.
 */
void mem_hold_back(bool held);
/* Makes n bytes at p present in one call, if they are many. */
void mem_populate(void *p, size_t n);
#define auto_free __attribute__((cleanup(mem_free_cleanup)))

/* Things that live as long as one operation, freed together. */
struct arena {
	struct arena_block *blocks;
	bool is_cold; /* mem_warm has not been where its blocks will lie: each is made present at once */
};
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t n); /* zeroed, 16-byte aligned */
void *arena_copy(struct arena *a, const void *p, size_t n);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
/* All that lies in `from` lives on in `a`; pointers hold. */
void arena_take(struct arena *a, struct arena *from);
char *arena_printf(struct arena *a, const char *fmt, ...) format_printf(2, 3);

/* A growing run of bytes. Zero-initialised is empty. */
struct buf {
	char *p;
	size_t len, room;
};
void buf_free(struct buf *b);
void *buf_grow(struct buf *b, size_t n); /* n more bytes at the end, not initialised */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) format_printf(2, 3);
void buf_cleanup(struct buf *b);
#define auto_buf __attribute__((cleanup(buf_cleanup))) struct buf

/* A growing array: struct { T *v; size_t n, room; }, zero-initialised is empty. vec_add gives the
 * new element, zeroed; pointers into the array hold until the next vec_add. */
#define vec(T)                  \
	struct {                \
		T *v;           \
		size_t n, room; \
	}
#define vec_add(a) \
	((a)->v = vec_reserve((a)->v, (a)->n, &(a)->room, sizeof(*(a)->v)), &(a)->v[(a)->n++])
#define vec_free(a)                        \
	do {                               \
		mem_free_cleanup(&(a)->v); \
		(a)->v = NULL;             \
		(a)->n = (a)->room = 0;    \
	} while (0)
/* Not `it < v + n`: an empty one has no v, and to add even 0 to NULL is undefined. */
#define vec_each(it, a) for (__typeof__(*(a)->v) *it = (a)->v; (size_t)(it - (a)->v) < (a)->n; it++)
void *vec_reserve(void *v, size_t n, size_t *room, size_t size);

#endif
