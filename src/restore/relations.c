/* SPDX-License-Identifier: MIT */
#include "restore/relations.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define NAME_MAX_BYTES 15u /* TASK_COMM_LEN less 1 */
#define BIT(signal) (1ull << ((signal)-1))
/* Those that kill nobody by default. */
#define HARMLESS                                                                                   \
	(BIT(SIGCHLD) | BIT(SIGCONT) | BIT(SIGSTOP) | BIT(SIGTSTP) | BIT(SIGTTIN) | BIT(SIGTTOU) | \
	 BIT(SIGURG) | BIT(SIGWINCH))

int relations_check_zombie(const Zombie *z, struct error *e)
{
	if (z->exit_signal > 64)
		return fail(e, 0, "exit signal %u is out of range", z->exit_signal);
	if (z->name.len > NAME_MAX_BYTES || memchr(z->name.data, '\0', z->name.len))
		return fail(e, 0, "its name is too long, or has a 0 in it");
	if (z->has_exit_status == z->has_death_signal)
		return fail(e, 0, "it has either exited or been killed");
	if (z->has_exit_status && z->exit_status > 255)
		return fail(e, 0, "status %u is out of range", z->exit_status);
	if (z->has_death_signal &&
	    (z->death_signal < 1 || z->death_signal > 64 || BIT(z->death_signal) & HARMLESS))
		return fail(e, 0, "signal %u kills nobody", z->death_signal);
	return 0;
}

/* --- who there is -------------------------------------------------------------------------------- */

int relations_build(struct restore *r, struct error *e)
{
	struct relatives *all = arena_alloc(&r->arena, sizeof(*all));
	size_t n_zombies = 0;

	vec_each(rec, &r->img.records)
		n_zombies += !strcmp(rec->type->tag, record_zombie.tag);
	*all = (struct relatives){ .v = arena_alloc(&r->arena, 3 * (r->n_processes + n_zombies) *
								       sizeof(*all->v)) };
	for (size_t i = 0; i < r->n_processes; i++) {
		struct rprocess *p = &r->processes[i];

		p->relative = &all->v[all->n++];
		*p->relative = (struct relative){ .id = p->rec->id,
						  .group = p->rec->group,
						  .session = p->rec->session,
						  .exit_signal = p->rec->exit_signal,
						  .parent = p->parent ? p->parent->relative : NULL,
						  .session_is_gone =
							  p->parent || p->rec->session_is_gone };
		for (enum table t = 0; t < TABLES; t++)
			p->relative->table[t] = p->threads[0].table[t]->id;
		p->relative->memory = p->threads[0].rec->mm;
		p->relative->actions = p->threads[0].rec->sighand;
		p->relative->context = p->threads[0].rec->io_context;
	}
	vec_each(rec, &r->img.records) {
		const Zombie *z = (const Zombie *)rec->msg;

		if (strcmp(rec->type->tag, record_zombie.tag))
			continue;
		all->v[all->n++] =
			(struct relative){ .id = z->id,
					   .group = z->group,
					   .session = z->session,
					   .exit_signal = z->exit_signal,
					   .session_is_gone = true,
					   .parent = tree_process(r, z->parent)->relative,
					   .has_ended = true,
					   .record = z };
	}
	r->relatives = all;
	return relations_find(all, e);
}

/* --- plans ----------------------------------------------------------------------------------------- */

void relations_plan_own(struct restore *r, struct task_plan *t, const struct relative *x)
{
	const struct relative *root = &r->relatives->v[0];
	struct plan *p = &t->plan;

	plan_note(p, "session and process group");
	if (x->session == x->id) {
		plan_call_is(p, x->id, SYS_setsid, arg_num(0));
		if (x == root && r->terminal.role == TERMINAL_GIVEN)
			terminal_plan(r, p);
	} else if (x->how == GROUP_OWN || (x == root && r->terminal.role != TERMINAL_NONE)) {
		/* In a terminal the root is a job of its own. */
		plan_call_is(p, 0, SYS_setpgid, arg_num(0), arg_num(0));
	} else if (x->how == GROUP_ABOVE) {
		plan_call_is(p, 0, SYS_setpgid, arg_num(0), arg_num(x->group));
	}
	if (x->is_awaited)
		plan_post(p, WORD_AT(led), r->relatives->n_led);
}

