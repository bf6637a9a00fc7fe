/* SPDX-License-Identifier: MIT */
/*
 * One open file description of a pipe. What is unread is looked at by tee(2) and reading a pipe of our
 * own; a pipe in packet mode (O_DIRECT) keeps its packets.
 */
#include "kind.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "dump/api.h"
#include "pipe.pb-c.h"
#include "proc/task.h"
#include "restore/api.h"

#define READS 1u
#define WRITES 2u
#define PACKET_MAX 4096u /* PIPE_BUF: a longer write in packet mode makes several packets */
#define SIZE_MAX_OF_PIPE (1u << 31)

static unsigned int ends_of(uint32_t flags)
{
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return READS;
	case O_WRONLY:
		return WRITES;
	default:
		return READS | WRITES;
	}
}

static const char *end_name(unsigned int end)
{
	return end == READS ? "reading" : "writing";
}

/* --- who else has the pipe --------------------------------------------------------------------- */

/* The ends of the pipe with this link text ("pipe:[123]") that the process has open. */
static unsigned int ends_in(int proc, const char *link)
{
	struct pids fds = { 0 };
	unsigned int ends = 0;
	struct error e;

	if (proc_fds(proc, &fds, &e) < 0)
		return 0;
	vec_each(fd, &fds.list) {
		char path[32], text[64];
		struct stat st;
		ssize_t n;

		snprintf(path, sizeof(path), "fd/%d", *fd);
		n = readlinkat(proc, path, text, sizeof(text) - 1);
		if (n < 0)
			continue;
		text[n] = '\0';
		/* The permissions of the link itself tell how it was opened. */
		if (strcmp(text, link) || fstatat(proc, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		ends |= (st.st_mode & S_IRUSR ? READS : 0) | (st.st_mode & S_IWUSR ? WRITES : 0);
	}
	vec_free(&fds.list);
	return ends;
}

struct holder {
	int inside, outside; /* pids; 0: none */
	char name[64];       /* of the one outside */
};

/* Looks for processes that have this end of the pipe, by the descriptors of all that may be looked at. */
static void find_holder(const struct fd_view *v, unsigned int end, struct holder *h)
{
	DIR *all = opendir("/proc");
	struct dirent *de;

	while (all && !h->inside && (de = readdir(all))) {
		struct proc_stat stat;
		struct error e;
		int pid;
		auto_fd proc = -1;

		if (!str_to_pid(de->d_name, &pid) || pid == getpid())
			continue;
		proc = openat(dirfd(all), de->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0 || !(ends_in(proc, v->link) & end))
			continue;
		if (v->in_tree && v->in_tree(v->engine, pid)) {
			h->inside = pid;
		} else if (!h->outside && proc_stat_read(proc, &stat, &e) == 0) {
			h->outside = pid;
			memcpy(h->name, stat.comm, sizeof(h->name));
		}
	}
	if (all)
		closedir(all);
}

static int refuse_outside(unsigned int end, const struct holder *h, struct error *e)
{
	const char *name = end_name(end);

	if (!h->outside)
		return fail(
			e, 0,
			"a process outside the tree has its end for %s; redirect it to a file, or "
			"dump that process too",
			name);
	return fail(e, 0,
		    "its end for %s is held by `%s` (pid %d), outside the tree; redirect it to a "
		    "file, or dump that process too",
		    name, h->name, h->outside);
}

static int probe(const struct fd_view *v, struct error *e)
{
	unsigned int other = (READS | WRITES) & ~ends_of(v->info.flags);
	struct holder h = { 0 };

	if (!str_starts(v->link, "pipe:["))
		return fail(
			e, 0,
			"named pipes (FIFOs) cannot be saved yet; use a pipe without a name, or a file");
	/* After the freeze dump() knows better. */
	if (v->dup >= 0 || !v->in_tree || !other || ends_in(v->proc, v->link) & other)
		return 0;
	find_holder(v, other, &h);
	if (!h.outside || h.inside)
		return 0;
	return refuse_outside(other, &h, e);
}

/* --- dump -------------------------------------------------------------------------------------- */

struct ends_arg {
	ino_t inode;
	dev_t dev;
	unsigned int ends;
};

static int add_ends(void *arg, const struct fd_view *v)
{
	struct ends_arg *a = arg;

	if (v->st.st_ino == a->inode && v->st.st_dev == a->dev && S_ISFIFO(v->st.st_mode) &&
	    !(v->info.flags & O_PATH))
		a->ends |= ends_of(v->info.flags);
	return 0;
}

/* An end that no description of the tree has, and that is there nevertheless, is somebody else's. */
static int check_ends(struct dump *d, const struct fd_view *v, struct error *e)
{
	struct ends_arg a = { v->st.st_ino, v->st.st_dev, 0 };
	struct pollfd p = { .fd = v->dup, .events = POLLIN | POLLOUT };
	struct holder h = { 0 };
	bool alone;

	dump_each_description(d, add_ends, &a);
	if (a.ends == (READS | WRITES))
		return 0;
	if (poll(&p, 1, 0) < 0)
		return fail(e, errno, "poll");
	alone = p.revents & (a.ends == READS ? POLLHUP : POLLERR);
	if (alone)
		return 0;
	find_holder(v, (READS | WRITES) & ~a.ends, &h);
	return refuse_outside((READS | WRITES) & ~a.ends, &h, e);
}

/* A copy of what is unread, in a pipe of ours. */
struct copy {
	int rd, wr;
	int left;
};

static void copy_close(struct copy *c)
{
	fd_cleanup(&c->rd);
	fd_cleanup(&c->wr);
}

static int copy_left(struct copy *c, struct error *e)
{
	if (ioctl(c->rd, FIONREAD, &c->left) < 0)
		return fail(e, errno, "FIONREAD");
	return 0;
}

static int copy_make(int from, uint32_t size, struct copy *c, struct error *e)
{
	int fd[2], there;
	ssize_t n;

	if (pipe2(fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail(e, errno, "pipe2");
	c->rd = fd[0];
	c->wr = fd[1];
	if (fcntl(c->wr, F_SETPIPE_SZ, size) < 0)
		return fail(e, errno,
			    "a pipe of the same %u bytes (see pipe(7), pipe-max-size and "
			    "pipe-user-pages-soft)",
			    size);
	n = tee(from, c->wr, INT32_MAX, SPLICE_F_NONBLOCK);
	if (n < 0 && errno != EAGAIN)
		return fail(e, errno, "tee");
	if (ioctl(from, FIONREAD, &there) < 0)
		return fail(e, errno, "FIONREAD");
	if (there != (n < 0 ? 0 : n))
		return fail(e, 0, "only %zd of %d unread bytes could be copied", n, there);
	return copy_left(c, e);
}

/* Takes n bytes of the copy away and gives how many fewer are left now. */
static int copy_skip(struct copy *c, char *room, int n, struct error *e)
{
	int before = c->left, rc;

	if (n && read(c->rd, room, (size_t)n) != n)
		return fail(e, errno, "pipe: read");
	rc = copy_left(c, e);
	return rc < 0 ? rc : before - c->left;
}

static int refuse_mixed(struct error *e)
{
	return fail(e, 0,
		    "holds packets (O_DIRECT) and plain bytes mixed, which cannot be saved yet");
}

/*
 * Whether a run of n bytes that one read gave is one packet. Of a packet, what a read leaves is lost;
 * of plain bytes it is not. early: the read ended before the last byte, as it does behind a packet.
 * tried: a second copy, which loses the run here.
 */
static int is_packet(struct copy *tried, char *room, int n, bool early, struct error *e)
{
	int gone = copy_skip(tried, room, 1, e), more;

	if (gone < 0)
		return gone;
	if (gone == n)
		return n > 1 || early;
	if (early)
		return refuse_mixed(e);
	more = copy_skip(tried, room, n - 2, e);
	if (more < 0)
		return more;
	if (gone + more == n)
		return refuse_mixed(e);
	more = copy_skip(tried, room, 1, e);
	return more < 0 ? more : 0;
}

static void add_run(struct arena *a, Pipe *m, const char *p, size_t n)
{
	ProtobufCBinaryData *data = arena_alloc(a, (m->n_data + 1) * sizeof(*data));

	if (m->n_data)
		memcpy(data, m->data, m->n_data * sizeof(*data));
	data[m->n_data] = (ProtobufCBinaryData){ n, arena_copy(a, p, n) };
	m->data = data;
	m->n_data++;
}

/* A read ends where a packet ends, or with the last byte. */
static int read_runs(struct arena *a, struct copy *c, struct copy *tried, Pipe *m, struct error *e)
{
	auto_free char *room = mem_alloc((size_t)c->left);
	size_t packets = 0;

	while (c->left) {
		ssize_t n = read(c->rd, room, (size_t)c->left);
		int rc;

		if (n <= 0)
			return fail(e, n < 0 ? errno : EIO, "read");
		add_run(a, m, room, (size_t)n);
		rc = is_packet(tried, room, (int)n, n < c->left, e);
		if (rc < 0)
			return rc;
		packets += (size_t)rc;
		rc = copy_left(c, e);
		if (rc < 0)
			return rc;
	}
	/* A last run of one byte may be either; behind packets it is one. */
	if (packets && packets + 1 == m->n_data && m->data[m->n_data - 1].len == 1)
		packets++;
	if (packets && packets != m->n_data)
		return refuse_mixed(e);
	m->packets = packets != 0;
	return 0;
}

/* For reading, under a description of our own if this one is not. */
static int open_for_reading(const struct fd_view *v, struct error *e)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->dup);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? fail(e, errno, "open for reading") : fd;
}

static int dump_data(struct dump *d, const struct fd_view *v, Pipe *m, struct error *e)
{
	__attribute__((cleanup(copy_close))) struct copy c = { -1, -1, 0 }, tried = { -1, -1, 0 };
	auto_fd own = -1;
	int from = v->dup, unread, rc;

	if (ioctl(v->dup, FIONREAD, &unread) < 0)
		return fail(e, errno, "FIONREAD");
	if (!unread)
		return 0;
	if (!(ends_of(v->info.flags) & READS))
		from = own = open_for_reading(v, e);
	if (from < 0)
		return from;
	rc = copy_make(from, m->size, &c, e);
	if (rc == 0)
		rc = copy_make(from, m->size, &tried, e);
	if (rc == 0)
		rc = read_runs(dump_arena(d), &c, &tried, m, e);
	return rc;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	Pipe *m = record;
	int size = fcntl(v->dup, F_GETPIPE_SZ), rc;

	if (size < 0)
		return fail(e, errno, "F_GETPIPE_SZ");
	m->size = (uint32_t)size;
	m->pipe = dump_shared(d, &kind_pipe, v->st.st_ino, v->id);
	if (m->pipe != v->id)
		return 0;
	rc = check_ends(d, v, e);
	return rc < 0 ? rc : dump_data(d, v, m, e);
}

/* --- restore ----------------------------------------------------------------------------------- */

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const Pipe *m = record, *first = restore_record(r, "PIPE", m->pipe);
	size_t room = m->size / PACKET_MAX, sum = 0;

	if (!first || first->pipe != m->pipe || (m->n_data && m->pipe != m->id))
		return fail(e, 0, "pipe %u: the image has no first end of it", m->pipe);
	if (!m->size || m->size > SIZE_MAX_OF_PIPE)
		return fail(e, 0, "pipe %u: a size of %u bytes", m->pipe, m->size);
	for (size_t i = 0; i < m->n_data; i++) {
		if (!m->data[i].len || (m->packets && m->data[i].len > PACKET_MAX))
			return fail(e, 0, "pipe %u: a packet of %zu bytes", m->pipe,
				    m->data[i].len);
		sum += m->data[i].len;
	}
	if (m->packets ? m->n_data > room : sum > m->size)
		return fail(e, 0, "pipe %u: %zu bytes of data do not fit into it", m->pipe, sum);
	return 0;
}

/*
 * Never waits: each run begins a page of its own unless it fits behind the last, so that runs of other
 * lengths than a dump gives may find no room.
 */
static int write_data(const Pipe *m, int fd, struct error *e)
{
	if (!m->n_data)
		return 0;
	if (fcntl(fd, F_SETFL, O_NONBLOCK | (m->packets ? O_DIRECT : 0)) < 0)
		return fail(e, errno, "pipe: F_SETFL");
	for (size_t i = 0; i < m->n_data; i++) {
		int rc = fd_write_full(fd, m->data[i].data, m->data[i].len);

		if (rc < 0)
			return fail(e, -rc, "pipe: write");
	}
	if (fcntl(fd, F_SETFL, 0) < 0)
		return fail(e, errno, "pipe: F_SETFL");
	return 0;
}

static int make(const Pipe *m, int *rd, int *wr, struct error *e)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return fail(e, errno, "pipe2");
	*rd = fd[0];
	*wr = fd[1];
	/* A user with many pipes gets smaller ones, so the size is always set. */
	if (fcntl(fd[1], F_SETPIPE_SZ, m->size) < 0)
		return fail(e, errno,
			    "pipe of %u bytes (above /proc/sys/fs/pipe-max-size it needs "
			    "CAP_SYS_RESOURCE)",
			    m->size);
	return write_data(m, fd[1], e);
}

