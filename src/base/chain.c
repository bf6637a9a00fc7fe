/* SPDX-License-Identifier: MIT */
#include "base/chain.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cbpf.h"
#include "base/compat.h"

bool filter_asks(const struct filter *f)
{
	return cbpf_can_give(f->code, f->n, SECCOMP_RET_USER_NOTIF);
}

bool chain_lets(const struct chain *c, size_t n, int nr, uint64_t a, uint64_t b)
{
	const struct seccomp_data call = { .nr = nr, .arch = c->arch, .args = { a, b } };
	uint32_t verdict = SECCOMP_RET_ALLOW;

	for (size_t i = 0; i < n; i++)
		verdict = cbpf_stricter(verdict, cbpf_run(c->v[i].code, c->v[i].n, &call));
	verdict &= SECCOMP_RET_ACTION_FULL;
	return verdict == SECCOMP_RET_ALLOW || verdict == SECCOMP_RET_LOG;
}

struct install chain_way(const struct chain *c, size_t i, uint64_t sync)
{
	/* Allowed speculation: what was set beside the filter is an attribute of its own. */
	const uint64_t new =
		!c->v[i].listener ? 0
		: sync ? SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		       : SECCOMP_FILTER_FLAG_NEW_LISTENER;
	const uint64_t flags[] = { c->v[i].flags | new | sync | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
				   c->v[i].flags | new | sync };

	for (size_t k = 0; k < 2; k++)
		if (chain_lets(c, i, SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags[k]))
			return (struct install){ SYS_seccomp, flags[k] };
	if (!flags[1] && chain_lets(c, i, SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER))
		return (struct install){ SYS_prctl, 0 };
	return (struct install){ 0, 0 };
}

size_t chain_common(const struct chain *a, const struct chain *b, size_t n)
{
	size_t i = 0;

	while (i < n && i < a->n && i < b->n && a->v[i].n == b->v[i].n &&
	       a->v[i].flags == b->v[i].flags && a->v[i].listener == b->v[i].listener &&
	       (a->v[i].code == b->v[i].code ||
		!memcmp(a->v[i].code, b->v[i].code, a->v[i].n * sizeof(*a->v[i].code))))
		i++;
	return i;
}

int chain_check(const struct chain *c, bool alone, struct error *e)
{
	for (size_t i = 0; i < c->n; i++) {
		if (!c->v[i].listener && filter_asks(&c->v[i]))
			return fail(
				e, 0,
				"its seccomp filter asks a listener (SECCOMP_RET_USER_NOTIF), or "
				"computes its verdict, and no process of the tree has a listener; "
				"dump the supervisor too");
		if (c->v[i].listener && !chain_lets(c, i + 1, SYS_close, 3, 0))
			return fail(
				e, 0,
				"its seccomp filter asks a listener and forbids close, by which "
				"it gets rid of the new one at a restore; allow it");
		if (!chain_way(c, i, 0).nr)
			return fail(e, 0,
				    "its seccomp filter %zu of %zu could not be installed again, "
				    "since those before it forbid that",
				    i + 1, c->n);
	}
	if (!chain_lets(c, c->n, SYS_rt_sigreturn, 0, 0))
		return fail(e, 0,
			    "its seccomp filter forbids rt_sigreturn, by which a thread comes back "
			    "at a restore; allow it");
	if (!alone && !chain_lets(c, c->n, SYS_exit, 0, 0))
		return fail(
			e, 0,
			"its seccomp filter forbids exit, was installed without no_new_privs, and "
			"the right to do that again (CAP_SYS_ADMIN) is given up; allow exit, or set "
			"no_new_privs");
	return 0;
}

struct trial {
	int installed; /* filters so far */
	int error;
	int done;
};

/* Nobody can be sure what calls are left in the end: so it waits to be killed. */
static _Noreturn void install_all(const struct chain *c, volatile struct trial *t)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (size_t i = 0; i < c->n && !t->error; i++) {
		const struct sock_fprog prog = { (unsigned short)c->v[i].n,
						 (struct sock_filter *)(uintptr_t)c->v[i].code };
		struct install way = chain_way(c, i, 0);
		long rc = way.nr == SYS_seccomp
				  ? syscall(way.nr, SECCOMP_SET_MODE_FILTER, way.flags, &prog)
				  : syscall(way.nr, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);

		if (rc < 0)
			t->error = errno;
		else
			t->installed++;
	}
	t->done = 1;
	for (;;)
		continue;
}

int chain_try(const struct chain *c, struct error *e)
{
	volatile struct trial *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct trial out;
	bool ended = false;
	pid_t pid;

	if (t == MAP_FAILED)
		return fail(e, errno, "mmap");
	pid = fork();
	if (pid == 0)
		install_all(c, t);
	while (pid > 0 && !t->done && !ended) {
		ended = waitpid(pid, NULL, WNOHANG) == pid;
		sched_yield();
	}
	out = *t;
	if (pid > 0 && !ended) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	munmap((void *)(uintptr_t)t, sizeof(*t));
	if (pid < 0)
		return fail(e, errno, "fork");
	if (out.error || !out.done)
		return fail(e, out.error, "install seccomp filter %d of %zu", out.installed + 1,
			    c->n);
	return 0;
}
