/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define POPULATE_LEAST (32ul * 1024)
#define STACK_DEPTH (48ul * 1024) /* the kernel maps 128 KiB of it at the start */
#define STACK_ABOVE (16ul * 1024) /* of frames; environment and arguments may lie higher */

/* From the linker; whatever is not there is at 0. */
extern const char __executable_start[] __attribute__((weak));
extern const char __data_start[] __attribute__((weak));
extern const char __bss_start[] __attribute__((weak));
extern const char _end[] __attribute__((weak));

/* One arena block holds many small things; a thing over a quarter of it gets a block of its own. */
#define BLOCK_SIZE ((size_t)64 * 1024 - 64)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	_Alignas(16) char data[];
};

void mem_exhausted(void)
{
	static const char text[] = "cr: out of memory\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)n; /* there is nobody left to tell */
	_exit(1);
}

static size_t add(size_t a, size_t b)
{
	size_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		mem_exhausted();
	return sum;
}

void *mem_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		mem_exhausted();
	return p;
}

void *mem_try(size_t n)
{
	return calloc(1, n ? n : 1);
}

void *mem_realloc(void *p, size_t n)
{
	void *q = realloc(p, n ? n : 1);

	if (!q)
		mem_exhausted();
	return q;
}

void mem_free_cleanup(void *pp)
{
	void *p;

	memcpy(&p, pp, sizeof(p));
	free(p);
}

static void populate(uintptr_t start, uintptr_t end, int how)
{
	start &= ~(PAGE - 1);
	if (end > start)
		(void)madvise((void *)start, end - start, how);
}

void mem_populate(void *p, size_t n)
{
	uintptr_t start = ((uintptr_t)p + PAGE - 1) & ~(PAGE - 1),
		  end = ((uintptr_t)p + n) & ~(PAGE - 1);

	if (n >= POPULATE_LEAST && end > start)
		populate(start, end, MADV_POPULATE_WRITE);
}

/* A block that comes and goes leaves its pages on the heap, where the next ones find them. */
static void warm_heap(size_t n)
{
	void *p = malloc(n);

	if (p)
		populate((uintptr_t)p + PAGE, (uintptr_t)p + n, MADV_POPULATE_WRITE);
	free(p);
}

/* Buffers come and go; giving them back to the kernel each time costs page faults. */
static void keep_freed(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_TOP_PAD, 256 << 10);
	(void)mallopt(M_MMAP_THRESHOLD, 2 << 20);
}

void mem_warm(size_t heap)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (__executable_start)
		populate((uintptr_t)__executable_start, (uintptr_t)_end, MADV_POPULATE_READ);
	if (__data_start)
		populate((uintptr_t)__data_start, (uintptr_t)_end, MADV_POPULATE_WRITE);
	populate(here - STACK_DEPTH, here, MADV_POPULATE_WRITE);
	keep_freed();
	if (heap)
		warm_heap(heap);
}

void mem_hold_back(bool held)
{
	int how = held ? MADV_DONTFORK : MADV_DOFORK;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(PAGE - 1);

	/* What is free between is skipped; the answer is ENOMEM then. */
	if (__bss_start)
		(void)madvise((void *)(((uintptr_t)__bss_start + PAGE - 1) & ~(PAGE - 1)),
			      (uintptr_t)sbrk(0) - (uintptr_t)__bss_start, how);
	(void)madvise((void *)(here - STACK_DEPTH), STACK_DEPTH + STACK_ABOVE, how);
}

void arena_free(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->blocks; b; b = next) {
		next = b->next;
		free(b);
	}
	a->blocks = NULL;
}

void arena_take(struct arena *a, struct arena *from)
{
	struct arena_block **end = &a->blocks;

	while (*end)
		end = &(*end)->next;
	*end = from->blocks;
	from->blocks = NULL;
}

static struct arena_block *block_new(size_t size)
{
	struct arena_block *b = mem_realloc(NULL, add(sizeof(*b), size));

	*b = (struct arena_block){ .size = size };
	return b;
}

/* Not zeroed. */
static void *take(struct arena *a, size_t size)
{
	struct arena_block *b = a->blocks;

	if (b && b->size - b->used >= size) {
		b->used += size;
		return b->data + b->used - size;
	}
	if (b && size > BLOCK_SIZE / 4) { /* behind the first, which may have space left */
		struct arena_block *own = block_new(size);

		own->used = size;
		own->next = b->next;
		b->next = own;
		return own->data;
	}
	b = block_new(size > BLOCK_SIZE ? size : BLOCK_SIZE);
	if (a->is_cold || (a->blocks && a->blocks->next)) /* the first two lie where it is warm */
		mem_populate(b, size > BLOCK_SIZE ? size : BLOCK_SIZE);
	b->used = size;
	b->next = a->blocks;
	a->blocks = b;
	return b->data;
}

/* Only what is taken is touched: each new page of memory is a page fault. */
void *arena_alloc(struct arena *a, size_t n)
{
	size_t size = add(n ? n : 1, 15) & ~(size_t)15;

	return memset(take(a, size), 0, size);
}

void *arena_copy(struct arena *a, const void *p, size_t n)
{
	void *q = arena_alloc(a, n);

	if (n > 0)
		memcpy(q, p, n);
	return q;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *q = arena_alloc(a, add(len, 1));

	memcpy(q, s, len);
	return q;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_copy(a, s, strlen(s) + 1);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *q;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted();
	q = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(q, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return q;
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

void buf_cleanup(struct buf *b)
{
	buf_free(b);
}

void *buf_grow(struct buf *b, size_t n)
{
	size_t end = add(b->len, n), need = add(end, 1);
	char *p;

	if (need > b->room) {
		size_t room = b->room < 256 ? 256 : add(b->room, b->room);

		b->room = room > need ? room : need;
		b->p = mem_realloc(b->p, b->room);
	}
	p = b->p + b->len;
	b->len = end;
	b->p[end] = '\0';
	return p;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	void *q = buf_grow(b, n);

	if (n > 0)
		memcpy(q, p, n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *q;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted();
	q = buf_grow(b, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(q, (size_t)n + 1, fmt, ap);
	va_end(ap);
}

void *vec_reserve(void *v, size_t n, size_t *room, size_t size)
{
	size_t bytes;

	if (n >= *room) {
		*room = n < 8 ? 8 : add(n, n);
		if (__builtin_mul_overflow(*room, size, &bytes))
			mem_exhausted();
		v = mem_realloc(v, bytes);
	}
	memset((char *)v + n * size, 0, size);
	return v;
}
