/* SPDX-License-Identifier: MIT */
/*
 * Threads that never leave a restartable sequence: within one the processor stays the same, or the abort
 * handler runs. Each keeps the number that the kernel told at its begin in a register, and compares it
 * with what the processor says of itself:
 * the limit of segment 0x7b, which the kernel keeps there for getcpu(2).
 */
#include "subject.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/rseq.h>
#include <unistd.h>

#define N 6

static struct worker {
	pthread_t thread;
	volatile uint64_t turns, aborts;
	volatile uint32_t torn;
} workers[N];
static volatile uint32_t stop;

_Static_assert(offsetof(struct rseq, cpu_id) == 4 && offsetof(struct rseq, rseq_cs) == 8,
	       "in the sequence");
_Static_assert(RSEQ_SIG == 0x53053053, "before the abort handler");

static void spin(struct rseq *area, struct worker *w)
{
	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
			 ".balign 32\n"
			 "9:\n\t"
			 ".long 0, 0\n\t"
			 ".quad 2f, 4f - 2f, 6f\n\t"
			 ".popsection\n"
			 "1:\n\t"
			 "leaq 9b(%%rip), %%rax\n\t"
			 "movq %%rax, 8(%[area])\n"
			 "2:\n\t"
			 "movl 4(%[area]), %%r8d\n"
			 "3:\n\t"
			 "cmpl $0, %[stop]\n\t"
			 "jne 4f\n\t"
			 "incq %[turns]\n\t"
			 "movl $0x7b, %%ecx\n\t"
			 "lsll %%ecx, %%ecx\n\t"
			 "andl $0xfff, %%ecx\n\t"
			 "cmpl %%r8d, %%ecx\n\t"
			 "je 3b\n\t"
			 "incl %[torn]\n"
			 "4:\n\t"
			 "movq $0, 8(%[area])\n\t"
			 "jmp 7f\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, so that the signature is no code */
			 ".long 0x53053053\n"
			 "6:\n\t"
			 "incq %[aborts]\n\t"
			 "jmp 1b\n"
			 "7:\n"
			 : [turns] "+m"(w->turns), [torn] "+m"(w->torn), [aborts] "+m"(w->aborts)
			 : [area] "r"(area), [stop] "m"(stop)
			 : "rax", "rcx", "rdx", "r8", "memory", "cc");
}

static struct rseq *own_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static void *work(void *worker)
{
	spin(own_area(), worker);
	return NULL;
}

/* Each gets its turn. */
static void let_all_run(void)
{
	for (int i = 0; i < N; i++) {
		uint64_t before = workers[i].turns;

		while (workers[i].turns < before + 2 && !workers[i].torn)
			usleep(1000);
	}
}

static const char *prepare(void)
{
	if (__rseq_size == 0)
		return skip("this libc has registered no rseq");
	for (int i = 0; i < N; i++)
		need(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	let_all_run();
	return NULL;
}

static const char *verify(void)
{
	uint64_t aborts = 0;

	let_all_run();
	stop = 1;
	for (int i = 0; i < N; i++) {
		need(pthread_join(workers[i].thread, NULL) == 0);
		aborts += workers[i].aborts;
		if (workers[i].torn)
			return wrong("thread %d went on within its sequence on another processor",
				     i);
	}
	/* Six threads on fewer processors, or stopped at least once. */
	need(aborts > 0);
	return NULL;
}

const struct subject subject = {
	.about = "who is stopped in a restartable sequence goes on at its abort handler",
	.prepare = prepare,
	.verify = verify,
};
