/* SPDX-License-Identifier: MIT */
/*
 * The terminal. A tree that was started in one goes on in that of cr, whichever that is: its controlling
 * terminal, else what descriptors 0, 1 and 2 are on. What the program had of it is
 *
 *   descriptors   opened anew, by its name or as /dev/tty; where 0, 1 or 2 of cr are redirected, those of
 *                 the image that were on the terminal are cr's
 *   a group       the root gets one of its own in the session of cr, as a shell gives one to a job
 *   foreground    given by cr before the commit, if cr itself has it
 *   settings      the program's, if it was in the foreground at the dump; cr keeps its own and puts them
 *                 back whenever the tree stops or ends
 *   session       a tree whose root leads its own and had the terminal in it gets it for good: cr, if it
 *                 leads its session too, gives it up, and the root takes it before it forks
 *
 * All signals of cr are blocked meanwhile, so what a background process does to the terminal is done
 * and not answered by SIGTTOU.
 */
#include "restore/internal.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "proc/task.h"

#define PTY_MAJORS 136u /* Documentation/admin-guide/devices.txt */
#define PTY_MAJORS_END 144u
#define SLEEP_TURNS 250 /* of 0.2 ms and more */

/* --- what kinds may call ------------------------------------------------------------------------- */

void restore_terminal(struct restore *r, const struct terminal_settings *t)
{
	r->terminal.is_wanted = true;
	if (!t)
		return;
	r->terminal.has_settings = true;
	r->terminal.program = *t;
}

int restore_open_terminal(struct restore *r, bool by_tty, int flags, struct error *e)
{
	const struct terminal *t = &r->terminal;

	if (by_tty && t->fd < 0)
		return fail(
			e, ENXIO,
			"the program had its terminal open as /dev/tty, and cr has no controlling "
			"terminal; run cr in one");
	return restore_open(r, by_tty ? "/dev/tty" : t->path, flags | O_NOCTTY | O_CLOEXEC, e);
}

/* --- which one ----------------------------------------------------------------------------------- */

/* The controlling one answers this on its own descriptors only. */
static bool is_on_controlling(int fd)
{
	int session;

	return ioctl(fd, TIOCGSID, &session) == 0;
}

