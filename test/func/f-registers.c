/* SPDX-License-Identifier: MIT */
/* A thread holds known values in every register and spins; each value is looked at afterwards. */
#include "subject.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIRECTION_FLAG 0x400ul

struct held {
	uint64_t gpr[15]; /* all but rsp */
	uint64_t flags;
	double x87[8];
	uint16_t x87_control;
	uint32_t mxcsr;
	uint64_t k[8];
	uint8_t vector[32][64] __attribute__((aligned(64)));
};

/* Reached from the assembly below. Width of the vectors: 16, 32 or 64 bytes. */
struct held held_in, held_out;
volatile int held_stop, held_running;
int held_width;
void hold_registers(void);

#define EACH_16(op)                                                                             \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15)
#define EACH_16_HIGH(op)                                                                           \
	op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28) \
		op(29) op(30) op(31)
#define EACH_8(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7)

#define LOAD_XMM(n) "movaps " #n "*64+VECTOR_AT+held_in(%rip), %xmm" #n "\n"
#define LOAD_YMM(n) "vmovaps " #n "*64+VECTOR_AT+held_in(%rip), %ymm" #n "\n"
#define LOAD_ZMM(n) "vmovaps " #n "*64+VECTOR_AT+held_in(%rip), %zmm" #n "\n"
#define LOAD_K(n) "kmovq " #n "*8+K_AT+held_in(%rip), %k" #n "\n"
#define LOAD_X87(n) "fldl " #n "*8+X87_AT+held_in(%rip)\n"
#define SAVE_XMM(n) "movaps %xmm" #n ", " #n "*64+VECTOR_AT+held_out(%rip)\n"
#define SAVE_YMM(n) "vmovaps %ymm" #n ", " #n "*64+VECTOR_AT+held_out(%rip)\n"
#define SAVE_ZMM(n) "vmovaps %zmm" #n ", " #n "*64+VECTOR_AT+held_out(%rip)\n"
#define SAVE_K(n) "kmovq %k" #n ", " #n "*8+K_AT+held_out(%rip)\n"
#define SAVE_X87(n) "fstpl (7-" #n ")*8+X87_AT+held_out(%rip)\n"
#define LOAD_GPR(n, r) "mov " #n "*8+held_in(%rip), %" #r "\n"
#define SAVE_GPR(n, r) "mov %" #r ", " #n "*8+held_out(%rip)\n"
#define EACH_GPR(op)                                                                           \
	op(0, rax) op(1, rbx) op(2, rcx) op(3, rdx) op(4, rsi) op(5, rdi) op(6, rbp) op(7, r8) \
		op(8, r9) op(9, r10) op(10, r11) op(11, r12) op(12, r13) op(13, r14) op(14, r15)

asm(".set X87_AT, 128\n"
    ".set CONTROL_AT, 192\n"
    ".set MXCSR_AT, 196\n"
    ".set K_AT, 200\n"
    ".set VECTOR_AT, 320\n"
    ".text\n"
    ".globl hold_registers\n"
    ".type hold_registers, @function\n"
    "hold_registers:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "fldcw CONTROL_AT+held_in(%rip)\n"
    "ldmxcsr MXCSR_AT+held_in(%rip)\n" EACH_8(
	    LOAD_X87) "cmpl $32, held_width(%rip)\n"
		      "je 2f\n"
		      "ja 3f\n" EACH_16(
			      LOAD_XMM) "jmp 4f\n"
					"2:\n" EACH_16(
						LOAD_YMM) "jmp 4f\n"
							  "3:\n" EACH_16(LOAD_ZMM) EACH_16_HIGH(LOAD_ZMM) EACH_8(LOAD_K) "4:\n" EACH_GPR(
								  LOAD_GPR) "std\n"
									    "movl $1, held_running(%rip)\n"
									    "5:\n"
									    "pause\n"
									    "cmpl $0, held_stop(%rip)\n"
									    "je 5b\n" EACH_GPR(
										    SAVE_GPR) "pushfq\n"
											      "popq 120+held_out(%rip)\n"
											      "cld\n"
											      "cmpl $32, held_width(%rip)\n"
											      "je 2f\n"
											      "ja 3f\n" EACH_16(
												      SAVE_XMM) "jmp 4f\n"
														"2:\n" EACH_16(
															SAVE_YMM) "vzeroupper\n"
																  "jmp 4f\n"
																  "3:\n" EACH_16(SAVE_ZMM) EACH_16_HIGH(
																	  SAVE_ZMM)
																	  EACH_8(SAVE_K) "vzeroupper\n"
																			 "4:\n" EACH_8(
																				 SAVE_X87) "fnstcw CONTROL_AT+held_out(%rip)\n"
																					   "stmxcsr MXCSR_AT+held_out(%rip)\n"
																					   "fninit\n"
																					   "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
																					   "ret\n"
																					   ".size hold_registers, .-hold_registers\n");

