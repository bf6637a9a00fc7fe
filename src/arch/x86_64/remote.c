/* SPDX-License-Identifier: MIT */
#include "arch/remote.h"

#include <assert.h>
#include <cpuid.h>
#include <elf.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "arch/arch.h"
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

#define PLAN_STACK_TOP 40
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

/*
 * rbp: source; rbx: the way back; r8: plan; r9: size of what is to be mapped behind the source and
 * filled with it, 0: nothing; r12: interpreter; r13, r14, r15: process, thread, signal. The kernel
 * changes only rax, rcx and r11. Until its signals are blocked a thread keeps its own stack pointer, and
 * it has that again when it sends the last one: a handler may come there if nobody traces it any more.
 */
/* clang-format off */
static const uint8_t stub_bytes[] = {
	0xb8, 0x0e, 0x00, 0x00, 0x00,             /*     mov  $14, %eax       rt_sigprocmask */
	0xbf, 0x02, 0x00, 0x00, 0x00,             /*     mov  $2, %edi        SIG_SETMASK */
	0x48, 0x8d, 0x35, 0x67, 0x00, 0x00, 0x00, /*     lea  mask(%rip), %rsi */
	0x31, 0xd2,                               /*     xor  %edx, %edx */
	0x41, 0xba, 0x08, 0x00, 0x00, 0x00,       /*     mov  $8, %r10d */
	0x0f, 0x05,                               /*     syscall */
	0x4d, 0x85, 0xc9,                         /*     test %r9, %r9 */
	0x74, 0x2a,                               /*     jz   0f */
	0x4a, 0x8d, 0x7c, 0x0d, 0x00,             /*     lea  (%rbp, %r9), %rdi */
	0x4c, 0x89, 0xce,                         /*     mov  %r9, %rsi */
	0xba, 0x03, 0x00, 0x00, 0x00,             /*     mov  $3, %edx        PROT_READ | PROT_WRITE */
	0x41, 0xba, 0x32, 0x00, 0x00, 0x00,       /*     mov  $0x32, %r10d    private, anonymous, fixed */
	0xb8, 0x09, 0x00, 0x00, 0x00,             /*     mov  $9, %eax        mmap; r8, r9 are ignored */
	0x0f, 0x05,                               /*     syscall */
	0x48, 0x85, 0xc0,                         /*     test %rax, %rax */
	0x78, 0x1a,                               /*     js   1f */
	0x4c, 0x89, 0xc9,                         /*     mov  %r9, %rcx */
	0x48, 0x89, 0xee,                         /*     mov  %rbp, %rsi */
	0x48, 0x89, 0xc7,                         /*     mov  %rax, %rdi */
	0xf3, 0xa4,                               /*     rep movsb */
	0x4c, 0x89, 0xc4,                         /* 0:  mov  %r8, %rsp */
	0x49, 0x03, 0x60, PLAN_STACK_TOP,         /*     add  stack_top(%r8), %rsp */
	0x4c, 0x89, 0xc7,                         /*     mov  %r8, %rdi */
	0x41, 0xff, 0xd4,                         /*     call *%r12 */
	0x31, 0xed,                               /*     xor  %ebp, %ebp      it has been run */
	0x48, 0x8b, 0xa3, 0x38, 0x01, 0x00, 0x00, /* 1:  mov  WAY_SP(%rbx), %rsp */
	0x4c, 0x89, 0xef,                         /*     mov  %r13, %rdi */
	0x4c, 0x89, 0xf6,                         /*     mov  %r14, %rsi */
	0x4c, 0x89, 0xfa,                         /*     mov  %r15, %rdx */
	0xb8, 0xea, 0x00, 0x00, 0x00,             /*     mov  $234, %eax      tgkill */
	0x0f, 0x05,                               /*     syscall */
	0xff, 0xe3,                               /*     jmp  *%rbx           nobody has stopped it */
	0xeb, 0xfe,                               /* 2:  jmp  2b */
};
/* clang-format on */
#define STUB_SPIN (sizeof(stub_bytes) - 2)
#define STUB_DONE (STUB_SPIN - 2)
#define STUB_MASK 120
_Static_assert(SYS_tgkill == 234 && SYS_rt_sigprocmask == 14 && SYS_mmap == 9, "in the stub");
_Static_assert(offsetof(struct cr_rst_plan, stack_top) == PLAN_STACK_TOP, "in the stub");
_Static_assert(sizeof(stub_bytes) <= STUB_MASK && STUB_MASK + 8 <= ARCH_STUB_SIZE, "no room");

