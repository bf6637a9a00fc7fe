/* SPDX-License-Identifier: MIT */
/*
 * Filters of system calls (seccomp): what one is allowed to look like, and what it answers to a call.
 * Classic BPF as far as the kernel lets it be used there. Pure.
 */
#ifndef BASE_CBPF_H
#define BASE_CBPF_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CBPF_MAX 4096u /* instructions of one program; BPF_MAXINSNS */

/* Whether the kernel would take it: known instructions, jumps and memory in range, a verdict at the end. */
bool cbpf_is_valid(const struct sock_filter *code, size_t n);
/* The verdict, SECCOMP_RET_* with its data, of a program that is valid. */
uint32_t cbpf_run(const struct sock_filter *code, size_t n, const struct seccomp_data *call);
/* Whether it can give this action (SECCOMP_RET_*, without data); true where that is computed. */
bool cbpf_can_give(const struct sock_filter *code, size_t n, uint32_t action);
/* Of two verdicts the one that counts when both are of filters of one thread. */
uint32_t cbpf_stricter(uint32_t a, uint32_t b);

#endif