_Static_assert(__builtin_offsetof(struct held, flags) == 120, "asm");
_Static_assert(__builtin_offsetof(struct held, x87) == 128, "asm");
_Static_assert(__builtin_offsetof(struct held, x87_control) == 192, "asm");
_Static_assert(__builtin_offsetof(struct held, mxcsr) == 196, "asm");
_Static_assert(__builtin_offsetof(struct held, k) == 200, "asm");
_Static_assert(__builtin_offsetof(struct held, vector) == 320, "asm");

static pthread_t thread;

static int vector_width(void)
{
	__builtin_cpu_init();
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
		return 64;
	return __builtin_cpu_supports("avx") ? 32 : 16;
}

static void *hold(void *unused)
{
	(void)unused;
	hold_registers();
	return NULL;
}

static const char *prepare(void)
{
	held_width = vector_width();
	for (unsigned int i = 0; i < 15; i++)
		held_in.gpr[i] = 0x0123456789abcdeful * (i + 3);
	for (unsigned int i = 0; i < 8; i++) {
		held_in.x87[i] = 1.5 + i * 3.25;
		held_in.k[i] = 0xfedcba9876543210ul * (i + 5);
	}
	held_in.x87_control = 0x0e7f; /* extended precision off, rounding up, all masked */
	held_in.mxcsr = 0x7fa1;       /* rounding to zero, all masked, two sticky flags */
	for (unsigned int i = 0; i < 32; i++)
		for (unsigned int k = 0; k < 64; k++)
			held_in.vector[i][k] = (uint8_t)(i * 67 + k * 13 + 1);
	need(pthread_create(&thread, NULL, hold, NULL) == 0);
	while (!held_running)
		usleep(100);
	return NULL;
}

static const char *verify(void)
{
	unsigned int vectors = held_width == 64 ? 32 : 16;

	held_stop = 1;
	need(pthread_join(thread, NULL) == 0);
	for (unsigned int i = 0; i < 15; i++)
		if (held_in.gpr[i] != held_out.gpr[i])
			return wrong("register %u of 15 is %#lx, was %#lx", i, held_out.gpr[i],
				     held_in.gpr[i]);
	need(held_out.flags & DIRECTION_FLAG);
	need(memcmp(held_in.x87, held_out.x87, sizeof(held_in.x87)) == 0);
	need(held_in.x87_control == held_out.x87_control);
	need(held_in.mxcsr == held_out.mxcsr);
	if (held_width == 64)
		need(memcmp(held_in.k, held_out.k, sizeof(held_in.k)) == 0);
	for (unsigned int i = 0; i < vectors; i++)
		if (memcmp(held_in.vector[i], held_out.vector[i], (size_t)held_width) != 0)
			return wrong("vector register %u differs (width %d)", i, held_width);
	return NULL;
}

const struct subject subject = {
	.about = "every register of a running thread: general, flags, x87, SSE, AVX, AVX-512",
	.prepare = prepare,
	.verify = verify,
};
