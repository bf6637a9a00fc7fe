/* SPDX-License-Identifier: MIT */
#include "restore/order.h"

#include <stdlib.h>
#include <string.h>

#include "kind.h"

struct children {
	vec(const Process *) list; /* by parent, then pid */
};

static int by_parent(const void *a, const void *b)
{
	const Process *p = *(const Process *const *)a, *q = *(const Process *const *)b;

	if (p->parent != q->parent)
		return p->parent < q->parent ? -1 : 1;
	return p->id < q->id ? -1 : p->id > q->id;
}

static void children_read(const struct image *img, struct children *c)
{
	vec_each(r, &img->records) {
		if (!strcmp(r->type->tag, record_process.tag))
			*vec_add(&c->list) = (const Process *)r->msg;
	}
	if (c->list.n)
		qsort(c->list.v, c->list.n, sizeof(*c->list.v), by_parent);
}

/* The first whose parent is not below `parent`. */
static size_t children_find(const struct children *c, uint32_t parent)
{
	size_t low = 0, high = c->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->list.v[mid]->parent < parent)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void order_read(const struct image *img, struct order *t)
{
	const struct record *root = image_find(img, record_process.tag, img->manifest->root);
	vec(struct order_process) todo = { 0 };
	struct children c = { 0 };

	*t = (struct order){ 0 };
	if (!root || ((const Process *)root->msg)->parent != 0)
		return;
	children_read(img, &c);
	*vec_add(&todo) = (struct order_process){ .process = (const Process *)root->msg };
	while (todo.n) {
		struct order_process at = todo.v[--todo.n];
		size_t first = children_find(&c, at.process->id), i = first;

		*vec_add(&t->list) = at;
		while (i < c.list.n && c.list.v[i]->parent == at.process->id)
			i++;
		while (i > first)
			*vec_add(&todo) = (struct order_process){ c.list.v[--i], at.depth + 1 };
	}
	vec_free(&todo);
	vec_free(&c.list);
}

void order_free(struct order *t)
{
	vec_free(&t->list);
}
