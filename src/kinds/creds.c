/* SPDX-License-Identifier: MIT */
/*
 * Credentials of a thread. The kernel ties ids, capabilities and securebits together in ways that
 * depend on what was there before, so the way from cr's credentials to the wanted ones is found by
 * keeping account of what each call does (security/commoncap.c), and only what differs is set.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/caps.h"
#include "base/fd.h"
#include "creds.pb-c.h"
#include "dump/api.h"
#include "proc/keys.h"
#include "restore/api.h"
#include "restore/host.h"

#define CAP(n) (1ull << (n))
#define NO_ID UINT32_MAX /* setresuid(2): leave it as it is */

enum question {
	SECUREBITS,
	THREAD_KEYRING,
	PROCESS_KEYRING,
	SESSION_KEYRING, /* asked of one thread, as the next */
	USER_KEYRING
};

/*
 * A search for the keyring of a name: KEYCTL_GET_KEYRING_ID would give a task without a session keyring that
 * of its user. One that a login or a service manager makes has this name.
 */
static void ask_key(struct plan *batch, const char *name)
{
	static const char type[] = "keyring";
	uint64_t at = plan_data(batch, type, sizeof(type));

	plan_call_any(batch, SYS_request_key, arg_data(at),
		      arg_data(plan_data(batch, name, strlen(name) + 1)), arg_num(0), arg_num(0));
}

static void ask(struct plan *batch, const struct task_view *v)
{
	static const int own[] = { KEY_SPEC_THREAD_KEYRING, KEY_SPEC_PROCESS_KEYRING };
	char name[32];

	plan_call_any(batch, SYS_prctl, arg_num(PR_GET_SECUREBITS));
	for (int i = 0; i < 2; i++)
		plan_call_any(batch, SYS_keyctl, arg_num(KEYCTL_GET_KEYRING_ID),
			      arg_num((uint64_t)own[i]), arg_num(0));
	if (!v->speaks)
		return;
	ask_key(batch, "_ses");
	snprintf(name, sizeof(name), "_uid_ses.%u", v->status->uid[0]);
	ask_key(batch, name);
}

/* A session keyring by another name than the usual one is what neither is found beside. */
static int check_named(const struct task_view *v, struct error *e)
{
	auto_buf users = { 0 };

	if (task_answer(v, SESSION_KEYRING) != -ENOKEY || task_answer(v, USER_KEYRING) != -ENOKEY ||
	    fd_read_file(AT_FDCWD, "/proc/key-users", &users) < 0 ||
	    !keys_has_user(users.p, v->status->uid[0]))
		return 0;
	return fail(
		e, 0,
		"has a session keyring with a name of its own (keyctl), which cannot be saved yet; "
		"start the program outside of that session");
}

static int check_keyrings(const struct task_view *v, struct error *e)
{
	int64_t session;
	char text[256];

	if (task_answer(v, THREAD_KEYRING) > 0 || task_answer(v, PROCESS_KEYRING) > 0)
		return fail(
			e, 0,
			"has a keyring of its own (for the %s), and keys of the kernel cannot be "
			"saved yet; have the program drop it, or keep its keys in that of the user",
			task_answer(v, THREAD_KEYRING) > 0 ? "thread" : "process");
	session = v->speaks ? task_answer(v, SESSION_KEYRING) : 0;
	if (session > 0 && keys_find("_ses") != session && keys_has_own((int32_t)session, text))
		return fail(
			e, 0,
			"has keys in its session keyring (%s), and keys of the kernel cannot be "
			"saved yet; keep them in the keyring of the user",
			text);
	return v->speaks ? check_named(v, e) : 0;
}

static int dump(struct dump *d, const struct task_view *v, void *record, struct error *e)
{
	const struct proc_status *s = v->status;
	int64_t securebits = task_answer(v, SECUREBITS);
	Creds *m = record;
	int rc;

	if (securebits < 0)
		return fail(e, (int)-securebits, "PR_GET_SECUREBITS");
	rc = check_keyrings(v, e);
	if (rc < 0)
		return rc;
	m->ruid = s->uid[0];
	m->euid = s->uid[1];
	m->suid = s->uid[2];
	m->fsuid = s->uid[3];
	m->rgid = s->gid[0];
	m->egid = s->gid[1];
	m->sgid = s->gid[2];
	m->fsgid = s->gid[3];
	m->n_groups = s->n_groups;
	m->groups = arena_copy(dump_arena(d), s->groups, s->n_groups * sizeof(*s->groups));
	m->cap_inheritable = s->cap_inh;
	m->cap_permitted = s->cap_prm;
	m->cap_effective = s->cap_eff;
	m->cap_bounding = s->cap_bnd;
	m->cap_ambient = s->cap_amb;
	m->securebits = (uint32_t)securebits;
	return 1;
}

/* --- restore: what the thread has at each point ------------------------------------------------ */

struct state {
	struct plan *p;
	const Creds *want;
	uint64_t inh, prm, eff, bnd, amb;
	bool eff_unknown;
	uint32_t uid[4], gid[4]; /* real, effective, saved, filesystem */
	uint32_t securebits;
};

