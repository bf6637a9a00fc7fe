/* SPDX-License-Identifier: MIT */
#include "plan/plan.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ALIGN 16u

static uint64_t align_up(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

void plan_init(struct plan *p, struct arena *a, uint32_t task)
{
	*p = (struct plan){ .arena = a, .task = task };
}

void plan_free(struct plan *p)
{
	vec_free(&p->ops);
	buf_free(&p->data);
}

void plan_note(struct plan *p, const char *fmt, ...)
{
	va_list ap;
	char text[512];

	p->note = NULL;
	if (!fmt)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->note = arena_strdup(p->arena, text);
}

uint64_t plan_data(struct plan *p, const void *bytes, size_t n)
{
	size_t at = align_up(p->data.len);
	size_t pad = at - p->data.len;
	char *to = buf_grow(&p->data, pad + n);

	memset(to, 0, pad);
	if (bytes)
		memcpy(to + pad, bytes, n);
	else
		memset(to + pad, 0, n);
	return at;
}

uint32_t plan_op(struct plan *p, enum cr_rst_code code, uint32_t nr, struct plan_args args,
		 enum cr_rst_want how, int64_t want)
{
	uint32_t index = (uint32_t)p->ops.n;
	struct plan_op *o = vec_add(&p->ops);

	o->op.code = (uint8_t)code;
	o->op.want_how = (uint8_t)how;
	o->op.nr = nr;
	o->op.want = want;
	o->note = p->note;
	for (unsigned int i = 0; i < 6; i++) {
		struct arg a = args.v[i];

		assert(a.how != CR_RST_RESULT || a.value < index);
		o->op.how |= (uint16_t)(a.how << (2 * i));
		o->op.arg[i] = a.value;
		if (a.slot)
			o->slots |= (uint8_t)(1u << i);
	}
	return index;
}

uint64_t plan_ops_at(const struct plan *p, uint64_t at)
{
	(void)p;
	return align_up(at + sizeof(struct cr_rst_plan));
}

uint64_t plan_results_at(const struct plan *p, uint64_t at)
{
	return plan_ops_at(p, at) + p->ops.n * sizeof(struct cr_rst_op);
}

uint64_t plan_data_at(const struct plan *p, uint64_t at)
{
	return align_up(plan_results_at(p, at) + p->ops.n * sizeof(int64_t));
}

static uint64_t stack_top_at(const struct plan *p, uint64_t at, size_t stack)
{
	return align_up(plan_data_at(p, at) + p->data.len) + align_up(stack);
}

size_t plan_size(const struct plan *p, size_t stack)
{
	return stack_top_at(p, 0, stack);
}

void plan_write(const struct plan *p, void *region, uint64_t at, size_t stack, uint64_t report_at)
{
	char *base = region;
	struct cr_rst_plan head = {
		.abi = CR_RST_ABI,
		.task = p->task,
		.n_ops = (uint32_t)p->ops.n,
		.ops = (int64_t)(plan_ops_at(p, at) - at),
		.results = (int64_t)(plan_results_at(p, at) - at),
		.data = (int64_t)(plan_data_at(p, at) - at),
		.stack_top = (int64_t)(stack_top_at(p, at, stack) - at),
		.report = (int64_t)(report_at - at),
	};
	struct cr_rst_op *ops = (struct cr_rst_op *)(base + plan_ops_at(p, at));

	assert(at % ALIGN == 0);
	memcpy(base + at, &head, sizeof(head));
	for (size_t i = 0; i < p->ops.n; i++) {
		const struct plan_op *o = &p->ops.v[i];

		ops[i] = o->op;
		for (unsigned int k = 0; k < 6; k++) {
			if (((o->op.how >> (2 * k)) & 3) == CR_RST_REGION)
				ops[i].arg[k] = o->op.arg[k] - at;
		}
	}
	if (p->data.len)
		memcpy(base + plan_data_at(p, at), p->data.p, p->data.len);
}

void plan_set_slots(const struct plan *p, void *region, uint64_t at, const int *slots)
{
	struct cr_rst_op *ops = (struct cr_rst_op *)((char *)region + plan_ops_at(p, at));

	for (size_t i = 0; i < p->ops.n; i++) {
		for (unsigned int k = 0; p->ops.v[i].slots && k < 6; k++) {
			if (p->ops.v[i].slots & 1u << k)
				ops[i].arg[k] = (uint64_t)(int64_t)slots[p->ops.v[i].op.arg[k]];
		}
	}
}

void plan_post(struct plan *p, uint64_t word, uint64_t value)
{
	plan_op(p, CR_RST_POST, 0, PLAN_ARGS(arg_region(word), arg_num(1), arg_num(value)),
		CR_RST_WANT_OK, 0);
}

void plan_wait(struct plan *p, uint64_t word, uint64_t value)
{
	plan_op(p, CR_RST_WAIT, 0, PLAN_ARGS(arg_region(word), arg_num(value)), CR_RST_WANT_OK, 0);
}

void plan_count(struct plan *p, uint64_t word)
{
	plan_post(p, word, UINT32_MAX);
}

void plan_spin(struct plan *p, uint64_t word, uint64_t value)
{
	plan_op(p, CR_RST_WAIT, 0, PLAN_ARGS(arg_region(word), arg_num(value), arg_num(1)),
		CR_RST_WANT_OK, 0);
}