static int open_again(int fd, uint32_t flags, struct error *e)
{
	char path[48];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, (int)(flags & (O_ACCMODE | KERNEL_O_LARGEFILE)) | O_CLOEXEC);
	return again < 0 ? fail(e, errno, "open %s, a pipe", path) : again;
}

/*
 * pipe2() makes two descriptions; they are handed out first, the last of them as a duplicate, so that
 * one number is left through which others can be opened. Those can be told: only open(2) sets
 * O_LARGEFILE. The places: 0 reading, 1 writing, 2 what has been handed out; -1 not yet, -2 gone.
 */
static int open_pipe(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const Pipe *m = record;
	int *end[2] = { restore_shared_fd(r, &kind_pipe, m->pipe, 0),
			restore_shared_fd(r, &kind_pipe, m->pipe, 1) };
	int *given = restore_shared_fd(r, &kind_pipe, m->pipe, 2);
	unsigned int which = (flags & O_ACCMODE) == O_WRONLY;
	int fd, rc = 0;

	if (*end[0] == -1 && *end[1] == -1)
		rc = make(restore_record(r, "PIPE", m->pipe), end[0], end[1], e);
	if (rc < 0)
		return rc;
	if ((flags & O_ACCMODE) == O_RDWR || flags & KERNEL_O_LARGEFILE || *end[which] < 0 ||
	    *given == -2 - (int)which)
		return open_again(*end[0] >= 0 ? *end[0] : *end[1], flags, e);
	if (*end[!which] >= 0) {
		fd = *end[which];
		*end[which] = -2;
		return fd;
	}
	*given = -2 - (int)which;
	fd = fcntl(*end[which], F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? fail(e, errno, "pipe: F_DUPFD") : fd;
}

static const struct fd_ops ops = {
	.match = { .type = S_IFIFO },
	.probe = probe,
	.dump = dump,
	.link = link_record,
	.open = open_pipe,
	.late_flags = O_NONBLOCK | O_DIRECT | O_ASYNC | O_APPEND | O_NOATIME,
};

const struct kind kind_pipe = {
	.name = "pipe",
	.record = { "PIPE", 1, &pipe__descriptor },
	.fd = &ops,
};
