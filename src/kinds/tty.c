/* SPDX-License-Identifier: MIT */
/*
 * Terminals: consoles, serial lines, pseudo terminals, /dev/tty.
 *
 * A terminal lives on without the program, and the program goes on in another one as well: so what is
 * saved is which descriptors are on it, in what mode the program had it and how large it was, and at the
 * restore all of them are opened on the terminal that cr has. All terminals of a tree are therefore one:
 * the controlling one. Input that was typed but not read stays in the terminal, for whoever reads next.
 *
 * Sessions, groups and the foreground belong to processes, not to descriptors: the engine has them.
 */
#include "kind.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/compat.h"
#include "dump/api.h"
#include "proc/task.h"
#include "restore/api.h"
#include "tty.pb-c.h"

/* Documentation/admin-guide/devices.txt */
#define CONSOLE_MAJOR 4u /* and serial lines */
#define ALTERNATE_MAJOR 5u
#define MASTER_MINOR 2u
#define PTY_MAJORS 136u
#define PTY_MAJORS_END 144u

#define OPEN_FLAGS (O_ACCMODE | O_NONBLOCK | O_SYNC | O_DSYNC | KERNEL_O_LARGEFILE)

static int mine(const struct fd_view *v)
{
	unsigned int n = major(v->st.st_rdev);

	return n == CONSOLE_MAJOR || n == ALTERNATE_MAJOR ||
	       (n >= PTY_MAJORS && n < PTY_MAJORS_END);
}

/* As the kernel counts devices in /proc/PID/stat and TIOCGDEV. */
static uint32_t number_of(dev_t dev)
{
	return (minor(dev) & 0xff) | (major(dev) & 0xfff) << 8 | (minor(dev) & ~0xffu) << 12;
}

/* --- dump ---------------------------------------------------------------------------------------- */

static bool is_deleted(const char *link)
{
	const char *end = strrchr(link, ' ');

	return end && !strcmp(end, " (deleted)");
}

static int fail_closed(struct error *e)
{
	return fail(e, 0,
		    "its terminal was closed, and a program in front of a closed one cannot "
		    "be made again; have the program close it");
}

/* Behind /dev/tty and /dev/console stands another device, which only a duplicate tells. */
static int probe(const struct fd_view *v, struct error *e)
{
	bool alternate = major(v->st.st_rdev) == ALTERNATE_MAJOR;
	struct proc_stat stat;
	int rc;

	if (alternate && minor(v->st.st_rdev) == MASTER_MINOR)
		return fail(
			e, 0,
			"is the other side of a pseudo terminal, as terminal emulators have it, "
			"which cannot be saved yet; dump the program in that terminal instead");
	if (is_deleted(v->link))
		return fail_closed(e);
	if (alternate)
		return 0;
	rc = proc_stat_read(v->proc, &stat, e);
	if (rc < 0)
		return rc;
	if (stat.tty_nr && (uint32_t)stat.tty_nr != number_of(v->st.st_rdev))
		return fail(
			e, 0,
			"is not the controlling terminal of the task, and a second one cannot be "
			"saved yet; have the program close it");
	return 0;
}

static int fill_settings(struct dump *d, const struct fd_view *v, Tty *m, struct error *e)
{
	struct termios2 t;
	struct winsize w;
	TtySettings *s = arena_alloc(dump_arena(d), sizeof(*s));

	if (ioctl(v->dup, TCGETS2, &t) < 0)
		return fail(e, errno, "TCGETS2");
	if (ioctl(v->dup, TIOCGWINSZ, &w) < 0)
		return fail(e, errno, "TIOCGWINSZ");
	tty_settings__init(s);
	s->iflag = t.c_iflag;
	s->oflag = t.c_oflag;
	s->cflag = t.c_cflag;
	s->lflag = t.c_lflag;
	s->cc.data = arena_copy(dump_arena(d), t.c_cc, NCCS);
	s->cc.len = NCCS;
	s->ispeed = t.c_ispeed;
	s->ospeed = t.c_ospeed;
	s->rows = w.ws_row;
	s->columns = w.ws_col;
	s->x_pixels = w.ws_xpixel;
	s->y_pixels = w.ws_ypixel;
	m->settings = s;
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	Tty *m = record;
	unsigned int number;
	int line;
	uint32_t first;

	/* From a background process too: only what changes a terminal stops that. */
	if (ioctl(v->dup, TIOCGDEV, &number) < 0)
		return errno == EIO ? fail_closed(e) : fail(e, errno, "TIOCGDEV");
	if (ioctl(v->dup, TIOCGETD, &line) < 0)
		return fail(e, errno, "TIOCGETD");
	if (line != N_TTY)
		return fail(e, 0, "has line discipline %d, which cannot be saved", line);
	/* The first of all, and the first on this device. */
	first = dump_shared(d, &kind_tty, 0, v->id);
	if (dump_shared(d, &kind_tty, number, v->id) != first)
		return fail(e, 0,
			    "is a second terminal of the tree, which cannot be saved yet; "
			    "have the program close it");
	m->path = arena_strdup(dump_arena(d), v->link);
	return first == v->id ? fill_settings(d, v, m, e) : 0;
}

/* --- restore ------------------------------------------------------------------------------------- */

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const Tty *m = record;
	const TtySettings *s = m->settings;
	struct terminal_settings t = { 0 };

	if (!s) {
		restore_terminal(r, NULL);
		return 0;
	}
	if (s->cc.len != sizeof(t.cc))
		return fail(e, 0, "%zu control characters, not %zu", s->cc.len, sizeof(t.cc));
	if (s->rows > 0xffff || s->columns > 0xffff || s->x_pixels > 0xffff || s->y_pixels > 0xffff)
		return fail(e, 0, "a window of %u rows and %u columns", s->rows, s->columns);
	t.iflag = s->iflag;
	t.oflag = s->oflag;
	t.cflag = s->cflag;
	t.lflag = s->lflag;
	memcpy(t.cc, s->cc.data, sizeof(t.cc));
	t.ispeed = s->ispeed;
	t.ospeed = s->ospeed;
	t.rows = (uint16_t)s->rows;
	t.columns = (uint16_t)s->columns;
	t.x_pixels = (uint16_t)s->x_pixels;
	t.y_pixels = (uint16_t)s->y_pixels;
	restore_terminal(r, &t);
	return 0;
}

static int open_tty(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const Tty *m = record;

	return restore_open_terminal(r, !strcmp(m->path, "/dev/tty"), (int)(flags & OPEN_FLAGS), e);
}

static const struct fd_ops ops = {
	.match = { .type = S_IFCHR },
	.mine = mine,
	.probe = probe,
	.dump = dump,
	.link = link_record,
	.open = open_tty,
	.late_flags = O_APPEND | O_ASYNC | O_NOATIME,
	.is_terminal = true,
};

const struct kind kind_tty = {
	.name = "tty",
	.record = { "TTYD", 1, &tty__descriptor },
	.fd = &ops,
};