void arch_stub_write(uint8_t *out, uint64_t blocked)
{
	memcpy(out, stub_bytes, sizeof(stub_bytes));
	memcpy(out + STUB_MASK, &blocked, sizeof(blocked));
}

void arch_set_stub(uint64_t *regs, const struct arch_stub *s)
{
	regs[RAX] = 0;
	regs[ORIG_RAX] = (uint64_t)-1; /* nothing is restarted */
	regs[RIP] = s->at;
	regs[EFLAGS] = CALM_FLAGS;
	regs[RBP] = s->source;
	regs[RBX] = s->way ? s->way : s->at + STUB_SPIN;
	regs[R8] = s->plan;
	regs[R9] = s->size;
	regs[R12] = s->run;
	regs[R13] = (uint64_t)s->process;
	regs[R14] = (uint64_t)s->thread;
	regs[R15] = (uint64_t)s->signal;
}

/* --- the way back ------------------------------------------------------------------------------------ */

#define RESTARTBLOCK 516 /* ERESTART_RESTARTBLOCK, the kernel's own */
#define TRAP_FLAG 0x100u

/* Behind the code, from here on. */
enum {
	WAY_BLOCKED = 288,
	WAY_MASK = 296,
	WAY_FLAGS = 304,
	WAY_SP = 312,
};
_Static_assert(WAY_SP == 0x138 && WAY_SP + 8 == ARCH_WAY_SIZE, "in the stub");

static uint8_t *put(uint8_t *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	return to + n;
}

/* movabs: register 0..15 in the processor's order */
static uint8_t *put_register(uint8_t *to, unsigned int number, uint64_t value)
{
	const uint8_t head[2] = { number < 8 ? 0x48 : 0x49, (uint8_t)(0xb8 | (number & 7)) };

	to = put(to, head, sizeof(head));
	return put(to, &value, sizeof(value));
}

static uint8_t *put_mask(uint8_t *to, uint64_t mask_at)
{
	static const uint8_t head[] = {
		0xb8, 0x0e, 0x00, 0x00, 0x00,       /* mov  $14, %eax */
		0xbf, 0x02, 0x00, 0x00, 0x00,       /* mov  $2, %edi */
		0xba, 0x00, 0x00, 0x00, 0x00,       /* mov  $0, %edx */
		0x41, 0xba, 0x08, 0x00, 0x00, 0x00, /* mov  $8, %r10d */
	};

	to = put(to, head, sizeof(head));
	to = put_register(to, 6, mask_at);
	return put(to, arch_call_bytes, arch_call_size);
}

/* As the kernel does on its way back to the program. */
static void restart(uint64_t *regs)
{
	bool has_block = (int64_t)regs[RAX] == -RESTARTBLOCK;

	if ((int64_t)regs[ORIG_RAX] < 0)
		return;
	arch_restart(regs);
	if (has_block)
		regs[RAX] = SYS_restart_syscall;
}

/*
 * A system call leaves the flags as they are, and so does all that comes behind it: a signal may come
 * from the moment on when the mask is there, and finds the program's own stack.
 */
void arch_way_write(uint8_t *out, uint64_t at, const uint64_t *from, uint32_t n, uint64_t mask)
{
	static const int order[16] = { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI,
				       R8,  R9,  R10, R11, R12, R13, R14, R15 };
	static const uint8_t pop_flags = 0x9d;
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 }; /* jmp *0(%rip) */
	const uint64_t all = ~0ull;
	uint64_t regs[ARCH_MAX_REGS], flags;
	uint8_t *p = out;

	memcpy(regs, from, n * sizeof(*regs));
	restart(regs);
	flags = regs[EFLAGS] & ~(uint64_t)TRAP_FLAG;
	p = put_mask(p, at + WAY_BLOCKED);
	p = put_register(p, 4, at + WAY_FLAGS);
	p = put(p, &pop_flags, 1);
	p = put_register(p, 4, regs[RSP]);
	p = put_mask(p, at + WAY_MASK);
	for (unsigned int i = 0; i < 16; i++)
		if (order[i] != RSP)
			p = put_register(p, i, regs[order[i]]);
	p = put(p, jump, sizeof(jump));
	p = put(p, &regs[RIP], 8);
	assert(p <= out + WAY_BLOCKED);
	memcpy(out + WAY_BLOCKED, &all, 8);
	memcpy(out + WAY_MASK, &mask, 8);
	memcpy(out + WAY_FLAGS, &flags, 8);
	memcpy(out + WAY_SP, &regs[RSP], 8);
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