/* A name that is not there for cr (another mount namespace) is no hindrance for the link in /proc. */
static void name_by_descriptor(struct terminal *t, int fd)
{
	char link[64];
	ssize_t n;

	snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", fd);
	n = readlink(t->path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	if (!strcmp(link, "/dev/tty"))
		t->path[0] = '\0';
}

/* Of the controlling terminal, if no descriptor of cr is on it. */
static int name_by_number(struct terminal *t, struct error *e)
{
	unsigned int number, high, low;

	if (ioctl(t->fd, TIOCGDEV, &number) < 0)
		return fail(e, errno, "TIOCGDEV of the terminal");
	high = number >> 8 & 0xfff;
	low = (number & 0xff) | (number >> 12 & 0xfff00);
	if (high >= PTY_MAJORS && high < PTY_MAJORS_END)
		snprintf(t->path, sizeof(t->path), "/dev/pts/%u", (high - PTY_MAJORS) << 20 | low);
	else if (high == 4 && low < 64)
		snprintf(t->path, sizeof(t->path), "/dev/tty%u", low);
	else if (high == 4)
		snprintf(t->path, sizeof(t->path), "/dev/ttyS%u", low - 64);
	auto_fd fd = t->path[0] ? open(t->path, O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
	if (fd >= 0 && is_on_controlling(fd))
		return 0;
	return fail(e, 0,
		    "the name of cr's terminal cannot be found; run cr with its input from it");
}

int terminal_find(struct restore *r, struct error *e)
{
	struct terminal *t = &r->terminal;
	struct host *h = &r->host;
	unsigned int number, first = 0;

	t->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	h->has_terminal = t->fd >= 0;
	h->leads_session = h->has_terminal && getsid(0) == h->pid;
	for (int fd = 0; fd < 3 && t->is_wanted; fd++) {
		bool is_on;

		if (t->fd >= 0)
			is_on = is_on_controlling(fd);
		else
			is_on = ioctl(fd, TIOCGDEV, &number) == 0 && (!first || first == number);
		if (!is_on) {
			h->redirected |= 1u << fd;
			continue;
		}
		first = number;
		if (!t->path[0])
			name_by_descriptor(t, fd);
	}
	return t->is_wanted && t->fd >= 0 && !t->path[0] ? name_by_number(t, e) : 0;
}

/* --- what becomes of it -------------------------------------------------------------------------- */

bool terminal_is_redirected(struct restore *r, const Descriptor *d)
{
	const Description *desc;

	if (d->fd > 2 || !(r->host.redirected >> d->fd & 1))
		return false;
	desc = restore_record(r, "DESC", d->description);
	return kind_by_tag(desc->kind)->fd->is_terminal;
}

static int check_there(struct restore *r, const struct rtable *t, struct error *e)
{
	for (size_t i = 0; i < t->files->n_fds; i++) {
		const Descriptor *d = t->files->fds[i];
		const Description *desc = restore_record(r, "DESC", d->description);

		if (!kind_by_tag(desc->kind)->fd->is_terminal || terminal_is_redirected(r, d))
			continue;
		return fail(
			e, 0,
			"task %u: fd %u is on a terminal, and cr has none; run cr in a terminal%s",
			t->owner->rec->id, d->fd,
			d->fd > 2 ? "" : ", or with input and output elsewhere");
	}
	return 0;
}

/*
 * A group whose parent goes away while one of it is stopped gets SIGHUP; and a read from the background
 * stops it as long as cr is there. So what reads by nature is not left to chance.
 */
static int check_input(struct restore *r, const struct rtable *t, struct error *e)
{
	const Descriptor *d = t->files->n_fds ? t->files->fds[0] : NULL;
	const Description *desc = d ? restore_record(r, "DESC", d->description) : NULL;

	if (!d || d->fd || terminal_is_redirected(r, d) ||
	    !kind_by_tag(desc->kind)->fd->is_terminal)
		return 0;
	return fail(
		e, 0,
		"task %u: fd 0 is on the terminal, which is the shell's after --detach; give it "
		"another input (</dev/null), or restore it without --detach",
		t->owner->rec->id);
}

static int check_session(const struct restore *r, const Process *root, struct error *e)
{
	if (r->host.has_terminal && r->host.leads_session)
		return 0;
	return fail(
		e, 0,
		"task %u leads a session of its own with a terminal, and %s; give cr a terminal of "
		"its own: script -qec 'exec cr restore %s' /dev/null",
		root->id, r->host.has_terminal ? "cr's is that of another session" : "cr has none",
		r->opt->dir);
}

/* The group that had the foreground, if it was one of the tree's. */
static void choose_group(struct restore *r, const Process *root)
{
	struct terminal *t = &r->terminal;

	t->root = t->group = root->id;
	t->is_program = t->has_settings && root->foreground == root->group;
	for (size_t i = 1; i < r->n_processes; i++) {
		const Process *p = r->processes[i].rec;

		if (p->id != p->group || p->id != root->foreground || p->session != root->session)
			continue;
		t->group = p->id;
		t->is_program = t->has_settings;
	}
}

int terminal_decide(struct restore *r, struct error *e)
{
	const Process *root = r->processes[0].rec;
	struct terminal *t = &r->terminal;

	for (size_t i = 0; i < r->n_tables[TABLE_FILES] && t->is_wanted && !t->path[0]; i++) {
		int rc = check_there(r, &r->tables[TABLE_FILES][i], e);

		if (rc < 0)
			return rc;
	}
	choose_group(r, root);
	if (root->session == root->id && root->terminal) {
		t->role = TERMINAL_GIVEN;
		return check_session(r, root, e);
	}
	if (!r->host.has_terminal || root->session == root->id)
		t->role = TERMINAL_NONE;
	else
		t->role = r->opt->detach ? TERMINAL_APART : TERMINAL_JOB;
	for (size_t i = 0; i < r->n_tables[TABLE_FILES] && t->role == TERMINAL_APART; i++) {
		int rc = check_input(r, &r->tables[TABLE_FILES][i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

/* --- a session that gets it ---------------------------------------------------------------------- */

/*
 * Before the root forks: only the leader can take a terminal, the others of the session have it from
 * birth. It becomes that of the session as soon as cr has let go, which is told by the same word as that
 * all descriptors are open.
 */
void terminal_plan(struct restore *r, struct plan *p)
{
	const uint64_t set = 1ull << (SIGHUP - 1) | 1ull << (SIGCONT - 1);
	const struct timespec none = { 0 };
	uint64_t set_at = plan_data(p, &set, sizeof(set));
	uint64_t none_at = plan_data(p, &none, sizeof(none));
	uint32_t fetch;

	plan_note(p, "cr has given up its terminal");
	plan_op(p, CR_RST_WAIT, 0, PLAN_ARGS(arg_region(WORD_AT(opened)), arg_num(1)),
		CR_RST_WANT_OK, 0);
	plan_note(p, "signals about that, if the root was still in cr's group");
	for (unsigned int i = 0; i < 2; i++)
		plan_call_any(p, SYS_rt_sigtimedwait, arg_data(set_at), arg_num(0),
			      arg_data(none_at), arg_num(sizeof(set)));
	plan_note(p, "the terminal of the session");
	fetch = terminal_plan_fetch(r, p);
	plan_call_is(p, 0, SYS_ioctl, arg_result(fetch), arg_num(TIOCSCTTY), arg_num(0));
	restore_emit_close(r, p, fetch);
}

uint32_t terminal_plan_fetch(struct restore *r, struct plan *p)
{
	return restore_emit_fetch(r, p, slot_add(r, (struct slot){ .sort = SLOT_TERMINAL }));
}

/* Behind the commit, when all groups are there. */
void terminal_plan_foreground(struct restore *r, struct plan *p, uint32_t fetch)
{
	plan_call_any(p, SYS_ioctl, arg_result(fetch), arg_num(TIOCSPGRP),
		      arg_data(plan_data(p, &r->terminal.group, sizeof(r->terminal.group))));
	plan_call_any(p, SYS_close, arg_result(fetch));
}

/* What a leader's TIOCNOTTY sends to the foreground group, cr's own, is not meant for the tree. */
static void drop_signals(void)
{
	const struct timespec none = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCONT);
	while (sigtimedwait(&set, NULL, &none) > 0)
		continue;
}

static int read_settings(int fd, struct terminal_settings *s)
{
	struct termios2 t;
	struct winsize w;

	if (ioctl(fd, TCGETS2, &t) < 0 || ioctl(fd, TIOCGWINSZ, &w) < 0)
		return -errno;
	*s = (struct terminal_settings){
		.iflag = t.c_iflag,
		.oflag = t.c_oflag,
		.cflag = t.c_cflag,
		.lflag = t.c_lflag,
		.ispeed = t.c_ispeed,
		.ospeed = t.c_ospeed,
		.rows = w.ws_row,
		.columns = w.ws_col,
		.x_pixels = w.ws_xpixel,
		.y_pixels = w.ws_ypixel,
	};
	memcpy(s->cc, t.c_cc, sizeof(s->cc));
	return 0;
}

/* How a line is wired is no matter of the program unless there is no line. */
static int write_settings(int fd, const struct terminal_settings *s)
{
	struct termios2 t;
	unsigned int number;

	if (ioctl(fd, TCGETS2, &t) < 0 || ioctl(fd, TIOCGDEV, &number) < 0)
		return -errno;
	t.c_iflag = s->iflag;
	t.c_oflag = s->oflag;
	t.c_lflag = s->lflag;
	memcpy(t.c_cc, s->cc, sizeof(t.c_cc));
	if ((number >> 8 & 0xfff) >= PTY_MAJORS && (number >> 8 & 0xfff) < PTY_MAJORS_END) {
		t.c_cflag = s->cflag;
		t.c_ispeed = s->ispeed;
		t.c_ospeed = s->ospeed;
	}
	/* At once: output may be held back for ever (Ctrl-S). */
	return ioctl(fd, TCSETS2, &t) < 0 ? -errno : 0;
}

static int set_foreground(int fd, uint32_t group)
{
	return ioctl(fd, TIOCSPGRP, &group) < 0 ? -errno : 0;
}

int terminal_leave(struct restore *r, struct error *e)
{
	struct terminal *t = &r->terminal;
	int rc;

	if (t->role != TERMINAL_GIVEN)
		return 0;
	rc = read_settings(t->fd, &t->own);
	if (rc < 0)
		return fail(e, -rc, "read the settings of the terminal");
	if (ioctl(t->fd, TIOCNOTTY) < 0)
		return fail(e, errno, "TIOCNOTTY");
	t->is_left = true;
	drop_signals();
	return 0;
}

/* Nobody is left of the tree. A pseudo terminal outlives the leader of its session. */
void terminal_take_back(struct restore *r)
{
	struct terminal *t = &r->terminal;

	if (!t->is_left)
		return;
	if (ioctl(t->fd, TIOCSCTTY, 0) < 0 || write_settings(t->fd, &t->own) < 0)
		debug(RESTORE, "the terminal is lost: %s", strerror(errno));
	t->is_left = false;
}

/* --- a job --------------------------------------------------------------------------------------- */

bool terminal_is_ours(const struct restore *r)
{
	pid_t group;

	return ioctl(r->terminal.fd, TIOCGPGRP, &group) == 0 && group == getpgrp();
}

/* All or nothing. */
static int give(struct terminal *t, bool settings)
{
	int rc = read_settings(t->fd, &t->own);

	if (rc == 0 && settings)
		rc = write_settings(t->fd, &t->program);
	if (rc == 0)
		rc = set_foreground(t->fd, t->group);
	if (rc < 0 && settings)
		(void)write_settings(t->fd, &t->own);
	t->is_held = rc == 0;
	return rc;
}

int terminal_give_first(struct restore *r, struct error *e)
{
	struct terminal *t = &r->terminal;
	int rc = 0;

	if (t->role == TERMINAL_GIVEN && t->is_program)
		rc = write_settings(t->fd, &t->program);
	else if (t->role == TERMINAL_JOB && terminal_is_ours(r))
		rc = give(t, t->is_program);
	return rc < 0 ? fail(e, -rc, "give the terminal to process group %u", t->group) : 0;
}

/*
 * A program that waits for a key looks at what a handler has noted only when its call tells EINTR: a signal
 * that comes before it is back in there would be noticed at the next key, which would be lost. One that
 * computes is not waited for long.
 */
static void await_sleep(const struct restore *r)
{
	const struct timespec pause = { .tv_nsec = 200000 };
	int turns = SLEEP_TURNS;

	for (size_t i = 0; i < r->n_processes; i++) {
		const Process *p = r->processes[i].rec;
		char path[32];

		if (p->group != r->terminal.group)
			continue;
		snprintf(path, sizeof(path), "/proc/%u", p->id);
		auto_fd dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		for (; turns > 0 && proc_state(dir) == 'R'; turns--)
			nanosleep(&pause, NULL);
	}
}

/*
 * Nobody but the program knows what was on its screen. One that draws whole screens, which reads single
 * characters, does so again when it is told that its window has another size.
 */
void terminal_tell_size(struct restore *r)
{
	struct terminal *t = &r->terminal;
	struct terminal_settings now;

	if (!t->has_settings || (t->role != TERMINAL_GIVEN && !t->is_held))
		return;
	if (read_settings(t->fd, &now) < 0)
		return;
	if (now.rows != t->program.rows || now.columns != t->program.columns ||
	    (t->is_program && !(t->program.lflag & ICANON))) {
		await_sleep(r);
		kill(-(pid_t)t->group, SIGWINCH);
	}
}

void terminal_give(struct restore *r)
{
	struct terminal *t = &r->terminal;

	if (t->is_held || !terminal_is_ours(r))
		return;
	/* A group that has ended meanwhile cannot get it. */
	if (give(t, t->is_program) < 0 && t->group != t->root) {
		t->group = t->root;
		(void)give(t, t->is_program);
	}
}

void terminal_take(struct restore *r)
{
	struct terminal *t = &r->terminal;
	uint32_t group;

	if (!t->is_held)
		return;
	t->is_held = false;
	if (ioctl(t->fd, TIOCGPGRP, &group) < 0)
		return;
	t->group = group;
	t->is_program = t->has_settings = read_settings(t->fd, &t->program) == 0;
	(void)write_settings(t->fd, &t->own);
	(void)set_foreground(t->fd, (uint32_t)getpgrp());
}
