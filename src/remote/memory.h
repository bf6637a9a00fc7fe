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
/* Reads the run into p, by /proc/PID/mem, so that pages which are shared copy-on-write stay so. */
int memory_read_shared(int mem, const struct iovec *run, void *p, struct error *e) must_check;
/*
 * Reads n (up to 1024) runs one behind the other into p. `mem`, an open /proc/PID/mem, is used for
 * runs that process_vm_readv cannot read (without PROT_READ). Not for shared pages: it pins them, and for
 * that the kernel makes a copy of each (since 6.0 or so). Sum of the lengths, or -errno with
 * the address in the text.
 */
int64_t memory_read_runs(int pid, int mem, const struct iovec *runs, size_t n, void *p,
			 struct error *e) must_check;

/* Looks for the bytes in [start, end); the address, or 0. */
uint64_t memory_find(int pid, uint64_t start, uint64_t end, const void *bytes, size_t n);

#endif
