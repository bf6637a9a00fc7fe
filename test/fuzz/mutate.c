/* SPDX-License-Identifier: MIT */
#include "hostile.h"

#include <string.h>

#include "image/record.h"
#include "kind.h"

typedef uint64_t u64;

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define LONG 5000u  /* bytes: longer than a path may be */
#define MANY 20000u /* elements */

/* --- places -------------------------------------------------------------------------------------- */

static ProtobufCMessage *element(const struct hostile_place *p, size_t i)
{
	ProtobufCMessage **list = *(ProtobufCMessage ***)((char *)p->msg + p->field->offset);

	return list[i];
}

static size_t *count_of(const struct hostile_place *p)
{
	return (size_t *)((char *)p->msg + p->field->quantifier_offset);
}

void hostile_each_place(ProtobufCMessage *msg, void *arg,
			void (*each)(void *arg, const struct hostile_place *p))
{
	for (unsigned int i = 0; i < msg->descriptor->n_fields; i++) {
		struct hostile_place p = { msg, &msg->descriptor->fields[i] };
		ProtobufCMessage *one;
		size_t n;

		if (p.field->type == PROTOBUF_C_TYPE_MESSAGE) {
			if (p.field->label == PROTOBUF_C_LABEL_REPEATED) {
				n = *count_of(&p);
				for (size_t k = 0; k < n; k++) {
					if (k < 2 || k == n - 1)
						hostile_each_place(element(&p, k), arg, each);
				}
			} else {
				one = *(ProtobufCMessage **)((char *)msg + p.field->offset);
				if (one)
					hostile_each_place(one, arg, each);
			}
		}
		each(arg, &p);
	}
}

/* --- odd values ---------------------------------------------------------------------------------- */

static const u64 numbers[] = {
	0,
	1,
	2,
	~0ull,
	~1ull,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0x7fffffffffffffff,
	0x8000000000000000,
	0x7ffffffff000, /* the end of user space */
	0x800000000000,
	0xffffffffff600000, /* the vsyscall page */
	4095,
	4096,
	64,
	65,
	0x3fffff, /* the greatest pid, and one more */
	0x400000,
	1024,
	1ull << 40,
};

/* The table, a step up and down, and of masks and addresses (fixed32, fixed64) each bit alone. */
static bool set_number(const struct hostile_place *p, void *at, unsigned int n)
{
	static const u64 steps[] = { 1, ~0ull, 4096, ~4095ull };
	bool is_mask = p->field->type == PROTOBUF_C_TYPE_FIXED32 ||
		       p->field->type == PROTOBUF_C_TYPE_FIXED64;
	size_t size = record_value_size(p->field);
	u64 now = 0, value;

	memcpy(&now, at, size);
	if (n < N(numbers))
		value = numbers[n];
	else if (n < N(numbers) + N(steps))
		value = now + steps[n - N(numbers)];
	else if (is_mask && n < N(numbers) + N(steps) + size * 8)
		value = now ^ 1ull << (n - N(numbers) - N(steps));
	else
		return false;
	memcpy(at, &value, size);
	return true;
}

static const char *const strings[] = {
	"",
	"/",
	"x",
	"..",
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/tty",
	"/proc/self/mem",
	"/proc/self/fd/0",
	"/proc/sysrq-trigger",
	"/nowhere/at/all",
	"/tmp",
	"/\xff\xfe\x1b[2J\n\r\t\\%s%n",
	"/../../../../etc",
	"pages-15",
	"objects",
	"manifest",
};

static bool set_string(struct arena *a, void *at, unsigned int n)
{
	char *s;

	if (n < N(strings)) {
		*(char **)at = arena_strdup(a, strings[n]);
		return true;
	}
	n -= N(strings);
	if (n < n_kinds) { /* the tag of a kind, where one is meant */
		*(char **)at = arena_strdup(a, kinds[n]->record.tag);
		return true;
	}
	if (n > n_kinds)
		return false;
	s = arena_alloc(a, LONG + 1);
	memset(s, 'x', LONG);
	s[0] = '/';
	*(char **)at = s;
	return true;
}

