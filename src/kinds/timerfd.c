/* SPDX-License-Identifier: MIT */
/*
 * A timerfd. Time does not pass in an image: it goes on with what was left. Only where the program
 * has asked for a time of the day (CLOCK_REALTIME with TFD_TIMER_ABSTIME) that time is kept.
 */
#include "kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/str.h"
#include "dump/api.h"
#include "timerfd.pb-c.h"

#define NS 1000000000ull
/* The kernel's own limit of a time: ktime_t. */
#define NS_MAX ((uint64_t)INT64_MAX)

static bool text_of(const struct fdinfo *info, const char *key, const char **out)
{
	for (size_t i = 0; i < info->n_lines; i++) {
		if (!strcmp(info->lines[i].key, key)) {
			*out = info->lines[i].value;
			return true;
		}
	}
	return false;
}

static bool number(const struct fdinfo *info, const char *key, unsigned int base, uint64_t *out)
{
	const char *text;

	return text_of(info, key, &text) && str_to_u64(text, base, out);
}

static bool is_clock(uint64_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME ||
	       clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM;
}

/* One whose time is set, not counted. */
static bool has_date(const TimerFd *m)
{
	return (m->clock == CLOCK_REALTIME || m->clock == CLOCK_REALTIME_ALARM) &&
	       m->flags & TFD_TIMER_ABSTIME;
}

/* --- dump -------------------------------------------------------------------------------------- */

static int probe(const struct fd_view *v, struct error *e)
{
	uint64_t clock, ticks, flags;

	if (!number(&v->info, "clockid", 10, &clock) || !number(&v->info, "ticks", 10, &ticks) ||
	    !number(&v->info, "settime flags", 8, &flags))
		return fail(e, 0,
			    "this kernel does not show its state in fdinfo "
			    "(CONFIG_CHECKPOINT_RESTORE)");
	if (!is_clock(clock))
		return fail(e, 0, "its clock is %" PRIu64 ", which is not known", clock);
	return 0;
}

static int64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * (int64_t)NS + t.tv_nsec;
}

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * NS + (uint64_t)t->tv_nsec;
}

/*
 * Asked for its time, the kernel first brings the number of expirations up to date, as a read would, and
 * winds the timer up again if it has an interval. So the ticks of fdinfo are read after that. The clock is
 * read last: what was meant as a time of the day may come some microseconds late, never early.
 */
static int dump(struct dump *d, const struct fd_view *v, void *record, struct error *e)
{
	TimerFd *m = record;
	struct itimerspec left;
	struct fdinfo info;
	uint64_t n = 0;
	int rc = probe(v, e);

	if (rc < 0)
		return rc;
	if (timerfd_gettime(v->dup, &left) < 0)
		return fail(e, errno, "timerfd_gettime");
	number(&v->info, "clockid", 10, &n);
	m->clock = (uint32_t)n;
	number(&v->info, "settime flags", 8, &n);
	m->flags = (uint32_t)n;
	m->remaining = ns_of(&left.it_value);
	m->interval = ns_of(&left.it_interval);
	m->has_expiry = m->remaining && has_date(m);
	if (m->has_expiry)
		m->expiry = now(CLOCK_REALTIME) + (int64_t)m->remaining;
	rc = fdinfo_read(v->proc, v->fd, dump_arena(d), &info, e);
	if (rc < 0)
		return rc;
	if (!number(&info, "ticks", 10, &m->ticks))
		return probe(v, e);
	return 0;
}

/* --- restore ----------------------------------------------------------------------------------- */

static int link_record(struct restore *r, const void *record, struct error *e)
{
	const TimerFd *m = record;

	(void)r;
	if (!is_clock(m->clock))
		return fail(e, 0, "timerfd: a clock %u", m->clock);
	if (m->flags & ~(unsigned int)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
		return fail(e, 0, "timerfd: flags %#x", m->flags);
	if (m->remaining > NS_MAX || m->interval > NS_MAX)
		return fail(e, 0, "timerfd: %" PRIu64 " ns left, then every %" PRIu64, m->remaining,
			    m->interval);
	if (m->has_expiry != (m->remaining && has_date(m)) || (m->has_expiry && m->expiry < 0))
		return fail(e, 0, "timerfd: a time of the day that does not go with its clock");
	return 0;
}

static int open_timerfd(struct restore *r, const void *record, uint32_t flags, struct error *e)
{
	const TimerFd *m = record;
	int fd = timerfd_create((clockid_t)m->clock,
				TFD_CLOEXEC | (flags & O_NONBLOCK ? TFD_NONBLOCK : 0));

	(void)r;
	if (fd < 0)
		return fail(e, errno, "timerfd_create of clock %u%s", m->clock,
			    errno == EPERM ? " (needs CAP_WAKE_ALARM)" : "");
	return fd;
}

/* When it is to expire, for the flags; what a date that has passed with its interval has brought meanwhile
 * counts as expirations. */
static uint64_t next_expiry(const TimerFd *m, uint64_t *ticks)
{
	uint64_t at, clock = (uint64_t)now((clockid_t)m->clock), missed;

	if (!m->remaining)
		return 0;
	if (!(m->flags & TFD_TIMER_ABSTIME))
		return m->remaining;
	if (!m->has_expiry)
		return m->remaining > NS_MAX - clock ? NS_MAX : clock + m->remaining;
	at = (uint64_t)m->expiry;
	if (at > clock || !m->interval)
		return at ? at : 1;
	missed = (clock - at) / m->interval + 1;
	if (missed > (NS_MAX - at) / m->interval)
		return NS_MAX;
	*ticks += missed;
	return at + missed * m->interval;
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NS), (long)(ns % NS) };
}

static int start(struct restore *r, const void *record, int fd, struct error *e)
{
	const TimerFd *m = record;
	uint64_t ticks = m->ticks;
	const struct itimerspec set = { timespec_of(m->interval),
					timespec_of(next_expiry(m, &ticks)) };

	(void)r;
	if ((m->remaining || m->interval || m->flags) &&
	    timerfd_settime(fd, (int)m->flags, &set, NULL) < 0)
		return fail(e, errno, "timerfd_settime");
	if (ticks && ioctl(fd, TFD_IOC_SET_TICKS, &ticks) < 0)
		return fail(e, errno, "TFD_IOC_SET_TICKS (CONFIG_CHECKPOINT_RESTORE)");
	return 0;
}

static const struct fd_ops ops = {
	.match = { .link = "anon_inode:[timerfd]" },
	.probe = probe,
	.dump = dump,
	.link = link_record,
	.open = open_timerfd,
	.late_flags = O_APPEND | O_ASYNC | O_NOATIME,
	.start = start,
};

const struct kind kind_timerfd = {
	.name = "timerfd",
	.record = { "TMFD", 1, &timer_fd__descriptor },
	.fd = &ops,
};
