/* SPDX-License-Identifier: MIT */
#include "arch/remote.h"

#include <cpuid.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "plan/plan.h"

/* struct user_regs_struct */
enum {
	R15,
	R14,
	R13,
	R12,
	RBP,
	RBX,
	R11,
	R10,
	R9,
	R8,
	RAX,
	RCX,
	RDX,
	RSI,
	RDI,
	ORIG_RAX,
	RIP,
	CS,
	EFLAGS,
	RSP,
};

#define CALM_FLAGS 0x202 /* IF and the bit that is always set: neither direction nor trap */

const int arch_xstate_regset = NT_X86_XSTATE;
const size_t arch_breakpoints_at = offsetof(struct user, u_debugreg[7]);
const int arch_ports_regset = NT_386_IOPERM;

/* modify_ldt(0, ...) reads: the size of what is there. */
uint32_t arch_ask_segments(struct plan *batch)
{
	return plan_call_any(batch, SYS_modify_ldt, arg_num(0), arg_data(plan_data(batch, NULL, 8)),
			     arg_num(8));
}
const uint8_t arch_call_bytes[] = { 0x0f, 0x05 };
const size_t arch_call_size = sizeof(arch_call_bytes);

uint64_t arch_call_place(const uint64_t *regs)
{
	return (int64_t)regs[ORIG_RAX] >= 0 ? regs[RIP] - arch_call_size : 0;
}

void arch_set_call(uint64_t *regs, uint64_t place, long nr, const uint64_t args[6])
{
	static const int where[6] = { RDI, RSI, RDX, R10, R8, R9 };

	for (int i = 0; i < 6; i++)
		regs[where[i]] = args[i];
	regs[RAX] = (uint64_t)nr;
	regs[ORIG_RAX] = (uint64_t)-1;
	regs[RIP] = place;
	regs[EFLAGS] = CALM_FLAGS;
}

int64_t arch_call_result(const uint64_t *regs)
{
	return (int64_t)regs[RAX];
}

/* rax..r9: the call of mmap; rbp: source; rbx: plan; r12: interpreter; r13, r14, r15: process,
 * thread, signal. The kernel changes only rax, rcx and r11. */
const uint8_t arch_stub_bytes[] = {
	0x0f, 0x05,                   /*     syscall               mmap */
	0x48, 0x85, 0xc0,             /*     test %rax, %rax */
	0x78, 0x13,                   /*     js   1f */
	0x48, 0x89, 0xf1,             /*     mov  %rsi, %rcx       the length */
	0x48, 0x89, 0xee,             /*     mov  %rbp, %rsi */
	0x48, 0x89, 0xc7,             /*     mov  %rax, %rdi */
	0xf3, 0xa4,                   /*     rep movsb */
	0x48, 0x89, 0xdf,             /* 0:  mov  %rbx, %rdi */
	0x41, 0xff, 0xd4,             /*     call *%r12 */
	0x31, 0xed,                   /*     xor  %ebp, %ebp       it has been run */
	0x4c, 0x89, 0xef,             /* 1:  mov  %r13, %rdi */
	0x4c, 0x89, 0xf6,             /*     mov  %r14, %rsi */
	0x4c, 0x89, 0xfa,             /*     mov  %r15, %rdx */
	0xb8, 0xea, 0x00, 0x00, 0x00, /* mov $234, %eax      tgkill */
	0x0f, 0x05,                   /*     syscall */
	0xeb, 0xfe,                   /* 2:  jmp  2b */
};
const size_t arch_stub_size = sizeof(arch_stub_bytes);
#define STUB_RUN 18
#define STUB_DONE (sizeof(arch_stub_bytes) - 2)
_Static_assert(SYS_tgkill == 234, "in the stub");

void arch_set_stub(uint64_t *regs, const struct arch_stub *s)
{
	const uint64_t args[6] = { s->area,
				   s->size,
				   PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				   (uint64_t)-1,
				   0 };

	arch_set_call(regs, s->at + (s->map ? 0 : STUB_RUN), SYS_mmap, args);
	regs[RBP] = s->source;
	regs[RBX] = s->plan;
	regs[R12] = s->run;
	regs[R13] = (uint64_t)s->process;
	regs[R14] = (uint64_t)s->thread;
	regs[R15] = (uint64_t)s->signal;
	regs[RSP] = s->stack;
}

bool arch_stub_is_done(const uint64_t *regs, uint64_t at)
{
	return regs[RIP] == at + STUB_DONE;
}

bool arch_stub_has_run(const uint64_t *regs)
{
	return regs[RBP] == 0;
}

void arch_cpu_model(char out[64])
{
	uint32_t words[12] = { 0 };
	const char *text = (const char *)words;

	for (unsigned int i = 0; i < 3; i++)
		__cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2],
			words[4 * i + 3]);
	while (*text == ' ')
		text++;
	memset(out, 0, 64);
	memcpy(out, text, strnlen(text, (size_t)((const char *)(words + 12) - text)));
}