static bool set_bytes(struct arena *a, void *at, unsigned int n)
{
	ProtobufCBinaryData *b = at;
	static const size_t sizes[] = { 0, 1, 8, 15, 16, 17, 128, LONG };
	size_t len = b->len, keep;
	uint8_t *p;

	if (n < N(sizes) * 2)
		len = sizes[n / 2];
	else if (n < N(sizes) * 2 + 4)
		len = (size_t[]){ len / 2, len * 2, len + 1, len ? len - 1 : 0 }[n - N(sizes) * 2];
	else if (n >= N(sizes) * 2 + 4 + 24 || !len)
		return false;
	p = arena_alloc(a, len);
	keep = len < b->len ? len : b->len;
	if (n < N(sizes) * 2)
		memset(p, n & 1 ? 0xff : 0, len);
	else if (keep)
		memcpy(p, b->data, keep);
	/* single bytes: of extended state, the words that mean something lie at 24, 464 and 512 */
	if (n >= N(sizes) * 2 + 4) {
		size_t place[] = { 0, 24, 27, 464, 472, 512, 519, 520, 528, 576, len / 2, len - 1 };
		unsigned int i = n - (unsigned int)N(sizes) * 2 - 4;

		if (place[i % 12] < len)
			p[place[i % 12]] ^= i < 12 ? 0x80 : 0xff;
	}
	*b = (ProtobufCBinaryData){ len, p };
	return true;
}

static bool set_enum(const struct hostile_place *p, void *at, unsigned int n)
{
	const ProtobufCEnumDescriptor *d = p->field->descriptor;
	static const int odd[] = { -1, 1000, INT32_MAX, INT32_MIN };

	if (n < d->n_values)
		*(int *)at = d->values[n].value;
	else if (n < d->n_values + N(odd))
		*(int *)at = odd[n - d->n_values];
	else
		return false;
	return true;
}

static bool set_one(struct arena *a, const struct hostile_place *p, void *at, unsigned int n)
{
	switch (p->field->type) {
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = !*(protobuf_c_boolean *)at;
		return n == 0;
	case PROTOBUF_C_TYPE_STRING:
		return set_string(a, at, n);
	case PROTOBUF_C_TYPE_BYTES:
		return set_bytes(a, at, n);
	case PROTOBUF_C_TYPE_ENUM:
		return set_enum(p, at, n);
	case PROTOBUF_C_TYPE_MESSAGE: /* absent; its own fields are places of their own */
		*(void **)at = NULL;
		return n == 0;
	default:
		return set_number(p, at, n);
	}
}

/* --- lists --------------------------------------------------------------------------------------- */

static char *grow(struct arena *a, const struct hostile_place *p, size_t n)
{
	void **list = (void **)((char *)p->msg + p->field->offset);
	size_t size = record_value_size(p->field), now = *count_of(p), keep = n < now ? n : now;
	char *to = arena_alloc(a, (n + 1) * size);

	if (keep)
		memcpy(to, *list, keep * size);
	*list = to;
	*count_of(p) = n;
	return to;
}

/* 0: none, 1: without the last, 2: the first once more at the end, 3: without the first, 4: backwards, 5: the last
 * again and again; from 6 on: odd values for the first and for the last. */
static bool set_list(struct arena *a, const struct hostile_place *p, unsigned int n)
{
	size_t size = record_value_size(p->field), now = *count_of(p), i;
	bool in_place = p->field->type != PROTOBUF_C_TYPE_MESSAGE;
	char *v;

	if (n && !now)
		return false;
	if (n >= 6 && !in_place)
		return false;
	v = grow(a, p, n == 0 ? 0 : n == 1 ? now - 1 : n == 2 ? now + 1 : n == 5 ? MANY : now);
	switch (n) {
	case 0:
	case 1:
		return true;
	case 2:
		memcpy(v + now * size, v, size);
		return true;
	case 3:
		memmove(v, v + size, (now - 1) * size);
		*count_of(p) = now - 1;
		return true;
	case 4:
		for (i = 0; i < now / 2; i++) {
			char room[16];

			memcpy(room, v + i * size, size);
			memcpy(v + i * size, v + (now - 1 - i) * size, size);
			memcpy(v + (now - 1 - i) * size, room, size);
		}
		return true;
	case 5:
		for (i = now; i < MANY; i++)
			memcpy(v + i * size, v + (now - 1) * size, size);
		return true;
	default:
		n -= 6;
		return set_one(a, p, n & 1 ? v + (now - 1) * size : v, n / 2);
	}
}

