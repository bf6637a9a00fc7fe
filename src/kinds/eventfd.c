/* SPDX-License-Identifier: MIT */
/* An eventfd: a counter. */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/str.h"
#include "dump/api.h"
#include "eventfd.pb-c.h"

/* The greatest count that write(2) can make; only the kernel itself gets beyond, by an overflow. */
#define COUNT_MAX (UINT64_MAX - 1)

static bool number(const struct fd_view *v, const char *key, unsigned int base, uint64_t *out)
{
	for (size_t i = 0; i < v->info.n_lines; i++) {
		if (!strcmp(v->info.lines[i].key, key))
			return str_to_u64(v->info.lines[i].value, base, out);
	}
	return false;
}

static int probe(const struct fd_view *v, struct error *e)
{
	uint64_t count;

	if (!number(v, "eventfd-count", 16, &count))
		return fail(e, 0, "this kernel does not show its count in fdinfo");
	if (count > COUNT_MAX)
		return fail(e, 0,
			    "its count has overflowed, which cannot be made again; have the "
			    "program read it");
	return 0;
}

/*
 * Kernels before 6.5 do not show EFD_SEMAPHORE; only a read tells. With at least 2 in it, a read
 * gives 1 from a semaphore and everything from any other. The subject stands still meanwhile, and the
 * count is then as it was; a program that waits edge-triggered may see one event more.
 */
static int ask_semaphore(int fd, uint64_t count, protobuf_c_boolean *out, struct error *e)
{
	const uint64_t add = count < 2 ? 2 : 0, one = 1;
	uint64_t got;

	if (add && write(fd, &add, sizeof(add)) < 0)
		return fail(e, errno, "eventfd: write");
	if (read(fd, &got, sizeof(got)) < 0)
		return fail(e, errno, "eventfd: read");
	*out = got == 1;
	if (*out && add && read(fd, &got, sizeof(got)) < 0)
		return fail(e, errno, "eventfd: read");
	if (*out && !add && write(fd, &one, sizeof(one)) < 0)
		return fail(e, errno, "eventfd: write");
	if (!*out && count && write(fd, &count, sizeof(count)) < 0)
		return fail(e, errno, "eventfd: write");
	return 0;
}

static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	EventFd *m = record;
	uint64_t semaphore;
	int rc = probe(v, e);

	(void)d;
	if (rc < 0)
		return rc;
	number(v, "eventfd-count", 16, &m->count);
	if (!number(v, "eventfd-semaphore", 10, &semaphore))
		return ask_semaphore(v->dup, m->count, &m->semaphore, e);
	m->semaphore = semaphore != 0;
	return 0;
}

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const EventFd *m = record;

	(void)r;
	if (m->count > COUNT_MAX)
		return fail(e, 0, "eventfd: a count of %llu", (unsigned long long)m->count);
	return 0;
}

static int open_eventfd(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const EventFd *m = record;
	bool fits = m->count <= UINT32_MAX;
	auto_fd fd = eventfd(fits ? (unsigned int)m->count : 0,
			     EFD_CLOEXEC | (flags & O_NONBLOCK ? EFD_NONBLOCK : 0) |
				     (m->semaphore ? EFD_SEMAPHORE : 0));

	(void)r;
	if (fd < 0)
		return fail(e, errno, "eventfd");
	if (!fits && write(fd, &m->count, sizeof(m->count)) < 0)
		return fail(e, errno, "eventfd: write");
	return take_fd(&fd);
}

static const struct fd_ops ops = {
	.match = { .link = "anon_inode:[eventfd]" },
	.probe = probe,
	.dump = dump,
	.link = link_record,
	.open = open_eventfd,
	.late_flags = O_APPEND | O_ASYNC | O_NOATIME,
};

const struct kind kind_eventfd = {
	.name = "eventfd",
	.record = { "EVFD", 1, &event_fd__descriptor },
	.fd = &ops,
};