static void set_caps(struct state *s, uint64_t inh, uint64_t prm, uint64_t eff)
{
	const struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)eff, (uint32_t)prm, (uint32_t)inh },
		{ (uint32_t)(eff >> 32), (uint32_t)(prm >> 32), (uint32_t)(inh >> 32) },
	};
	uint64_t at = plan_data(s->p, &head, sizeof(head));

	plan_note(s->p, "capability sets");
	plan_call_is(s->p, 0, SYS_capset, arg_data(at),
		     arg_data(plan_data(s->p, data, sizeof(data))));
	s->inh = inh;
	s->prm = prm;
	s->eff = eff;
	s->amb &= prm & inh;
	s->eff_unknown = false;
}

/* Makes a capability effective that is only permitted; whether it is there at all the kernel will say. */
static void need(struct state *s, unsigned int cap)
{
	if (s->prm & CAP(cap) && (s->eff_unknown || !(s->eff & CAP(cap))))
		set_caps(s, s->inh, s->prm, s->prm);
}

static bool is_any_root(const uint32_t id[4])
{
	return !id[0] || !id[1] || !id[2];
}

/* A set of inheritable capabilities can only grow within the bounding set, and beyond the permitted
 * one with CAP_SETPCAP alone. */
static void emit_bounding(struct state *s)
{
	uint64_t drop = s->bnd & ~s->want->cap_bounding;

	if (s->want->cap_inheritable & ~s->inh & ~(s->want->cap_bounding & s->prm))
		set_caps(s, s->want->cap_inheritable, s->prm, s->prm);
	if (drop)
		need(s, CAP_SETPCAP);
	plan_note(s->p, "capability bounding set (needs CAP_SETPCAP)");
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (drop & CAP(cap))
			plan_call_is(s->p, 0, SYS_prctl, arg_num(PR_CAPBSET_DROP), arg_num(cap));
	}
	s->bnd &= s->want->cap_bounding;
}

static void emit_groups(struct state *s, const struct host *h)
{
	const Creds *m = s->want;

	if (m->n_groups == h->n_groups &&
	    (!m->n_groups || !memcmp(m->groups, h->groups, m->n_groups * sizeof(*m->groups))))
		return;
	need(s, CAP_SETGID);
	plan_note(s->p, "supplementary groups (needs CAP_SETGID)");
	plan_call_is(s->p, 0, SYS_setgroups, arg_num(m->n_groups),
		     arg_data(plan_data(s->p, m->groups, m->n_groups * sizeof(*m->groups))));
}

/* setfsuid and setfsgid tell nothing of success: the value before comes back, so ask once more. */
static void emit_fsid(struct state *s, uint32_t nr, uint32_t id)
{
	plan_call_any(s->p, nr, arg_num(id));
	plan_call_is(s->p, id, nr, arg_num(NO_ID));
}

static void emit_gids(struct state *s)
{
	const Creds *m = s->want;
	const uint32_t gid[4] = { m->rgid, m->egid, m->sgid, m->fsgid };

	if (!memcmp(gid, s->gid, sizeof(gid)))
		return;
	need(s, CAP_SETGID);
	plan_note(s->p, "group ids %u %u %u (needs CAP_SETGID)", gid[0], gid[1], gid[2]);
	plan_call_is(s->p, 0, SYS_setresgid, arg_num(gid[0]), arg_num(gid[1]), arg_num(gid[2]));
	if (gid[3] != gid[1])
		emit_fsid(s, SYS_setfsgid, gid[3]);
}

/* cap_emulate_setxuid(): what a change of user ids does to capabilities. */
static void account_setresuid(struct state *s, const uint32_t uid[4])
{
	if (!(s->securebits & SECBIT_NO_SETUID_FIXUP)) {
		if (is_any_root(s->uid) && !is_any_root(uid)) {
			if (!(s->securebits & SECBIT_KEEP_CAPS))
				s->prm = s->eff = 0;
			s->amb = 0;
		}
		if (!s->uid[1] && uid[1])
			s->eff = 0;
		if (s->uid[1] && !uid[1])
			s->eff = s->prm;
	}
	memcpy(s->uid, uid, 3 * sizeof(*uid));
	s->uid[3] = uid[1];
}

static void emit_keep_caps(struct state *s, bool on)
{
	plan_note(s->p, "keep capabilities over a change of user ids");
	plan_call_is(s->p, 0, SYS_prctl, arg_num(PR_SET_KEEPCAPS), arg_num(on));
	s->securebits = on ? s->securebits | SECBIT_KEEP_CAPS : s->securebits & ~SECBIT_KEEP_CAPS;
}

