/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int set, inner, level, edge, once, once_spent, quiet, ends[2], doubled, doubled_copy;

static const char *add(int to, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	need(epoll_ctl(to, EPOLL_CTL_ADD, fd, &ev) == 0);
	return NULL;
}

/* What the set has to tell: one bit for each member by the number in its data. */
static unsigned int ready_members(void)
{
	struct epoll_event events[32];
	unsigned int bits = 0;
	int n = epoll_wait(set, events, 32, 0);

	for (int i = 0; i < n; i++)
		bits |= 1u << (events[i].data.u64 & 31);
	return bits;
}

static const char *prepare(void)
{
	set = epoll_create1(EPOLL_CLOEXEC);
	inner = epoll_create1(0);
	level = eventfd(1, EFD_NONBLOCK);
	edge = eventfd(1, EFD_NONBLOCK);
	once = eventfd(0, EFD_NONBLOCK);
	once_spent = eventfd(1, EFD_NONBLOCK);
	quiet = eventfd(0, EFD_NONBLOCK);
	need(set >= 0 && inner >= 0 && level >= 0 && edge >= 0 && once >= 0 && once_spent >= 0);
	need(pipe(ends) == 0);
	doubled = eventfd(0, EFD_NONBLOCK);
	pass_on(add(set, level, EPOLLIN, 0xabcdef0000000000ul | 1));
	pass_on(add(set, edge, EPOLLIN | EPOLLET, 2));
	pass_on(add(set, once, EPOLLIN | EPOLLONESHOT, 3));
	pass_on(add(set, once_spent, EPOLLIN | EPOLLONESHOT, 4));
	pass_on(add(set, quiet, EPOLLIN | EPOLLPRI, 5));
	pass_on(add(set, ends[0], EPOLLIN | EPOLLRDHUP, 6));
	pass_on(add(set, ends[1], 0, 7));
	pass_on(add(set, inner, EPOLLIN, 8));
	pass_on(add(inner, quiet, EPOLLIN, 9));
	pass_on(add(set, doubled, EPOLLIN, 10));
	doubled_copy = dup(doubled);
	need(doubled_copy >= 0);
	need(ready_members() == (1u << 1 | 1u << 2 | 1u << 4));
	need(ready_members() == 1u << 1);
	return NULL;
}

static const char *check_members(void)
{
	uint64_t value = 1;

	/* Edge and spent one-shot have told already. The kernel tells an edge once more to a set that is
	 * made anew, so only what must not be told is looked at. */
	need((ready_members() & ~(1u << 2)) == 1u << 1);
	need(write(once, &value, 8) == 8 && ready_members() == (1u << 1 | 1u << 3));
	need(ready_members() == 1u << 1);
	need(write(edge, &value, 8) == 8 && ready_members() == (1u << 1 | 1u << 2));
	need(write(quiet, &value, 8) == 8 && ready_members() == (1u << 1 | 1u << 5 | 1u << 8));
	need(read(quiet, &value, 8) == 8 && ready_members() == 1u << 1);
	need(write(ends[1], "x", 1) == 1 && ready_members() == (1u << 1 | 1u << 6));
	return NULL;
}

static const char *check_control(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 11 };
	char byte;

	need(epoll_ctl(set, EPOLL_CTL_ADD, level, &ev) < 0 && errno == EEXIST);
	need(epoll_ctl(set, EPOLL_CTL_MOD, once_spent, &ev) == 0);
	need(read(ends[0], &byte, 1) == 1 && ready_members() == (1u << 1 | 1u << 11));
	need(epoll_ctl(set, EPOLL_CTL_DEL, once_spent, NULL) == 0 && ready_members() == 1u << 1);
	need(epoll_ctl(inner, EPOLL_CTL_DEL, quiet, NULL) == 0);
	need(epoll_ctl(set, EPOLL_CTL_DEL, doubled, NULL) == 0);
	need(epoll_ctl(set, EPOLL_CTL_DEL, doubled_copy, NULL) < 0 && errno == ENOENT);
	return NULL;
}

static const char *verify(void)
{
	struct epoll_event event;

	need(epoll_wait(set, &event, 1, 0) == 1);
	pass_on(check_members());
	need(fcntl(set, F_GETFD) == FD_CLOEXEC);
	return check_control();
}

const struct subject subject = {
	.about = "epoll: events, data, edge, one-shot, nested, a member with two numbers",
	.prepare = prepare,
	.verify = verify,
};
