/* SPDX-License-Identifier: MIT */
/* The kinds timerfd and signalfd: what is left of a time, what has expired, masks. */
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "fd-room.h"
#include "timerfd.pb-c.h"

static const struct timespec never = { 0 }, hour = { .tv_sec = 3600 };

static int timer_of(int clock, int create, int flags, struct timespec value,
		    struct timespec interval)
{
	const struct itimerspec set = { interval, value };
	int fd = timerfd_create(clock, TFD_CLOEXEC | create);

	if (fd < 0 || timerfd_settime(fd, flags, &set, NULL) < 0)
		abort();
	return fd;
}

static struct timespec from_now(int clock, long seconds)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += seconds;
	return t;
}

static uint64_t ticks_of(int fd)
{
	uint64_t ticks;

	return read(fd, &ticks, sizeof(ticks)) == sizeof(ticks) ? ticks : 0;
}

/* The copy has at most as much time left, and not so much less that one could have begun anew. */
static bool goes_on(int fd, int new)
{
	struct itimerspec a, b;
	double gone;

	timerfd_gettime(new, &b);
	timerfd_gettime(fd, &a);
	gone = (double)(b.it_value.tv_sec - a.it_value.tv_sec) +
	       (double)(b.it_value.tv_nsec - a.it_value.tv_nsec) / 1e9;
	return a.it_interval.tv_sec == b.it_interval.tv_sec &&
	       a.it_interval.tv_nsec == b.it_interval.tv_nsec && gone > -100 && gone < 100 &&
	       !a.it_value.tv_sec == !b.it_value.tv_sec;
}

static uint64_t settime_flags(int fd)
{
	struct dump d = { 0 };
	struct fd_view v;
	uint64_t flags = UINT64_MAX;

	if (look(&d, fd, &v) < 0)
		abort();
	for (size_t i = 0; i < v.info.n_lines; i++) {
		if (!strcmp(v.info.lines[i].key, "settime flags"))
			flags = strtoull(v.info.lines[i].value, NULL, 8);
	}
	close(v.proc);
	arena_free(&d.arena);
	return flags;
}

static void timers_go_on(void)
{
	static const int clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME };

	for (size_t i = 0; i < 4 * sizeof(clocks) / sizeof(clocks[0]); i++) {
		int clock = clocks[i / 4], flags = i & 1 ? TFD_TIMER_ABSTIME : 0;
		struct timespec value = i & 1 ? from_now(clock, 3600) : hour;
		int fd = timer_of(clock, i & 2 ? TFD_NONBLOCK : 0, flags, value,
				  i & 2 ? (struct timespec){ 7, 9 } : never),
		    new = again(fd);

		CU_ASSERT_FATAL(new >= 0);
		CU_ASSERT(is_same_view(fd, new));
		CU_ASSERT(goes_on(fd, new));
		CU_ASSERT_EQUAL(settime_flags(new), (uint64_t)flags);
		close(fd);
		close(new);
	}
}

static void expirations_are_kept(void)
{
	int fd = timer_of(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME,
			  from_now(CLOCK_REALTIME, -250), (struct timespec){ 100, 0 }),
	    new = again(fd);

	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT_EQUAL(ticks_of(new), 3);
	CU_ASSERT_EQUAL(ticks_of(new), 0);
	CU_ASSERT(goes_on(fd, new));
	CU_ASSERT_EQUAL(ticks_of(fd), 3);
	close(fd);
	close(new);
	/* one that has expired for good */
	fd = timer_of(CLOCK_REALTIME, TFD_NONBLOCK, TFD_TIMER_ABSTIME, from_now(CLOCK_REALTIME, -1),
		      never);
	new = again(fd);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT_EQUAL(ticks_of(new), 1);
	CU_ASSERT_EQUAL(ticks_of(new), 0);
	CU_ASSERT(goes_on(fd, new));
	close(fd);
	close(new);
	/* one that was never set */
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	new = again(fd);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT_EQUAL(ticks_of(new), 0);
	CU_ASSERT(goes_on(fd, new));
	close(fd);
	close(new);
}

