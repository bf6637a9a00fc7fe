/* SPDX-License-Identifier: MIT */
/* Filters of system calls: whatever the kernel answers, cbpf_run says. */
#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cbpf.h"
#include "tap.h"

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))
#define A_CALL 999 /* no kernel has it */

static const struct seccomp_data a_call = {
	.nr = A_CALL,
	.arch = AUDIT_ARCH_X86_64,
	.args = { 1, 0x100000002ull, 3, 0xffffffffffffffffull, 5, 0x7000000000000006ull },
};

/* --- what is one ------------------------------------------------------------------------------- */

static void programs_that_are_none(void)
{
	static const struct sock_filter end = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	static const struct sock_filter bad[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64),
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0),
		BPF_STMT(BPF_LD | BPF_MEM, 16),
		BPF_STMT(BPF_ST, 16),
		BPF_STMT(BPF_STX, 0xffffffff),
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3),
		BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
		BPF_JUMP(BPF_JMP | BPF_JA, 0xffffffff, 0, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		{ 0x100 | BPF_RET | BPF_K, 0, 0, 0 },
		{ BPF_RET | BPF_X, 0, 0, 0 },
	};
	struct sock_filter two[2] = { end, end };

	CU_ASSERT(cbpf_is_valid(two, 2) && !cbpf_is_valid(two, 0) &&
		  !cbpf_is_valid(two, CBPF_MAX + 1));
	for (size_t i = 0; i < LENGTH(bad); i++) {
		two[0] = bad[i];
		CU_ASSERT(!cbpf_is_valid(two, 2));
	}
	two[0] = end;
	two[1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
	CU_ASSERT(!cbpf_is_valid(two, 2));
}

/* --- what one says ----------------------------------------------------------------------------- */

struct told {
	int installed, error;
};

/* The error that the call gets under this filter; installed: the kernel took it. */
static struct told ask_kernel(const struct sock_filter *code, size_t n)
{
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct told out;
	pid_t pid = fork();

