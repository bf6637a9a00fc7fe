/* SPDX-License-Identifier: MIT */
/*
 * An epoll set. The kernel knows a member by the number and the description it was added under, so
 * the task adds its members itself, under its own numbers.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "dump/api.h"
#include "epoll.pb-c.h"
#include "restore/api.h"

/* A line of fdinfo: "tfd: 5 events: 19 data: 5  pos:0 ino:4d2 sdev:f" (ino and sdev since 4.14). */
struct member {
	uint64_t fd, events, data, ino, sdev;
};

static bool take_field(const char **s, const char *name, unsigned int base, uint64_t *out)
{
	*s += strspn(*s, " ");
	if (name) {
		if (!str_starts(*s, name))
			return false;
		*s += strlen(name);
		*s += strspn(*s, " ");
	}
	return str_take_u64(s, base, out);
}

static int take_member(const char *line, struct member *m, struct error *e)
{
	const char *s = line;
	uint64_t pos;

	if (!take_field(&s, NULL, 10, &m->fd) || !take_field(&s, "events:", 16, &m->events) ||
	    !take_field(&s, "data:", 16, &m->data) || !take_field(&s, "pos:", 10, &pos) ||
	    !take_field(&s, "ino:", 16, &m->ino) || !take_field(&s, "sdev:", 16, &m->sdev))
		return fail(e, 0, "a line of fdinfo that is not understood: %s", line);
	return 0;
}

/* Calls each(v, m, toff) for every member; toff: how many before it have the same number. */
static int each_member(const struct fd_view *v, void *arg,
		       int (*each)(const struct fd_view *v, void *arg, const struct member *m,
				   uint32_t toff, struct error *e),
		       struct error *e)
{
	struct member m, before = { .fd = UINT64_MAX };
	uint32_t toff = 0;

	for (size_t i = 0; i < v->info.n_lines; i++) {
		int rc;

		if (strcmp(v->info.lines[i].key, "tfd"))
			continue;
		rc = take_member(v->info.lines[i].value, &m, e);
		if (rc < 0)
			return rc;
		toff = m.fd == before.fd ? toff + 1 : 0;
		rc = each(v, arg, &m, toff, e);
		if (rc < 0)
			return rc;
		before = m;
	}
	return 0;
}

static int refuse(const struct member *m, struct error *e)
{
	return fail(e, 0,
		    "its member fd %" PRIu64 " was closed or replaced by another file after it "
		    "was added, and only a copy of the old one keeps it alive: have the program "
		    "remove it from the set first (EPOLL_CTL_DEL)",
		    m->fd);
}

/* Device numbers of the kernel itself: 12 bits and 20 bits. */
static dev_t kernel_dev(uint64_t sdev)
{
	return makedev((unsigned int)(sdev >> 20), (unsigned int)(sdev & 0xfffff));
}

static int probe_member(const struct fd_view *v, void *arg, const struct member *m, uint32_t toff,
			struct error *e)
{
	char path[32];
	struct stat st;

	(void)arg;
	(void)toff;
	snprintf(path, sizeof(path), "fd/%" PRIu64, m->fd);
	if (fstatat(v->proc, path, &st, 0) < 0)
		return errno == ENOENT ? refuse(m, e) : fail(e, errno, "stat %s", path);
	if (st.st_ino != m->ino || st.st_dev != kernel_dev(m->sdev))
		return refuse(m, e);
	return 0;
}

static int probe(const struct fd_view *v, struct error *e)
{
	return each_member(v, NULL, probe_member, e);
}

/* --- dump -------------------------------------------------------------------------------------- */

struct dump_arg {
	struct dump *d;
	Epoll *record;
};

static int dump_member(const struct fd_view *v, void *arg, const struct member *m, uint32_t toff,
		       struct error *e)
{
	struct dump_arg *a = arg;
	struct kcmp_epoll_slot slot = { (uint32_t)v->fd, (uint32_t)m->fd, toff };
	EpollMember *to;
	int rc = sys_kcmp(v->tid, v->tid, KCMP_EPOLL_TFD, m->fd, (unsigned long)&slot);

