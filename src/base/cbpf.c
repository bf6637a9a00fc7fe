/* SPDX-License-Identifier: MIT */
#include "base/cbpf.h"

#include <string.h>

#define WORDS 16u /* BPF_MEMWORDS */
#define ACTION(verdict) ((int32_t)((verdict)&SECCOMP_RET_ACTION_FULL))

/* --- is it one? ------------------------------------------------------------------------------- */

static bool is_valid_alu(const struct sock_filter *f)
{
	bool constant = BPF_SRC(f->code) == BPF_K;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_MUL:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR:
		return true;
	case BPF_DIV:
		return !constant || f->k;
	case BPF_LSH:
	case BPF_RSH:
		return !constant || f->k < 32;
	case BPF_NEG:
		return constant;
	}
	return false;
}

/* Jumps go forward only, so a program always ends. */
static bool is_valid_jump(const struct sock_filter *f, size_t left)
{
	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return BPF_SRC(f->code) == BPF_K && f->k < left;
	case BPF_JEQ:
	case BPF_JGT:
	case BPF_JGE:
	case BPF_JSET:
		return f->jt < left && f->jf < left;
	}
	return false;
}

/* left: how many instructions follow */
static bool is_valid_at(const struct sock_filter *f, size_t left)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return f->k % 4 == 0 && f->k < sizeof(struct seccomp_data);
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
		return true;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
		return f->k < WORDS;
	}
	if (f->code & ~0xffu)
		return false;
	if (BPF_CLASS(f->code) == BPF_ALU)
		return is_valid_alu(f);
	return BPF_CLASS(f->code) == BPF_JMP && is_valid_jump(f, left);
}

bool cbpf_is_valid(const struct sock_filter *code, size_t n)
{
	if (!n || n > CBPF_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_valid_at(&code[i], n - 1 - i))
			return false;
	return BPF_CLASS(code[n - 1].code) == BPF_RET;
}

/* --- what does it say? ------------------------------------------------------------------------ */

struct machine {
	const uint32_t *input; /* struct seccomp_data in words */
	uint32_t a, x;
	uint32_t memory[WORDS];
};

/* false: divided by zero, which ends the program with 0 */
static bool calculate(struct machine *m, const struct sock_filter *f)
{
	uint32_t by = BPF_SRC(f->code) == BPF_X ? m->x : f->k;

	switch (BPF_OP(f->code)) {
	case BPF_ADD:
		m->a += by;
		break;
	case BPF_SUB:
		m->a -= by;
		break;
	case BPF_MUL:
		m->a *= by;
		break;
	case BPF_DIV:
		if (!by)
			return false;
		m->a /= by;
		break;
	case BPF_AND:
		m->a &= by;
		break;
	case BPF_OR:
		m->a |= by;
		break;
	case BPF_XOR:
		m->a ^= by;
		break;
	case BPF_LSH:
		m->a <<= by & 31;
		break;
	case BPF_RSH:
		m->a >>= by & 31;
		break;
	case BPF_NEG:
		m->a = -m->a;
		break;
	}
	return true;
}

/* How many instructions are skipped. */
static size_t jump(const struct machine *m, const struct sock_filter *f)
{
	uint32_t with = BPF_SRC(f->code) == BPF_X ? m->x : f->k;
	bool is = false;

	switch (BPF_OP(f->code)) {
	case BPF_JA:
		return f->k;
	case BPF_JEQ:
		is = m->a == with;
		break;
	case BPF_JGT:
		is = m->a > with;
		break;
	case BPF_JGE:
		is = m->a >= with;
		break;
	case BPF_JSET:
		is = m->a & with;
		break;
	}
	return is ? f->jt : f->jf;
}

static void move(struct machine *m, const struct sock_filter *f)
{
	uint32_t *to = BPF_CLASS(f->code) == BPF_LDX ? &m->x : &m->a;

	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		m->a = m->input[f->k / 4];
		break;
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_W | BPF_LEN:
		*to = sizeof(struct seccomp_data);
		break;
	case BPF_LD | BPF_IMM:
	case BPF_LDX | BPF_IMM:
		*to = f->k;
		break;
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_MEM:
		*to = m->memory[f->k];
		break;
	case BPF_ST:
		m->memory[f->k] = m->a;
		break;
	case BPF_STX:
		m->memory[f->k] = m->x;
		break;
	case BPF_MISC | BPF_TAX:
		m->x = m->a;
		break;
	case BPF_MISC | BPF_TXA:
		m->a = m->x;
		break;
	}
}

uint32_t cbpf_run(const struct sock_filter *code, size_t n, const struct seccomp_data *call)
{
	uint32_t input[sizeof(*call) / 4];
	struct machine m = { .input = input };

	memcpy(input, call, sizeof(input));
	for (size_t i = 0; i < n; i++) {
		const struct sock_filter *f = &code[i];

		if (BPF_CLASS(f->code) == BPF_RET)
			return BPF_RVAL(f->code) == BPF_A ? m.a : f->k;
		if (BPF_CLASS(f->code) == BPF_JMP)
			i += jump(&m, f);
		else if (BPF_CLASS(f->code) != BPF_ALU)
			move(&m, f);
		else if (!calculate(&m, f))
			return 0;
	}
	return 0;
}

bool cbpf_can_give(const struct sock_filter *code, size_t n, uint32_t action)
{
	for (size_t i = 0; i < n; i++)
		if (code[i].code == (BPF_RET | BPF_A) ||
		    (code[i].code == (BPF_RET | BPF_K) &&
		     (code[i].k & SECCOMP_RET_ACTION_FULL) == action))
			return true;
	return false;
}

uint32_t cbpf_stricter(uint32_t a, uint32_t b)
{
	return ACTION(b) < ACTION(a) ? b : a;
}
