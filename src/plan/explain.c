/* SPDX-License-Identifier: MIT */
/* Plans for people: one decoded line for each operation. */
#include "plan/plan.h"

#include <assert.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compat.h"
#include "base/escape.h"

/*
 * How arguments are shown, a letter each: d signed decimal, x hexadecimal, p an address, o octal,
 * P PROT_*, M MAP_*, s a string in the plan's data, S a signal's number.
 */
struct call_row {
	uint32_t nr;
	const char *name, *args;
};

#define CALL(name, args)                \
	{                               \
		SYS_##name, #name, args \
	}
static const struct call_row calls[] = {
	CALL(arch_prctl, "xp"),
	CALL(brk, "p"),
	CALL(capset, "pp"),
	CALL(chdir, "s"),
	CALL(chroot, "s"),
	CALL(clock_gettime, "dp"),
	CALL(close, "d"),
	CALL(close_range, "ddx"),
	CALL(dup3, "ddo"),
	CALL(epoll_ctl, "dddp"),
	CALL(exit, "d"),
	CALL(exit_group, "d"),
	CALL(fchdir, "d"),
	CALL(fcntl, "ddx"),
	CALL(futex, "pddppd"),
	CALL(get_mempolicy, "ppdpx"),
	CALL(getitimer, "dp"),
	CALL(getpid, ""),
	CALL(getppid, ""),
	CALL(gettid, ""),
	CALL(ioctl, "dxp"),
	CALL(ioprio_set, "ddx"),
	CALL(keyctl, "ddxxx"),
	CALL(kill, "dS"),
	CALL(lseek, "ddd"),
	CALL(madvise, "pxd"),
	CALL(membarrier, "xxd"),
	CALL(mlock2, "pxd"),
	CALL(mlockall, "x"),
	CALL(mmap, "pxPMdx"),
	CALL(modify_ldt, "dpx"),
	CALL(mprotect, "pxP"),
	CALL(mremap, "pxxxp"),
	CALL(mseal, "pxx"),
	CALL(msync, "pxd"),
	CALL(munmap, "px"),
	CALL(openat, "dso"),
	CALL(personality, "x"),
	CALL(pidfd_getfd, "ddd"),
	CALL(pidfd_open, "dx"),
	CALL(pkey_alloc, "dx"),
	CALL(pkey_free, "d"),
	CALL(pkey_mprotect, "pxPd"),
	CALL(prctl, "dxxxx"),
	CALL(pread64, "dpxx"),
	CALL(preadv, "dpdx"),
	CALL(prlimit64, "ddpp"),
	CALL(request_key, "pppd"),
	CALL(rseq, "pdxx"),
	CALL(rt_sigaction, "Sppd"),
	CALL(rt_sigprocmask, "dppd"),
	CALL(rt_sigqueueinfo, "dSp"),
	CALL(rt_sigtimedwait, "pppd"),
	CALL(rt_tgsigqueueinfo, "ddSp"),
	CALL(sched_setaffinity, "ddp"),
	CALL(sched_setattr, "dpx"),
	CALL(seccomp, "dxp"),
	CALL(set_mempolicy, "dpd"),
	CALL(set_robust_list, "pd"),
	CALL(set_tid_address, "p"),
	CALL(setfsgid, "d"),
	CALL(setfsuid, "d"),
	CALL(setgroups, "dp"),
	CALL(setitimer, "dpp"),
	CALL(setpgid, "dd"),
	CALL(setpriority, "ddd"),
	CALL(setresgid, "ddd"),
	CALL(setresuid, "ddd"),
	CALL(setsid, ""),
	CALL(shmat, "dpx"),
	CALL(sigaltstack, "pp"),
	CALL(tgkill, "ddS"),
	CALL(timer_create, "dpp"),
	CALL(timer_delete, "d"),
	CALL(timer_getoverrun, "d"),
	CALL(timer_gettime, "dp"),
	CALL(timer_settime, "ddpp"),
	CALL(umask, "o"),
	CALL(unshare, "x"),
	CALL(userfaultfd, "x"),
	CALL(wait4, "dpxp"),
	CALL(waitid, "ddpxp"),
	CALL(write, "dpx"),
};

struct flag_name {
	uint64_t bit;
	const char *name;
};

#define FLAG(x)       \
	{             \
		x, #x \
	}
static const struct flag_name prot_names[] = {
	FLAG(PROT_READ),
	FLAG(PROT_WRITE),
	FLAG(PROT_EXEC),
};
static const struct flag_name map_names[] = {
	FLAG(MAP_SHARED),    FLAG(MAP_PRIVATE),   FLAG(MAP_FIXED), FLAG(MAP_ANONYMOUS),
	FLAG(MAP_GROWSDOWN), FLAG(MAP_NORESERVE), FLAG(MAP_STACK), FLAG(MAP_FIXED_NOREPLACE),
	FLAG(MAP_DROPPABLE), FLAG(MAP_HUGETLB),
};
static const struct flag_name clone_names[] = {
	FLAG(CLONE_VM),      FLAG(CLONE_FS),     FLAG(CLONE_FILES),
	FLAG(CLONE_SIGHAND), FLAG(CLONE_THREAD), FLAG(CLONE_SYSVSEM),
	FLAG(CLONE_PARENT),  FLAG(CLONE_IO),     { 0x100000000ull, "CLONE_CLEAR_SIGHAND" },
};

