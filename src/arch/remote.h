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
 * The stub that a batch begins in: maps the writable area, copies the plans into it, calls the
 * interpreter on a stack there, and stops by sending a signal to its own thread. It needs nothing
 * but the registers that arch_set_stub gives it.
 */
struct arch_stub {
	uint64_t at;         /* of the stub */
	bool map;            /* map and copy first */
	uint64_t area, size; /* the writable area, whole pages */
	uint64_t source;     /* what is copied into it, `size` bytes */
	uint64_t run, plan;  /* the interpreter, the plan (in the area) */
	uint64_t stack;      /* top, 16-byte aligned */
	int process, thread, signal;
};
extern const uint8_t arch_stub_bytes[];
extern const size_t arch_stub_size;
void arch_set_stub(uint64_t *regs, const struct arch_stub *s);
/* The stub is at its end. */
bool arch_stub_is_done(const uint64_t *regs, uint64_t at);
/* At its end: the plan has been run; else the area could not be mapped. */
bool arch_stub_has_run(const uint64_t *regs);

/* Model name of the processor, for people. */
void arch_cpu_model(char out[64]);

#endif
