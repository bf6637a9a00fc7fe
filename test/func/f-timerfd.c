/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int relative, monotonic, boottime, date, expired, ticking, again, unset, set, short_one;
static struct timespec when;

static int timer(clockid_t clock, int flags, struct timespec value, long interval)
{
	const struct itimerspec spec = { { interval, 0 }, value };
	int fd = timerfd_create(clock, TFD_NONBLOCK);

	return fd < 0 || timerfd_settime(fd, flags, &spec, NULL) ? -1 : fd;
}

static struct timespec from_now(clockid_t clock, long seconds)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += seconds;
	return t;
}

static const char *prepare(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct itimerspec left;

	relative = timer(CLOCK_MONOTONIC, 0, (struct timespec){ 5000, 0 }, 0);
	monotonic = timer(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, from_now(CLOCK_MONOTONIC, 5000), 7);
	boottime = timer(CLOCK_BOOTTIME, 0, (struct timespec){ 5000, 0 }, 9);
	when = from_now(CLOCK_REALTIME, 5000);
	when.tv_nsec = 0;
	date = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, when, 0);
	expired = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, from_now(CLOCK_REALTIME, -1), 0);
	ticking = timer(CLOCK_REALTIME, TFD_TIMER_ABSTIME, from_now(CLOCK_REALTIME, -2500), 1000);
	again = timer(CLOCK_MONOTONIC, TFD_TIMER_ABSTIME, (struct timespec){ 0, 1 }, 100000000);
	unset = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	short_one = timer(CLOCK_MONOTONIC, 0, (struct timespec){ 0, 0 }, 0);
	set = epoll_create1(0);
	need(relative >= 0 && monotonic >= 0 && boottime >= 0 && date >= 0 && expired >= 0);
	need(ticking >= 0 && again >= 0 && unset >= 0 && short_one >= 0 && set >= 0);
	need(epoll_ctl(set, EPOLL_CTL_ADD, short_one, &event) == 0);
	/* the number of expirations is brought up to date */
	need(timerfd_gettime(ticking, &left) == 0);
	need(timerfd_gettime(again, &left) == 0);
	return NULL;
}

static const char *verify_left(int fd, long least, long most, long interval)
{
	struct itimerspec left;

	need(timerfd_gettime(fd, &left) == 0);
	if (left.it_value.tv_sec < least || left.it_value.tv_sec > most)
		return wrong("fd %d: %ld s are left", fd, (long)left.it_value.tv_sec);
	need(left.it_interval.tv_sec == interval && left.it_interval.tv_nsec == 0);
	return NULL;
}

static const char *verify(void)
{
	const struct itimerspec soon = { { 0, 0 }, { 0, 1000 } };
	struct epoll_event event;
	uint64_t ticks;
	long to_date = when.tv_sec - from_now(CLOCK_REALTIME, 0).tv_sec;

	pass_on(verify_left(relative, 4000, 5000, 0));
	pass_on(verify_left(monotonic, 4000, 5000, 7));
	pass_on(verify_left(boottime, 4000, 5000, 9));
	pass_on(verify_left(date, to_date - 2, to_date, 0));
	pass_on(verify_left(expired, 0, 0, 0));
	pass_on(verify_left(ticking, 1, 500, 1000));
	pass_on(verify_left(again, 90000000, 100000000, 100000000));
	pass_on(verify_left(unset, 0, 0, 0));
	need(read(relative, &ticks, 8) == -1 && errno == EAGAIN);
	need(read(expired, &ticks, 8) == 8 && ticks == 1);
	need(read(expired, &ticks, 8) == -1 && errno == EAGAIN);
	need(read(ticking, &ticks, 8) == 8 && ticks == 3);
	need(read(ticking, &ticks, 8) == -1 && errno == EAGAIN);
	need(read(again, &ticks, 8) == 8 && ticks == 1);
	need(read(again, &ticks, 8) == -1 && errno == EAGAIN);
	/* the owner of a set is woken */
	need(epoll_wait(set, &event, 1, 0) == 0);
	need(timerfd_settime(short_one, 0, &soon, NULL) == 0);
	need(epoll_wait(set, &event, 1, 60000) == 1);
	need(read(short_one, &ticks, 8) == 8 && ticks == 1);
	return NULL;
}

const struct subject subject = {
	.about = "timerfd: clocks, what is left, intervals, unread expirations, times of the day",
	.prepare = prepare,
	.verify = verify,
};
