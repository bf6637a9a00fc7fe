/* SPDX-License-Identifier: MIT */
#include "remote/filters.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#include "arch/arch.h"
#include "base/cbpf.h"
#include "base/compat.h"

#define ROOM (CBPF_MAX * sizeof(struct sock_filter))

static int cannot(int tid, int code, struct error *e)
{
	if (code == EACCES || code == EPERM)
		return fail(e, code,
			    "thread %d is under seccomp; to save that needs CAP_SYS_ADMIN in the "
			    "first user namespace, and a cr that is not under seccomp itself",
			    tid);
	if (code == EMEDIUMTYPE)
		return fail(e, code, "thread %d has a seccomp filter that the kernel cannot tell",
			    tid);
	return fail(e, code, "read the seccomp filters of thread %d", tid);
}

/* The flags that can be told: LOG. */
static uint64_t read_flags(int tid, uint32_t index)
{
	struct __ptrace_seccomp_metadata data = { .filter_off = index };

	/* Without CONFIG_CHECKPOINT_RESTORE there would be no program to read either. */
	if (ptrace(PTRACE_SECCOMP_GET_METADATA, tid, sizeof(data), &data) < 0)
		return 0;
	return data.flags;
}

static const struct held_filter *find(const struct filter_store *s, const struct held_filter *like)
{
	for (const struct held_filter *f = s->all; f; f = f->other)
		if (f->below == like->below && f->n == like->n && f->flags == like->flags &&
		    !memcmp(f->code, like->code, f->n * sizeof(*f->code)))
			return f;
	return NULL;
}

static const struct held_filter *keep(struct filter_store *s, const struct held_filter *f)
{
	struct held_filter *out = (struct held_filter *)(void *)s->at;

	/* The code lies behind already. */
	*out = *f;
	out->other = s->all;
	s->all = out;
	s->at += sizeof(*out) + f->n * sizeof(*f->code);
	return out;
}

/* The oldest has the number 0. */
int filters_read(struct held_thread *t, struct filter_store *s, struct error *e)
{
	t->filter = NULL;
	for (uint32_t i = 0; t->seccomp == SECCOMP_MODE_FILTER; i++) {
		struct held_filter f = { .below = t->filter, .depth = i + 1 };
		struct sock_filter *code = (void *)(s->at + sizeof(f));
		const struct held_filter *known;
		long n;

		if ((size_t)(s->end - s->at) < sizeof(f) + ROOM)
			return fail(e, 0, "too many seccomp filters");
		n = ptrace(PTRACE_SECCOMP_GET_FILTER, t->tid, (long)i, code);
		if (n < 0 && errno == ENOENT)
			break;
		if (n < 0)
			return cannot(t->tid, errno, e);
		f.n = (uint32_t)n;
		f.flags = read_flags(t->tid, i);
		f.code = code;
		if (!cbpf_is_valid(code, f.n))
			return fail(e, 0,
				    "thread %d has a seccomp filter with instructions that this cr "
				    "does not know",
				    t->tid);
		known = find(s, &f);
		t->filter = known ? known : keep(s, &f);
	}
	return 0;
}

uint32_t filters_verdict(const struct held_filter *newest, int nr, const uint64_t args[6])
{
	struct seccomp_data call = { .nr = nr, .arch = arch_audit };
	uint32_t verdict = SECCOMP_RET_ALLOW;

	memcpy(call.args, args, sizeof(call.args));
	for (; newest; newest = newest->below)
		verdict = cbpf_stricter(verdict, cbpf_run(newest->code, newest->n, &call));
	return verdict;
}

bool filters_let(const struct held_filter *newest, int nr, const uint64_t args[6])
{
	uint32_t action = filters_verdict(newest, nr, args) & SECCOMP_RET_ACTION_FULL;

	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

int filters_suspend(const struct held_thread *t, bool on, struct error *e)
{
	int rc;

	if (!t->seccomp)
		return 0;
	rc = trace_set_suspended(t->tid, on);
	if (rc == 0)
		return 0;
	return on ? cannot(t->tid, -rc, e)
		  : fail(e, -rc, "put the seccomp filters of thread %d back", t->tid);
}

bool filters_are_there(int tid)
{
	return ptrace(PTRACE_SECCOMP_GET_FILTER, tid, 0, NULL) > 0;
}