void relations_plan_join(struct restore *r, struct plan *p, const struct relative *x)
{
	const struct relative *root = &r->relatives->v[0];
	bool is_job = r->terminal.role != TERMINAL_NONE && root->session != root->id;

	if (x->how != GROUP_JOINED && x->how != GROUP_OUTSIDE)
		return;
	plan_note(p, "process group of another");
	if (x->how == GROUP_OUTSIDE) {
		plan_call_is(p, 0, SYS_setpgid, arg_num(0),
			     arg_num(is_job ? root->id : (uint64_t)r->host.group));
		return;
	}
	plan_wait(p, WORD_AT(led), r->relatives->n_led);
	plan_call_is(p, 0, SYS_setpgid, arg_num(0), arg_num(x->group));
	if (x->leader->is_made)
		plan_post(p, WORD_AT(joined), r->relatives->n_joined);
}

/* No core file: what the zombie's own death has left is there already. */
static void die(struct plan *p, const Zombie *z)
{
	static const uint64_t none;

	plan_note(p, "ends as it had ended");
	if (z->has_exit_status) {
		plan_call(p, SYS_exit_group, arg_num(z->exit_status));
		return;
	}
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_DUMPABLE), arg_num(0));
	plan_call_is(p, 0, SYS_tgkill, arg_num(z->id), arg_num(z->id), arg_num(z->death_signal));
	plan_call(p, SYS_rt_sigprocmask, arg_num(SIG_SETMASK),
		  arg_data(plan_data(p, &none, sizeof(none))), arg_num(0), arg_num(sizeof(none)));
	plan_call_is(p, -1, SYS_exit_group, arg_num(127));
}

void relations_plan_ended(struct restore *r, struct task_plan *t, const struct relative *x)
{
	const Zombie *z = x->record;
	struct plan *p = &t->plan;
	char name[NAME_MAX_BYTES + 1] = "";

	relations_plan_join(r, p, x);
	if (x->is_made && x->is_awaited) {
		plan_note(p, "until all are in the group");
		plan_wait(p, WORD_AT(joined), r->relatives->n_joined);
	}
	if (x->is_made)
		return;
	plan_note(p, "name and user");
	memcpy(name, z->name.data, z->name.len);
	plan_call_is(p, 0, SYS_prctl, arg_num(PR_SET_NAME),
		     arg_data(plan_data(p, name, sizeof(name))));
	if (z->uid != r->host.uid[0])
		plan_call_is(p, 0, SYS_setresuid, arg_num(z->uid), arg_num(z->uid),
			     arg_num(z->uid));
	die(p, z);
}

/* born: those that a sibling makes, which are there for sure once that one has ended. */
static uint64_t await_ended(struct plan *p, const struct relative *parent, bool born)
{
	uint64_t signals = 0;

	for (const struct relative *x = parent->ended; x; x = x->next) {
		if ((x->born_of != NULL) != born)
			continue;
		plan_note(p, "until %u has ended", x->id);
		if (x->is_made)
			plan_call_is(p, x->id, SYS_wait4, arg_num(x->id), arg_num(0),
				     arg_num(__WALL), arg_num(0));
		else
			plan_call_is(p, 0, SYS_waitid, arg_num(P_PID), arg_num(x->id), arg_num(0),
				     arg_num(WEXITED | WNOWAIT | __WALL), arg_num(0));
		if (x->exit_signal)
			signals |= BIT(x->exit_signal);
	}
	return signals;
}

void relations_plan_await(struct plan *p, const struct relative *parent)
{
	static const uint64_t at_once[2];
	uint64_t signals = await_ended(p, parent, false);

	signals |= await_ended(p, parent, true);
	/* The program has got them, or has them among its pending ones. */
	for (int signal = 1; signal <= 64; signal++) {
		uint64_t set = signals & BIT(signal);

		if (set)
			plan_call_any(p, SYS_rt_sigtimedwait,
				      arg_data(plan_data(p, &set, sizeof(set))), arg_num(0),
				      arg_data(plan_data(p, at_once, sizeof(at_once))),
				      arg_num(sizeof(set)));
	}
}
