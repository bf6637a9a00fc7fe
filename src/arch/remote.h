/* SPDX-License-Identifier: MIT */
/*
 * Registers of a stopped thread, as far as system calls in it need them. Pure; one file for each
 * architecture (remote.c in its folder). `regs` are the words of NT_PRSTATUS.
 */
#ifndef ARCH_REMOTE_H
#define ARCH_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which regset of PTRACE_GETREGSET holds what a signal frame holds besides the general registers. */
extern const int arch_xstate_regset;
/* Where PTRACE_PEEKUSER finds which hardware breakpoints are on, 0 of them: none; and the regset of the
 * I/O ports that the thread may use, which is there only if it may use any. */
extern const size_t arch_breakpoints_at;
extern const int arch_ports_regset;
/* Asks for the segments that the process has of its own; the answer is positive if it has any. */
struct plan;
uint32_t arch_ask_segments(struct plan *batch);

/* The instruction that makes a system call. */
extern const uint8_t arch_call_bytes[];
extern const size_t arch_call_size;
/* Where that instruction is, if the thread was interrupted in a system call; else 0. */
uint64_t arch_call_place(const uint64_t *regs);
/* The thread's next instruction is the one at `place`, and makes this call. Nothing is restarted. */
void arch_set_call(uint64_t *regs, uint64_t place, long nr, const uint64_t args[6]);
int64_t arch_call_result(const uint64_t *regs);

/*
 * The stub that a batch begins in: blocks signals, maps the writable area behind the plans and copies them
 * into it, calls the interpreter on the stack of the plan, and stops by sending a signal to its own thread. It
 * needs nothing but the registers that arch_set_stub gives it. If nobody swallows the signal and it does
 * nothing, the thread goes on to its way back.
 */
struct arch_stub {
	uint64_t at;        /* of the stub */
	uint64_t source;    /* behind it as much is mapped, and filled from it */
	uint64_t size;      /* whole pages; 0: nothing is mapped */
	uint64_t run, plan; /* the interpreter, the plan */
	uint64_t way;       /* 0: there is no way back */
	int process, thread, signal;
};
#define ARCH_STUB_SIZE 128u
void arch_stub_write(uint8_t *out, uint64_t blocked);
void arch_set_stub(uint64_t *regs, const struct arch_stub *s);
/*
 * The way back without a tracer: code that gives a thread its mask and its registers, with a call that was
 * interrupted about to be made again. It uses neither the program's stack nor rt_sigreturn, after which
 * the kernel does not know any more how long a sleep still was. `at`: where it will be.
 */
#define ARCH_WAY_SIZE 320u
void arch_way_write(uint8_t *out, uint64_t at, const uint64_t *regs, uint32_t n_regs,
		    uint64_t sigmask);
/* The stub is at its end. */
bool arch_stub_is_done(const uint64_t *regs, uint64_t at);
/* At its end: the plan has been run; else the area could not be mapped. */
bool arch_stub_has_run(const uint64_t *regs);

/* Model name of the processor, for people. */
void arch_cpu_model(char out[64]);

#endif