static int of_record(const char *kind, void *record, struct error *e)
{
	const struct kind *k = room_kind(kind);
	struct restore r = { 0 };
	int rc = k->fd->link ? k->fd->link(&r, record, e) : 0, fd = -1;

	if (rc >= 0)
		rc = fd = k->fd->open(&r, record, 0, e);
	if (rc >= 0)
		rc = k->fd->start(&r, record, fd, e);
	if (rc < 0 && fd >= 0)
		close(fd);
	room_restore_free(&r);
	return rc < 0 ? rc : fd;
}

/* A time of the day is kept, and what has passed of it counts. */
static void dates_are_kept(void)
{
	struct timespec t = from_now(CLOCK_REALTIME, 3600);
	struct itimerspec left;
	TimerFd m = TIMER_FD__INIT;
	struct error e = { 0 };
	int fd;

	m.clock = CLOCK_REALTIME;
	m.flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
	m.remaining = 1;
	m.has_expiry = true;
	m.expiry = t.tv_sec * 1000000000ll;
	fd = of_record("timerfd", &m, &e);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(timerfd_gettime(fd, &left) == 0 && left.it_value.tv_sec > 3500);
	CU_ASSERT_EQUAL(settime_flags(fd), m.flags);
	close(fd);
	m.expiry = (t.tv_sec - 3600 - 250) * 1000000000ll;
	m.interval = 100 * 1000000000ull;
	m.ticks = 4;
	fd = of_record("timerfd", &m, &e);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ticks_of(fd), 7);
	CU_ASSERT(timerfd_gettime(fd, &left) == 0 && left.it_value.tv_sec <= 50);
	close(fd);
}

static void bad_timer_records_are_refused(void)
{
	TimerFd m = TIMER_FD__INIT;
	struct error e = { 0 };

	m.clock = CLOCK_TAI;
	REFUSED(of_record("timerfd", &m, &e), e, "a clock 11");
	m.clock = CLOCK_MONOTONIC;
	m.flags = 4;
	REFUSED(of_record("timerfd", &m, &e), e, "flags 0x4");
	m.flags = 0;
	m.interval = 1ull << 63;
	REFUSED(of_record("timerfd", &m, &e), e, "then every 9223372036854775808");
	m.interval = 0;
	m.has_expiry = true;
	m.remaining = 1;
	REFUSED(of_record("timerfd", &m, &e), e, "does not go with its clock");
	m.clock = CLOCK_REALTIME;
	m.flags = TFD_TIMER_ABSTIME;
	m.expiry = -1;
	REFUSED(of_record("timerfd", &m, &e), e, "does not go with its clock");
	/* the ends of what there is */
	m.expiry = INT64_MAX;
	m.remaining = m.interval = INT64_MAX;
	close(of_record("timerfd", &m, &e));
	m.expiry = 0;
	m.interval = 1;
	close(of_record("timerfd", &m, &e));
}

static void signalfds_come_back(void)
{
	for (int i = 0; i < 2; i++) {
		struct signalfd_siginfo si;
		sigset_t set;
		int fd, new;

		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigaddset(&set, SIGRTMAX);
		sigprocmask(SIG_BLOCK, &set, NULL);
		fd = signalfd(-1, &set, SFD_CLOEXEC | (i ? SFD_NONBLOCK : 0));
		new = again(fd);
		CU_ASSERT_FATAL(new >= 0);
		CU_ASSERT(is_same_view(fd, new));
		raise(SIGRTMAX);
		CU_ASSERT(read(new, &si, sizeof(si)) == sizeof(si));
		CU_ASSERT_EQUAL(si.ssi_signo, (uint32_t)SIGRTMAX);
		close(fd);
		close(new);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
}

int main(void)
{
	CU_TestInfo timers[] = {
		{ "timers go on, with every clock", timers_go_on },
		{ "expirations that nobody has read", expirations_are_kept },
		{ "a time of the day is kept", dates_are_kept },
		{ "bad records are refused", bad_timer_records_are_refused },
		{ "signalfd: mask and flags", signalfds_come_back },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "timerfd, signalfd", NULL, NULL, NULL, NULL, timers },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