	/* All anonymous descriptors have one inode: that the number is the member's only kcmp proves. */
	if (rc < 0 && rc != -EBADF && rc != -ENOENT)
		return fail(e, -rc, "kcmp of member fd %" PRIu64, m->fd);
	if (rc)
		return refuse(m, e);
	to = arena_alloc(dump_arena(a->d), sizeof(*to));
	epoll_member__init(to);
	to->fd = (uint32_t)m->fd;
	to->description = dump_description(a->d, v->pid, (int)m->fd);
	to->events = (uint32_t)m->events;
	to->data = m->data;
	if (!to->description)
		return refuse(m, e);
	a->record->members[a->record->n_members++] = to;
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	Epoll *m = record;
	struct dump_arg arg = { d, m };
	struct epoll_busy_poll busy;

	if (ioctl(v->dup, EPOLL_GET_BUSY_POLL, &busy) == 0 &&
	    (busy.usecs || busy.budget || busy.prefer))
		return fail(e, 0,
			    "busy polling (EPIOCSPARAMS) cannot be saved yet; have the program "
			    "switch it off");
	m->process = (uint32_t)v->pid;
	m->members = arena_alloc(dump_arena(d), (v->info.n_lines + 1) * sizeof(*m->members));
	return each_member(v, &arg, dump_member, e);
}

/* --- restore ----------------------------------------------------------------------------------- */

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const Epoll *m = record;

	for (size_t i = 0; i < m->n_members; i++) {
		uint32_t flags;
		int rc = restore_flags(r, m->members[i]->description, &flags, e);

		if (rc < 0)
			return within(e, rc, "epoll: member fd %u", m->members[i]->fd);
	}
	return 0;
}

static int open_epoll(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)r;
	(void)record;
	(void)flags;
	return fd < 0 ? fail(e, errno, "epoll_create1") : fd;
}

static uint32_t speaks_of(const void *record)
{
	return ((const Epoll *)record)->process;
}

static void emit_member(struct plan *p, int fd, const EpollMember *m)
{
	const struct epoll_event event = { .events = m->events, .data.u64 = m->data };

	plan_note(p, "fd %d: epoll: member fd %u", fd, m->fd);
	plan_call_is(p, 0, SYS_epoll_ctl, arg_num((uint64_t)fd), arg_num(EPOLL_CTL_ADD),
		     arg_num(m->fd), arg_data(plan_data(p, &event, sizeof(event))));
}

/* One that a task makes late is added when it has come, which somebody has to bring here. */
static int check_late(struct restore *r, const EpollMember *m, uint32_t pid, struct error *e)
{
	struct late l;
	int rc = restore_late(r, m->description, LATE_WAITS, &l, e);

	for (size_t i = 0; i < l.n_tables && rc >= 0; i++)
		if (l.tables[i] == pid)
			return 0;
	return rc < 0 ? rc : fail(e, 0, "process %u does not get its member fd %u", pid, m->fd);
}

/*
 * The kernel adds EPOLLERR and EPOLLHUP whenever a member is added. So one with EPOLLONESHOT that has
 * fired, and waits for the program to set it anew, can tell of an error or a hangup once before that;
 * and an edge that the program has seen is told once more.
 */
static int emit(struct restore *r, struct plan *p, const void *record, uint32_t pid, int fd,
		struct error *e)
{
	const Epoll *m = record;
	int rc = 0;

	if (m->n_members && m->process != pid)
		return fail(e, 0,
			    "its members have the numbers of process %u, but it is process %u that "
			    "has the set",
			    m->process, pid);
	for (size_t i = 0; i < m->n_members && rc >= 0; i++) {
		if (restore_is_late(r, m->members[i]->description))
			rc = check_late(r, m->members[i], pid, e);
		else
			emit_member(p, fd, m->members[i]);
	}
	return rc;
}

static int emit_late(struct restore *r, struct plan *p, const void *record, uint32_t pid, int fd,
		     uint32_t late, struct error *e)
{
	const Epoll *m = record;

	(void)r;
	(void)e;
	for (size_t i = 0; i < m->n_members && m->process == pid; i++)
		if (m->members[i]->description == late)
			emit_member(p, fd, m->members[i]);
	return 0;
}

static const struct fd_ops ops = {
	.match = { .link = "anon_inode:[eventpoll]" },
	.probe = probe,
	.dump = dump,
	.link = link_record,
	.open = open_epoll,
	.late_flags = O_APPEND | O_ASYNC | O_NOATIME | O_NONBLOCK,
	.speaks_of = speaks_of,
	.emit = emit,
	.emit_late = emit_late,
};

const struct kind kind_epoll = {
	.name = "epoll",
	.record = { "EPOL", 1, &epoll__descriptor },
	.fd = &ops,
};