static void add_flags(struct buf *out, uint64_t v, const struct flag_name *names, size_t n,
		      const char *none)
{
	const char *bar = "";

	if (!v)
		buf_printf(out, "%s", none);
	for (size_t i = 0; i < n; i++) {
		if (!(v & names[i].bit))
			continue;
		buf_printf(out, "%s%s", bar, names[i].name);
		v &= ~names[i].bit;
		bar = "|";
	}
	if (v)
		buf_printf(out, "%s%#llx", bar, (unsigned long long)v);
}

static const struct call_row *find_call(uint32_t nr)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (calls[i].nr == nr)
			return &calls[i];
	}
	return NULL;
}

const char *plan_call_name(uint32_t nr, char buf[24])
{
	const struct call_row *c = find_call(nr);

	if (c)
		return c->name;
	snprintf(buf, 24, "syscall_%u", nr);
	return buf;
}

/* Names come from outside. */
static void add_text(struct buf *out, const char *s)
{
	buf_add(out, "\"", 1);
	escape_add(out, s, strlen(s));
	buf_add(out, "\"", 1);
}

static void add_const(struct buf *out, uint64_t v, char how)
{
	switch (how) {
	case 'd':
	case 'S':
		buf_printf(out, "%lld", (long long)(int64_t)v);
		break;
	case 'o':
		buf_printf(out, "%#llo", (unsigned long long)v);
		break;
	case 'P':
		add_flags(out, v, prot_names, sizeof(prot_names) / sizeof(prot_names[0]),
			  "PROT_NONE");
		break;
	case 'M':
		add_flags(out, v, map_names, sizeof(map_names) / sizeof(map_names[0]), "0");
		break;
	case 'C':
		add_flags(out, v, clone_names, sizeof(clone_names) / sizeof(clone_names[0]), "0");
		break;
	default:
		buf_printf(out, v ? "%#llx" : "%llx", (unsigned long long)v);
		break;
	}
}

static void add_arg(const struct plan *p, const struct plan_op *o, unsigned int i, char how,
		    struct buf *out)
{
	uint64_t v = o->op.arg[i];

	if (o->slots & 1u << i) {
		buf_printf(out, "slot %llu", (unsigned long long)v);
		return;
	}
	switch ((o->op.how >> (2 * i)) & 3) {
	case CR_RST_CONST:
		add_const(out, v, how);
		break;
	case CR_RST_RESULT:
		buf_printf(out, "#%llu", (unsigned long long)v);
		break;
	case CR_RST_DATA:
		if (how == 's')
			add_text(out, p->data.p + v);
		else
			buf_printf(out, "data+%#llx", (unsigned long long)v);
		break;
	default:
		buf_printf(out, "region+%#llx", (unsigned long long)v);
		break;
	}
}

static const struct {
	const char *name, *args;
} codes[] = {
	[CR_RST_READ] = { "read", "dpxx" },
	[CR_RST_READV] = { "readv", "dpdx" },
	[CR_RST_COPY] = { "copy", "ppx" },
	[CR_RST_CLONE] = { "clone", "CSdx" },
	[CR_RST_WAIT] = { "wait", "pdd" },
	[CR_RST_POST] = { "post", "pdd" },
	[CR_RST_SET_MM] = { "set_mm", "ppdxd" },
	[CR_RST_LEAVE] = { "leave", "p" },
	[CR_RST_END] = { "end", "" },
	[CR_RST_VANISH] = { "vanish", "px" },
	[CR_RST_STORE] = { "store", "ppd" },
	[CR_RST_LEFT] = { "left", "px" },
	[CR_RST_MOVE] = { "move", "dppx" },
	[CR_RST_HASH] = { "hash", "ppxdx" },
};

void plan_explain_op(const struct plan *p, uint32_t index, struct buf *out)
{
	const struct plan_op *o = &p->ops.v[index];
	const char *name, *args = "xxxxxx";
	char text[24];

	assert(index < p->ops.n);
	if (o->op.code == CR_RST_CALL) {
		const struct call_row *c = find_call(o->op.nr);

		name = plan_call_name(o->op.nr, text);
		args = c ? c->args : args;
	} else {
		name = codes[o->op.code].name;
		args = codes[o->op.code].args;
	}
	buf_printf(out, "%s(", name);
	for (unsigned int i = 0; args[i]; i++) {
		buf_printf(out, i ? ", " : "");
		add_arg(p, o, i, args[i], out);
	}
	buf_printf(out, ")");
	if (o->op.code != CR_RST_CALL)
		return;
	if (o->op.want_how == CR_RST_WANT_EXACT)
		buf_printf(out, o->op.want > 4096 ? " = %#llx" : " = %lld", (long long)o->op.want);
	else if (o->op.want_how == CR_RST_WANT_OK_OR)
		buf_printf(out, " or %s", strerrorname_np((int)-o->op.want));
	else if (o->op.want_how == CR_RST_WANT_ANY)
		buf_printf(out, " any");
}

void plan_explain(const struct plan *p, struct buf *out)
{
	const char *note = NULL;

	for (uint32_t i = 0; i < p->ops.n; i++) {
		if (p->ops.v[i].note && p->ops.v[i].note != note) {
			buf_printf(out, "    # ");
			escape_add(out, p->ops.v[i].note, strlen(p->ops.v[i].note));
			buf_printf(out, "\n");
		}
		note = p->ops.v[i].note;
		buf_printf(out, "%4u  ", i);
		plan_explain_op(p, i, out);
		buf_printf(out, "\n");
	}
}
