/* SPDX-License-Identifier: MIT */
/* A thread that is held stopped. */
#ifndef REMOTE_HELD_H
#define REMOTE_HELD_H

#include <stdbool.h>
#include <signal.h>
#include <stdint.h>

struct sock_filter;

/* A filter of system calls, installed on top of others; equal ones of several threads are one. */
struct held_filter {
	const struct held_filter *below; /* the one that was there before; NULL: none */
	const struct held_filter *other; /* any other of the tree: a list of all */
	uint32_t depth;                  /* how many there are, this one included */
	uint32_t n;                      /* instructions */
	uint64_t flags;                  /* SECCOMP_FILTER_FLAG_LOG */
	const struct sock_filter *code;
};

/* Signals that are pending, in their order. */
struct held_signals {
	bool wanted; /* status says that there are some; set by cr */
	uint32_t n;
	const siginfo_t *list; /* read when cr asks for it */
};

/* PR_SET_SYSCALL_USER_DISPATCH. */
struct held_dispatch {
	bool is_on;
	bool is_blocked; /* a call from outside the range would be dispatched now */
	uint64_t selector, offset, length;
};

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
	uint32_t seccomp;                    /* SECCOMP_MODE_*, as status says; set by cr */
	const struct held_filter *filter;    /* the newest one; read when cr asks for it */
	struct held_signals pending, shared; /* its own, and in a leader those of the process */
	struct held_dispatch dispatch;
	int stop_signal; /* it was in a job-control stop, by this signal; 0: it was not */
};

#endif