bool hostile_set(struct arena *a, const struct hostile_place *p, unsigned int n)
{
	char *at = (char *)p->msg + p->field->offset;
	protobuf_c_boolean *has;

	if (p->field->label == PROTOBUF_C_LABEL_REPEATED)
		return set_list(a, p, n);
	if (p->field->label == PROTOBUF_C_LABEL_OPTIONAL &&
	    p->field->type != PROTOBUF_C_TYPE_STRING && p->field->type != PROTOBUF_C_TYPE_MESSAGE) {
		has = (protobuf_c_boolean *)((char *)p->msg + p->field->quantifier_offset);
		*has = n != 0;
		if (!n)
			return true;
		n--;
	} else if (p->field->type == PROTOBUF_C_TYPE_STRING &&
		   p->field->label == PROTOBUF_C_LABEL_OPTIONAL) {
		*(char **)at = NULL;
		if (!n)
			return true;
		n--;
	}
	return set_one(a, p, at, n);
}

/* --- damage -------------------------------------------------------------------------------------- */

static size_t varint(const uint8_t *p, size_t n, u64 *out)
{
	*out = 0;
	for (size_t i = 0; i < n && i < 10; i++) {
		*out |= (u64)(p[i] & 127) << (7 * i);
		if (!(p[i] & 128))
			return i + 1;
	}
	return 0;
}

/* Bytes of the field that begins here, its key included. */
static size_t field_size(const uint8_t *p, size_t n)
{
	u64 key, length;
	size_t head = varint(p, n, &key), more;

	if (!head)
		return n;
	switch (key & 7) {
	case 0:
		return head + varint(p + head, n - head, &length);
	case 1:
		return head + 8;
	case 2:
		more = varint(p + head, n - head, &length);
		return head + more + (size_t)length;
	default:
		return head + 4;
	}
}

bool hostile_damage(struct arena *a, struct hostile_record *r, unsigned int n)
{
	static const uint8_t unknown[][12] = {
		{ 0xf8, 0x3f, 1 },                               /* field 1023: 1 */
		{ 0xfa, 0x3f, 2, 'h', 'i' },                     /* field 1023: bytes */
		{ 0xfb, 0x3f, 0xfc, 0x3f },                      /* a group */
		{ 0xfa, 0x3f, 0xff, 0xff, 0xff, 0xff, 0x0f },    /* longer than there is */
		{ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1 }, /* no field at all */
		{ 0x00, 0x01 },                                  /* field 0 */
	};
	static const uint8_t lengths[] = { 3, 5, 4, 7, 8, 2 };
	size_t size = protobuf_c_message_get_packed_size(r->msg), at = 0, one = 0;
	uint8_t *p = arena_alloc(a, size * 2 + 32);

	protobuf_c_message_pack(r->msg, p);
	r->raw = p;
	r->n_raw = size;
	if (n < N(lengths)) {
		memcpy(p + size, unknown[n], lengths[n]);
		r->n_raw += lengths[n];
		return true;
	}
	n -= N(lengths);
	for (unsigned int i = 0; i <= n / 3 && at < size; i++) {
		at += one;
		one = at < size ? field_size(p + at, size - at) : 0;
	}
	if (at >= size || one > size - at)
		return false;
	if (n % 3 == 0) { /* not there */
		memmove(p + at, p + at + one, size - at - one);
		r->n_raw -= one;
	} else if (n % 3 == 1) { /* twice */
		memcpy(p + size, p + at, one);
		r->n_raw += one;
	} else { /* at the end */
		memcpy(p + size, p + at, one);
		memmove(p + at, p + at + one, size - at);
	}
	return true;
}

