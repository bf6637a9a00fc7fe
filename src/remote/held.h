/* SPDX-License-Identifier: MIT */
/* A thread that is held stopped. */
#ifndef REMOTE_HELD_H
#define REMOTE_HELD_H

#include <stdbool.h>
#include <stdint.h>

/* What ptrace told of a stopped thread. */
struct held_thread {
	int tid;
	uint64_t regs
		[32]; /* NT_PRSTATUS, n_regs words; a restart of an interrupted call is not folded in */
	uint32_t n_regs;
	uint32_t xstate_size;
	uint8_t *xstate; /* NT_X86_XSTATE */
	uint64_t sigmask;
	uint64_t rseq_address;
	uint32_t rseq_size, rseq_signature, rseq_flags;
	bool group_stopped;
};

#endif
