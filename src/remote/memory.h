/* SPDX-License-Identifier: MIT */
/* The memory of another process. */
#ifndef REMOTE_MEMORY_H
#define REMOTE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

/* All n bytes at `address`, or -errno; -EFAULT when only a part is there (or may be written). No text. */
int memory_read(int pid, uint64_t address, void *p, size_t n) must_check;
int memory_write(int pid, uint64_t address, const void *p, size_t n) must_check;

/* The memory of a process that is traced by somebody else, who is asked for what only a tracer may read. */
struct memory {
	int tid; /* a thread of it; /proc/TID/mem is `mem` */
	int mem;
	/* All n bytes at `address` into p, as the tracer; called when the kernel has denied them. */
	int (*peek)(void *tracer, int tid, uint64_t address, void *p, size_t n, struct error *e);
	void *tracer;
};
/* Reads the run into p, by /proc/TID/mem, so that pages which are shared copy-on-write stay so. */
int memory_read_shared(const struct memory *m, const struct iovec *run, void *p,
		       struct error *e) must_check;
/*
 * Reads n (up to 1024) runs one behind the other into p. /proc/TID/mem is used for runs that
 * process_vm_readv cannot read (without PROT_READ). Not for shared pages: it pins them, and for
 * that the kernel makes a copy of each (since 6.0 or so). Sum of the lengths, or -errno with
 * the address in the text.
 */
int64_t memory_read_runs(const struct memory *m, const struct iovec *runs, size_t n, void *p,
			 struct error *e) must_check;
/*
 * In the tracer of the thread, which is stopped: all n bytes at `address`, whatever the program itself may do there; word by
 * word where there is no other way (proc_mem.force_override=never). What is written where the program may not write becomes a
 * copy of its own.
 */
int memory_read_traced(int tid, uint64_t address, void *p, size_t n, struct error *e) must_check;
int memory_write_traced(int tid, uint64_t address, const void *p, size_t n,
			struct error *e) must_check;

/* Looks for the bytes in [start, end); the address, or 0. */
uint64_t memory_find(int pid, uint64_t start, uint64_t end, const void *bytes, size_t n);

#endif