/* --- at random ----------------------------------------------------------------------------------- */

struct choice {
	struct hostile_place place;
	unsigned int seen;
	u64 state;
};

static u64 next(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void choose(void *arg, const struct hostile_place *p)
{
	struct choice *c = arg;

	if (next(&c->state) % ++c->seen == 0)
		c->place = *p;
}

static void change_field(struct hostile *h, ProtobufCMessage *msg, u64 *state)
{
	struct choice c = { .state = next(state) };
	unsigned int n = (unsigned int)(next(state) % 90);
	size_t size;
	auto_free void *before = NULL;

	hostile_each_place(msg, &c, choose);
	size = c.place.msg->descriptor->sizeof_message;
	before = mem_alloc(size);
	memcpy(before, c.place.msg, size);
	/* the list of 90 is longer than most have: then one of the first */
	while (!hostile_set(&h->arena, &c.place, n)) {
		memcpy(c.place.msg, before, size);
		n = n ? (unsigned int)(next(state) % n) : 0;
		if (!n)
			break;
	}
}

/* One value of a field where another of its type stands: references that lead elsewhere. */
static void copy_number(struct hostile *h, u64 *state)
{
	struct choice from = { .state = next(state) }, to = { .state = next(state) };
	size_t a = next(state) % h->records.n, b = next(state) % h->records.n;

	hostile_each_place(h->records.v[a].msg, &from, choose);
	hostile_each_place(h->records.v[b].msg, &to, choose);
	if (from.place.field->label == PROTOBUF_C_LABEL_REPEATED ||
	    to.place.field->label == PROTOBUF_C_LABEL_REPEATED ||
	    from.place.field->type != to.place.field->type ||
	    from.place.field->type == PROTOBUF_C_TYPE_MESSAGE)
		return;
	memcpy((char *)to.place.msg + to.place.field->offset,
	       (char *)from.place.msg + from.place.field->offset,
	       record_value_size(to.place.field));
}

static void change_records(struct hostile *h, u64 *state)
{
	size_t n = h->records.n, i = next(state) % n;
	struct hostile_record room = h->records.v[i];

	switch (next(state) % 4) {
	case 0: /* a kind that it has not */
		hostile_add_kind(h, kinds[next(state) % n_kinds]);
		return;
	case 1: /* twice */
		*vec_add(&h->records) = room;
		break;
	case 2: /* not there */
		h->records.v[i] = h->records.v[--h->records.n];
		break;
	default:
		hostile_damage(&h->arena, &h->records.v[i], (unsigned int)(next(state) % 30));
		break;
	}
	if (next(state) % 2)
		hostile_fix_tags(h);
}

static void change(struct hostile *h, u64 *state)
{
	u64 what = next(state) % 16;

	if (what == 0 || !h->records.n)
		change_field(h, &h->manifest->base, state);
	else if (what <= 2)
		change_records(h, state);
	else if (what <= 5)
		copy_number(h, state);
	else
		change_field(h, h->records.v[next(state) % h->records.n].msg, state);
}

size_t hostile_mutate(uint8_t *blob, size_t n, size_t room, unsigned int seed,
		      size_t (*rest)(uint8_t *data, size_t n, size_t room))
{
	u64 state = seed;
	struct hostile h;
	auto_buf out = { 0 };

	if ((rest && next(&state) % 16 == 0) || !hostile_parse(&h, blob, n))
		return rest ? rest(blob, n, room) : n;
	for (u64 k = next(&state) % 3 + 1; k; k--)
		change(&h, &state);
	hostile_pack(&h, &out);
	hostile_free(&h);
	if (out.len > room)
		return n;
	memcpy(blob, out.p, out.len);
	return out.len;
}