	if (pid == 0) {
		struct sock_fprog prog = { (unsigned short)n, (struct sock_filter *)code };
		const uint64_t *a = (const uint64_t *)a_call.args;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		told->installed = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
		syscall(A_CALL, a[0], a[1], a[2], a[3], a[4], a[5]);
		told->error = errno;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	out = *told;
	munmap(told, sizeof(*told));
	return out;
}

/* Behind what makes a number in A: other calls pass, this one fails with the number's low bits. */
static size_t finish(struct sock_filter *code, size_t n)
{
	code[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	return n;
}

static struct sock_filter random_operation(unsigned int *seed, size_t left)
{
	static const uint16_t codes[] = {
		BPF_LD | BPF_W | BPF_ABS,
		BPF_LD | BPF_W | BPF_LEN,
		BPF_LDX | BPF_W | BPF_LEN,
		BPF_LD | BPF_IMM,
		BPF_LDX | BPF_IMM,
		BPF_LD | BPF_MEM,
		BPF_LDX | BPF_MEM,
		BPF_ST,
		BPF_STX,
		BPF_MISC | BPF_TAX,
		BPF_MISC | BPF_TXA,
		BPF_ALU | BPF_ADD | BPF_K,
		BPF_ALU | BPF_ADD | BPF_X,
		BPF_ALU | BPF_SUB | BPF_K,
		BPF_ALU | BPF_SUB | BPF_X,
		BPF_ALU | BPF_MUL | BPF_K,
		BPF_ALU | BPF_MUL | BPF_X,
		BPF_ALU | BPF_DIV | BPF_K,
		BPF_ALU | BPF_AND | BPF_K,
		BPF_ALU | BPF_AND | BPF_X,
		BPF_ALU | BPF_OR | BPF_X,
		BPF_ALU | BPF_XOR | BPF_K,
		BPF_ALU | BPF_XOR | BPF_X,
		BPF_ALU | BPF_LSH | BPF_K,
		BPF_ALU | BPF_RSH | BPF_K,
		BPF_ALU | BPF_NEG,
		BPF_JMP | BPF_JA,
		BPF_JMP | BPF_JEQ | BPF_K,
		BPF_JMP | BPF_JGT | BPF_K,
		BPF_JMP | BPF_JGE | BPF_X,
		BPF_JMP | BPF_JSET | BPF_K,
		BPF_JMP | BPF_JGT | BPF_X,
	};
	struct sock_filter f = { .code = codes[(unsigned int)rand_r(seed) % LENGTH(codes)] };
	uint32_t number = (uint32_t)rand_r(seed) ^ (uint32_t)rand_r(seed) << 16;

	f.k = number >> (rand_r(seed) & 31);
	if (BPF_CLASS(f.code) == BPF_JMP) {
		f.jt = (uint8_t)(number % left);
		f.jf = (uint8_t)((number >> 8) % left);
		if (BPF_OP(f.code) == BPF_JA)
			f.k = f.jt;
	} else if (f.code == (BPF_LD | BPF_W | BPF_ABS)) {
		/* not the instruction pointer, which the test does not know */
		f.k = (uint32_t[]){ 0, 4, 16, 20, 28, 40, 44, 60 }[number % 8];
	} else if (BPF_MODE(f.code) == BPF_MEM || BPF_CLASS(f.code) == BPF_ST ||
		   BPF_CLASS(f.code) == BPF_STX) {
		f.k = number % 16;
	} else if (BPF_OP(f.code) == BPF_LSH || BPF_OP(f.code) == BPF_RSH) {
		f.k %= 32;
	}
	if (f.code == (BPF_ALU | BPF_DIV | BPF_K))
		f.k |= 1;
	return f;
}

static void it_agrees_with_the_kernel(void)
{
	unsigned int seed = 4711, taken = 0;
	const char *more = getenv("T_CBPF_ROUNDS");
	int rounds = more ? atoi(more) : 150;

	for (int i = 0; i < rounds; i++) {
		struct sock_filter code[80] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, A_CALL, 1, 0),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
			BPF_STMT(BPF_ST, 0),
			BPF_STMT(BPF_ST, 1),
			BPF_STMT(BPF_STX, 2),
		};
		size_t n = 6, middle = 5 + (size_t)i % 60;
		struct told told;
		uint32_t said;

		for (size_t k = 0; k < middle; k++, n++)
			code[n] = random_operation(&seed, middle - k);
		n = finish(code, n);
		CU_ASSERT_FATAL(cbpf_is_valid(code, n));
		told = ask_kernel(code, n);
		/* Memory that may be read before it was written makes the kernel refuse a program. */
		if (!told.installed)
			continue;
		taken++;
		said = cbpf_run(code, n, &a_call);
		if ((said & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO && (said & 0xfff) < 4096)
			CU_ASSERT_EQUAL((int)(said & 0xfff), told.error);
	}
	CU_ASSERT(taken > (unsigned int)rounds / 3);
}

static void division_by_zero_kills(void)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_LDX | BPF_IMM, 0),
		BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	CU_ASSERT(cbpf_is_valid(code, LENGTH(code)));
	CU_ASSERT_EQUAL(cbpf_run(code, LENGTH(code), &a_call), SECCOMP_RET_KILL_THREAD);
}

static void what_it_can_give(void)
{
	static const struct sock_filter code[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF | 7),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_filter computed[] = { BPF_STMT(BPF_RET | BPF_A, 0) };

	CU_ASSERT(cbpf_can_give(code, 2, SECCOMP_RET_USER_NOTIF));
	CU_ASSERT(!cbpf_can_give(code + 1, 1, SECCOMP_RET_USER_NOTIF));
	CU_ASSERT(cbpf_can_give(computed, 1, SECCOMP_RET_USER_NOTIF));
}

static void the_stricter_counts(void)
{
	static const uint32_t order[] = {
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,
		SECCOMP_RET_ERRNO | 5,    SECCOMP_RET_USER_NOTIF,  SECCOMP_RET_TRACE,
		SECCOMP_RET_LOG,          SECCOMP_RET_ALLOW,
	};

	for (size_t i = 0; i < LENGTH(order); i++) {
		for (size_t k = 0; k < LENGTH(order); k++) {
			uint32_t wanted = order[i < k ? i : k];

			CU_ASSERT_EQUAL(cbpf_stricter(order[i], order[k]), wanted);
		}
	}
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "programs that are none", programs_that_are_none },
		{ "it agrees with the kernel", it_agrees_with_the_kernel },
		{ "division by zero kills", division_by_zero_kills },
		{ "what it can give", what_it_can_give },
		{ "the stricter one counts", the_stricter_counts },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = { { "cbpf", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };

	return tap_run(suites);
}