static void emit_uids(struct state *s)
{
	const Creds *m = s->want;
	const uint32_t uid[4] = { m->ruid, m->euid, m->suid, m->fsuid };
	bool later = m->cap_permitted || m->cap_inheritable & ~s->inh ||
		     m->securebits != s->securebits || uid[3] != uid[1];
	bool drops = is_any_root(s->uid) && !is_any_root(uid) &&
		     !(s->securebits & (SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS));

	if (!memcmp(uid, s->uid, sizeof(uid)))
		return;
	need(s, CAP_SETUID);
	if (later && drops)
		emit_keep_caps(s, true);
	plan_note(s->p, "user ids %u %u %u (needs CAP_SETUID)", uid[0], uid[1], uid[2]);
	plan_call_is(s->p, 0, SYS_setresuid, arg_num(uid[0]), arg_num(uid[1]), arg_num(uid[2]));
	account_setresuid(s, uid);
	if (uid[3] == uid[1])
		return;
	need(s, CAP_SETUID);
	plan_note(s->p, "user id %u for files (needs CAP_SETUID)", uid[3]);
	emit_fsid(s, SYS_setfsuid, uid[3]);
	/* To or from 0 it takes or gives the capabilities of files. */
	s->eff_unknown = true;
}

static void emit_ambient(struct state *s)
{
	uint64_t want = s->want->cap_ambient;

	if (want & ~s->amb && ((want & ~s->inh) || (want & ~s->prm)))
		set_caps(s, s->want->cap_inheritable, s->prm, s->prm);
	plan_note(s->p, "ambient capabilities");
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (!((want ^ s->amb) & CAP(cap)))
			continue;
		plan_call_is(s->p, 0, SYS_prctl, arg_num(PR_CAP_AMBIENT),
			     arg_num(want & CAP(cap) ? PR_CAP_AMBIENT_RAISE : PR_CAP_AMBIENT_LOWER),
			     arg_num(cap));
	}
	s->amb = want;
}

static void emit_securebits(struct state *s)
{
	uint32_t want = s->want->securebits, differ = want ^ s->securebits;

	if (!differ)
		return;
	if (differ == SECBIT_KEEP_CAPS) {
		emit_keep_caps(s, want & SECBIT_KEEP_CAPS);
		return;
	}
	need(s, CAP_SETPCAP);
	plan_note(s->p, "securebits %#x (needs CAP_SETPCAP)", want);
	plan_call_is(s->p, 0, SYS_prctl, arg_num(PR_SET_SECUREBITS), arg_num(want));
	s->securebits = want;
}

/* --- restore: what cannot be had --------------------------------------------------------------- */

static int lacks(uint64_t wanted, uint64_t have, const char *set, struct error *e)
{
	char name[64];

	if (!(wanted & ~have))
		return 0;
	return fail(e, 0,
		    "its %s capability set holds %s, which cr itself does not have: run cr with it",
		    set, caps_name(__builtin_ctzll(wanted & ~have), name, sizeof(name)));
}

static int check(const Creds *m, const struct host *h, struct error *e)
{
	int rc = lacks(m->cap_permitted, h->cap_prm, "permitted", e);

	if (rc == 0)
		rc = lacks(m->cap_bounding, h->cap_bnd, "bounding", e);
	if (rc < 0)
		return rc;
	if (m->cap_effective & ~m->cap_permitted ||
	    m->cap_ambient & ~(m->cap_permitted & m->cap_inheritable))
		return fail(e, 0, "capability sets that no thread can have");
	if (m->ruid == NO_ID || m->euid == NO_ID || m->suid == NO_ID || m->fsuid == NO_ID ||
	    m->rgid == NO_ID || m->egid == NO_ID || m->sgid == NO_ID || m->fsgid == NO_ID)
		return fail(e, 0, "%u is no user or group id", NO_ID);
	return 0;
}

static int emit(struct restore *r, struct plan *p, const void *record, uint32_t tid,
		struct error *e)
{
	const struct host *h = restore_host(r);
	const Creds *m = record;
	struct state s = {
		.p = p,
		.want = m,
		.inh = h->cap_inh,
		.prm = h->cap_prm,
		.eff = h->cap_eff,
		.bnd = h->cap_bnd,
		.amb = h->cap_amb,
		.securebits = h->securebits,
	};
	int rc = check(m, h, e);

	(void)tid;
	if (rc < 0)
		return rc;
	memcpy(s.uid, h->uid, sizeof(s.uid));
	memcpy(s.gid, h->gid, sizeof(s.gid));
	emit_bounding(&s);
	emit_groups(&s, h);
	emit_gids(&s);
	emit_uids(&s);
	emit_ambient(&s);
	emit_securebits(&s);
	if (s.eff_unknown || s.inh != m->cap_inheritable || s.prm != m->cap_permitted ||
	    s.eff != m->cap_effective)
		set_caps(&s, m->cap_inheritable, m->cap_permitted, m->cap_effective);
	return 0;
}

static const struct task_ops ops = {
	.scope = SCOPE_THREAD,
	.stage = STAGE_CREDS,
	.ask = ask,
	.dump = dump,
	.emit = emit,
};

const struct kind kind_creds = {
	.name = "creds",
	.record = { "CRED", 1, &creds__descriptor },
	.task = &ops,
};
