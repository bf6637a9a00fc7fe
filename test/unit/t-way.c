/* SPDX-License-Identifier: MIT */
/* The way back of a thread that nobody traces any more: run here, with registers that are no program's. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/remote.h"
#include "tap.h"

#define N 17 /* rax rbx rcx rdx rsi rdi rbp r8-r15 rsp flags */
#define CARRY 0x1u
#define DIRECTION 0x400u
#define TRAP 0x100u

uint64_t way_seen[N], way_kept;
void way_run(const void *way);
extern const char way_landed[];

asm(".text\n"
    ".globl way_run\n way_run:\n"
    "push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, way_kept(%rip)\n"
    "jmp *%rdi\n"
    "syscall\n"
    ".globl way_landed\n way_landed:\n"
    "mov %rax, way_seen+0(%rip)\n mov %rbx, way_seen+8(%rip)\n mov %rcx, way_seen+16(%rip)\n"
    "mov %rdx, way_seen+24(%rip)\n mov %rsi, way_seen+32(%rip)\n mov %rdi, way_seen+40(%rip)\n"
    "mov %rbp, way_seen+48(%rip)\n mov %r8, way_seen+56(%rip)\n mov %r9, way_seen+64(%rip)\n"
    "mov %r10, way_seen+72(%rip)\n mov %r11, way_seen+80(%rip)\n mov %r12, way_seen+88(%rip)\n"
    "mov %r13, way_seen+96(%rip)\n mov %r14, way_seen+104(%rip)\n mov %r15, way_seen+112(%rip)\n"
    "mov %rsp, way_seen+120(%rip)\n"
    "mov way_kept(%rip), %rsp\n"
    "pushfq\n popq way_seen+128(%rip)\n cld\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n");

/* No two are alike, and the stack pointer leads nowhere. */
static struct user_regs_struct strange(void)
{
	return (struct user_regs_struct){
		.rax = 0x1010101010101010,
		.rbx = 0x2020202020202020,
		.rcx = 0x3030303030303030,
		.rdx = 0x4040404040404040,
		.rsi = 0x5050505050505050,
		.rdi = 0x6060606060606060,
		.rbp = 0x7070707070707070,
		.r8 = 0x8080808080808080,
		.r9 = 0x9090909090909090,
		.r10 = 0xa0a0a0a0a0a0a0a0,
		.r11 = 0xb0b0b0b0b0b0b0b0,
		.r12 = 0xc0c0c0c0c0c0c0c0,
		.r13 = 0xd0d0d0d0d0d0d0d0,
		.r14 = 0xe0e0e0e0e0e0e0e0,
		.r15 = 0xf0f0f0f0f0f0f0f0,
		.rsp = 0x0000111122223333,
		.eflags = 0x202 | CARRY | DIRECTION | TRAP,
		.orig_rax = ~0ull,
		.rip = (uintptr_t)way_landed,
	};
}

/* The kernel's own width of a mask. Gives the mask that was there behind the way. */
static uint64_t run(const struct user_regs_struct *r, uint64_t mask)
{
	uint8_t *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t before, after;

	CU_ASSERT_FATAL(at != MAP_FAILED);
	arch_way_write(at, (uintptr_t)at, (const uint64_t *)r, sizeof(*r) / 8, mask);
	CU_ASSERT_FATAL(mprotect(at, 4096, PROT_READ | PROT_EXEC) == 0);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &before, sizeof(before));
	memset(way_seen, 0, sizeof(way_seen));
	way_run(at);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, &after, sizeof(before));
	munmap(at, 4096);
	return after;
}

static void everything_is_back(void)
{
	const struct user_regs_struct r = strange();
	const uint64_t want[N] = {
		r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8,
		r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rsp,
	};
	const uint64_t mask = 1ull << (SIGUSR1 - 1) | 1ull << 40;

	CU_ASSERT_EQUAL(run(&r, mask), mask);
	for (unsigned int i = 0; i < N - 1; i++)
		CU_ASSERT_EQUAL(way_seen[i], want[i]);
	CU_ASSERT_EQUAL(way_seen[N - 1] & (CARRY | DIRECTION | TRAP), CARRY | DIRECTION);
}

/* What a thread gets that was stopped in this call, with this for its result. */
static int64_t result_of(long call, int64_t result)
{
	struct user_regs_struct r = strange();

	r.orig_rax = (uint64_t)call;
	r.rax = (uint64_t)result;
	(void)run(&r, 0);
	return (int64_t)way_seen[0];
}

static void calls_are_made_again(void)
{
	for (int64_t code = 512; code <= 514; code++)
		CU_ASSERT_EQUAL(result_of(SYS_getpid, -code), getpid());
	/* Of which the kernel knows nothing here: EINTR. */
	CU_ASSERT_EQUAL(result_of(SYS_getpid, -516), -4);
	CU_ASSERT_EQUAL(result_of(SYS_getpid, -4), -4);
	CU_ASSERT_EQUAL(result_of(SYS_getpid, 77), 77);
	CU_ASSERT_EQUAL(result_of(-1, -512), -512);
}

int main(void)
{
	CU_TestInfo way[] = {
		{ "registers, flags and mask are back, without a stack", everything_is_back },
		{ "an interrupted call is made again as by the kernel", calls_are_made_again },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "way back", NULL, NULL, NULL, NULL, way },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
