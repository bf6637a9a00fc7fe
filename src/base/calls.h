/* SPDX-License-Identifier: MIT */
/*
 * System calls, counted by the kernel (perf_event_open, the tracepoint at their entry): of the calling thread and
 * of all threads and processes that it starts from now on. The tracepoint costs every call on the machine some
 * tens of nanoseconds meanwhile, so this is for those who ask. It needs tracefs, and the right to read it.
 */
#ifndef BASE_CALLS_H
#define BASE_CALLS_H

#include <stdint.h>

/* A descriptor, close-on-exec; -1: they cannot be counted. What it counts it counts until it is closed by all. */
int calls_open(void);
uint64_t calls_so_far(int fd);

#endif
