/* SPDX-License-Identifier: MIT */
/* What a program without a libc has: a first instruction, system calls, and two functions for the compiler. */
#ifndef BARE_H
#define BARE_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call begin\n"
	"	ud2\n");

/* stack: argc, argv, environment and auxiliary vector, as the kernel puts them there. */
__attribute__((noreturn)) void begin(uint64_t *stack);

/* A compiler may call these two, and the restorer's own are hidden: no clash. */
void *memset(void *to, int byte, size_t n);
void *memcpy(void *to, const void *from, size_t n);

void *memset(void *to, int byte, size_t n)
{
	volatile unsigned char *t = to;

	while (n--)
		*t++ = (unsigned char)byte;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	volatile unsigned char *t = to;
	const unsigned char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

static int64_t call(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	register uint64_t r10 __asm__("r10") = a3;
	int64_t result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((noreturn)) static void bare_exit(int status)
{
	for (;;)
		call(__NR_exit_group, (uint64_t)status, 0, 0, 0);
}

/* The word up to its end. */
static size_t bare_length(const char *word)
{
	size_t n = 0;

	while (word[n]) {
		n++;
		__asm__ volatile(""); /* not to become strlen */
	}
	return n;
}

/* Decimal digits of a number, with its sign; gives their count. `to`: 21 bytes. */
static size_t bare_decimal(char *to, int64_t value)
{
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char digits[20];
	size_t n = 0, d = 0;

	if (value < 0)
		to[n++] = '-';
	do
		digits[d++] = (char)('0' + left % 10);
	while (left /= 10);
	while (d)
		to[n++] = digits[--d];
	return n;
}

#endif
