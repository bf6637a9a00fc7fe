/* SPDX-License-Identifier: MIT */
/*
 * A chain of seccomp filters, as a thread has them: what they let pass, how each is installed while those before it are
 * in force, and whether the kernel takes them.
 */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct filter {
	const struct sock_filter *code; /* valid (cbpf.h) */
	size_t n;
	uint64_t flags;    /* SECCOMP_FILTER_FLAG_LOG */
	uint32_t listener; /* that it asks; 0: none */
};

/* The oldest first. */
struct chain {
	struct filter *v;
	size_t n;
	uint32_t arch; /* AUDIT_ARCH_* of the calls */
};

/* Whether it asks a listener, or may. Pure. */
bool filter_asks(const struct filter *f);
/* Whether the first n filters let a call pass. Pure. */
bool chain_lets(const struct chain *c, size_t n, int nr, uint64_t a, uint64_t b);

/* How filter i is installed while those before it are in force; nr 0: not at all. */
struct install {
	int nr;
	uint64_t flags;
};
/* sync: SECCOMP_FILTER_FLAG_TSYNC, or 0. Pure. */
struct install chain_way(const struct chain *c, size_t i, uint64_t sync);
/* How many of the first n both have. Pure. */
size_t chain_common(const struct chain *a, const struct chain *b, size_t n);
/* Refuses what could not be installed anew; alone: its thread does that itself. Pure. */
int chain_check(const struct chain *c, bool alone, struct error *e) must_check;
/* Installs it in a process of its own, and ends that. */
int chain_try(const struct chain *c, struct error *e) must_check;

#endif
