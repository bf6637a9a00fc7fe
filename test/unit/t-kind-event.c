/* SPDX-License-Identifier: MIT */
/*
 * The kinds eventfd and epoll, whose sets hold eventfds here; and status flags that were set late,
 * of every sort of object.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "epoll.pb-c.h"
#include "eventfd.pb-c.h"
#include "fd-room.h"

/* --- eventfd ----------------------------------------------------------------------------------- */

static int eventfd_of(uint64_t count, int flags)
{
	int fd = eventfd(0, EFD_CLOEXEC | flags);

	if (fd < 0 || (count && write(fd, &count, sizeof(count)) != sizeof(count)))
		abort();
	return fd;
}

static uint64_t count_of(int fd)
{
	struct dump d = { 0 };
	uint64_t n = UINT64_MAX;
	struct fd_view v;

	if (look(&d, fd, &v) == 0)
		sscanf(v.info.lines[0].value, "%lx", &n);
	close(v.proc);
	arena_free(&d.arena);
	return n;
}

/* Takes everything there is: the first read tells. */
static bool is_semaphore(int fd)
{
	const uint64_t two = 2;
	uint64_t got;

	if (count_of(fd) < 2 && write(fd, &two, sizeof(two)) < 0)
		abort();
	return read(fd, &got, sizeof(got)) == sizeof(got) && got == 1;
}

static const uint64_t counts[] = { 0, 1, 2, 3, 1ull << 40, UINT64_MAX - 1 };

static void eventfds_come_back(void)
{
	for (size_t i = 0; i < 4 * sizeof(counts) / sizeof(counts[0]); i++) {
		int flags = (i & 1 ? EFD_SEMAPHORE : 0) | (i & 2 ? EFD_NONBLOCK : 0);
		int fd = eventfd_of(counts[i / 4], flags), new = again(fd);

		CU_ASSERT_FATAL(new >= 0);
		CU_ASSERT_EQUAL(fcntl(new, F_GETFL), fcntl(fd, F_GETFL));
		CU_ASSERT_EQUAL(count_of(fd), counts[i / 4]);
		CU_ASSERT_EQUAL(count_of(new), counts[i / 4]);
		CU_ASSERT_EQUAL(is_semaphore(new), i & 1);
		close(fd);
		close(new);
	}
}

/* As kernels before 6.5 show them. */
static void semaphores_are_found_without_being_shown(void)
{
	for (size_t i = 0; i < 2 * sizeof(counts) / sizeof(counts[0]); i++) {
		int fd = eventfd_of(counts[i / 2], i & 1 ? EFD_SEMAPHORE : 0);
		struct dump d = { 0 };
		struct restore r = { 0 };
		struct fd_view *v = add(&d, fd);
		const EventFd *m;
		struct error e;

		v->info.n_lines = 1;
		CU_ASSERT_EQUAL_FATAL(dump_all(&d, &r, &e), 0);
		m = restore_record(&r, "EVFD", 1);
		CU_ASSERT_EQUAL(m->semaphore, (int)(i & 1));
		CU_ASSERT_EQUAL(m->count, counts[i / 2]);
		CU_ASSERT_EQUAL(count_of(fd), counts[i / 2]);
		close(fd);
		room_restore_free(&r);
		room_dump_free(&d);
	}
}

static void an_overflowed_eventfd_is_refused(void)
{
	struct fdinfo_line line = { "eventfd-count", "ffffffffffffffff" };
	const struct fd_view v = { .link = "anon_inode:[eventfd]",
				   .info = { .lines = &line, .n_lines = 1 } };
	const struct kind *k = room_kind("eventfd");
	EventFd m = EVENT_FD__INIT;
	struct error e = { 0 };

	REFUSED(k->fd->probe(&v, &e), e, "overflowed");
	m.count = UINT64_MAX;
	CU_ASSERT(k->fd->link(NULL, &m, &e) < 0);
}

/* Every flag that fcntl(2) can set, on every sort of object. */
static void late_flags_come_back(void)
{
	static const int flags[] = { O_ASYNC, O_ASYNC | O_APPEND, O_APPEND | O_NONBLOCK,
				     O_NOATIME | O_NONBLOCK };
	int fd[] = {
		file_of("late", O_RDWR, 1),
		open("/usr", O_RDONLY | O_CLOEXEC),
		open("/dev/zero", O_RDWR | O_CLOEXEC),
		eventfd_of(1, 0),
		epoll_create1(EPOLL_CLOEXEC),
	};

	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 4; k++) {
			int new;

			CU_ASSERT_EQUAL(fcntl(fd[i], F_SETFL, flags[k]), 0);
			new = again(fd[i]);
			CU_ASSERT_FATAL(new >= 0);
			if (fcntl(new, F_GETFL) != fcntl(fd[i], F_GETFL))
				printf("# object %zu: %#o %#o\n", i, fcntl(new, F_GETFL),
				       fcntl(fd[i], F_GETFL));
			CU_ASSERT_EQUAL(fcntl(new, F_GETFL), fcntl(fd[i], F_GETFL));
			close(new);
		}
		close(fd[i]);
	}
	unlink(in_folder("late"));
}

/* --- epoll ------------------------------------------------------------------------------------- */

static void epoll_add(int set, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) < 0)
		abort();
}

static size_t count_members(const struct fdinfo *a, const struct fdinfo *b)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_lines; i++) {
		for (size_t k = 0; k < b->n_lines && !strcmp(a->lines[i].key, "tfd"); k++)
			n += !strcmp(a->lines[i].value, b->lines[k].value);
	}
	return n;
}

static int epoll_again(struct dump *d, struct restore *r, struct error *e)
{
	int rc = dump_all(d, r, e), new;
	struct plan p;

	if (rc < 0)
		return rc;
	new = make(r, &d->views.v[0], e);
	if (new < 0)
		return new;
	plan_init(&p, &r->arena, 1);
	rc = room_kind("epoll")->fd->emit(r, &p, restore_record(r, "EPOL", 1), (uint32_t)getpid(),
					  new, e);
	if (rc == 0 && room_run(&p).failed >= 0)
		rc = fail(e, 0, "the plan failed");
	plan_free(&p);
	return rc < 0 ? rc : new;
}

static void epoll_sets_come_back(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), a = eventfd_of(1, 0), b = eventfd_of(1, 0), new;
	struct epoll_event got[8];
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct fd_view v;
	struct error e;

	epoll_add(set, a, EPOLLIN, 0x123456789abcdefull);
	epoll_add(set, b, EPOLLIN | EPOLLET, 7);
	add(&d, set);
	add(&d, a);
	add(&d, b);
	new = epoll_again(&d, &r, &e);
	if (new < 0)
		printf("# %s\n", e.text);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT_EQUAL(look(&d, new, &v), 0);
	CU_ASSERT_EQUAL(count_members(&d.views.v[0].info, &v.info), 2);
	CU_ASSERT_EQUAL(epoll_wait(new, got, 8, 0), 2);
	CU_ASSERT_EQUAL(epoll_ctl(new, EPOLL_CTL_DEL, a, NULL), 0);
	close(v.proc);
	close(new);
	close(set);
	close(a);
	close(b);
	room_restore_free(&r);
	room_dump_free(&d);
}

/* A copy keeps a member alive whose number was closed, or given to another. */
static void lost_members_are_refused(void)
{
	int set = epoll_create1(EPOLL_CLOEXEC), a = eventfd_of(1, 0), copy = dup(a), b;
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct error e;
	struct fd_view v;

	epoll_add(set, a, EPOLLIN, 1);
	CU_ASSERT_EQUAL(probe(set, &e), 0);
	close(a);
	REFUSED(probe(set, &e), e, "was closed or replaced");
	b = eventfd_of(1, 0);
	if (b != a)
		dup2(b, a);
	/* All eventfds have one inode: before the freeze nothing can be told. */
	CU_ASSERT_EQUAL(probe(set, &e), 0);
	add(&d, set);
	add(&d, a);
	REFUSED(dump_all(&d, &r, &e), e, "was closed or replaced");
	dup2(set, a);
	CU_ASSERT_EQUAL(look(&d, set, &v), 0);
	close(v.proc);
	dup2(copy, a);
	CU_ASSERT_EQUAL(epoll_again(&d, &r, &e) >= 0, 1);
	close(set);
	close(a);
	close(copy);
	room_restore_free(&r);
	room_dump_free(&d);
}

static void members_have_numbers_of_their_process(void)
{
	EpollMember one = EPOLL_MEMBER__INIT, *list = &one;
	Epoll m = EPOLL__INIT;
	struct restore r = { 0 };
	const struct kind *k = room_kind("epoll");
	struct error e;
	struct plan p;

	m.id = 1;
	m.process = 7;
	m.n_members = 1;
	m.members = &list;
	one.description = 2;
	plan_init(&p, &r.arena, 1);
	REFUSED(k->fd->emit(&r, &p, &m, 8, 3, &e), e, "process 7");
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	*vec_add(&r.records) = (struct room_record){ "EVFD", 2, &one };
	CU_ASSERT_EQUAL(k->fd->link(&r, &m, &e), 0);
	plan_free(&p);
	room_restore_free(&r);
}

/* Member 5 is description 2, made by a task when all others are there; member 6 is an ordinary one. */
static void late_members_come_late(void)
{
	EpollMember late = EPOLL_MEMBER__INIT, other = EPOLL_MEMBER__INIT;
	EpollMember *list[] = { &late, &other };
	const struct fd_ops *ops = room_kind("epoll")->fd;
	Description made = DESCRIPTION__INIT;
	uint32_t table = 7;
	Late by = LATE__INIT;
	Epoll m = EPOLL__INIT;
	struct restore r = { 0 };
	struct error e;
	struct plan p;

	m.process = 7;
	m.n_members = 2;
	m.members = list;
	late.fd = 5;
	late.description = 2;
	other.fd = 6;
	other.description = 3;
	made.late = &by;
	by.tables = &table;
	by.n_tables = 1;
	*vec_add(&r.records) = (struct room_record){ "DESC", 2, &made };
	plan_init(&p, &r.arena, 1);
	CU_ASSERT_EQUAL(ops->emit(&r, &p, &m, 7, 3, &e), 0);
	CU_ASSERT(p.ops.n == 1 && p.ops.v[0].op.arg[2] == 6);
	CU_ASSERT_EQUAL(ops->emit_late(&r, &p, &m, 7, 3, 2, &e), 0);
	CU_ASSERT(p.ops.n == 2 && p.ops.v[1].op.arg[0] == 3 && p.ops.v[1].op.arg[2] == 5);
	/* Of another's numbers, and with another that is late: nothing. */
	CU_ASSERT_EQUAL(ops->emit_late(&r, &p, &m, 8, 3, 2, &e), 0);
	CU_ASSERT_EQUAL(ops->emit_late(&r, &p, &m, 7, 3, 4, &e), 0);
	CU_ASSERT_EQUAL(p.ops.n, 2);
	/* It is brought to nobody. */
	table = 8;
	REFUSED(ops->emit(&r, &p, &m, 7, 3, &e), e, "process 7 does not get its member fd 5");
	plan_free(&p);
	room_restore_free(&r);
}

int main(void)
{
	CU_TestInfo eventfds[] = {
		{ "counts, semaphores, flags", eventfds_come_back },
		{ "semaphores on old kernels", semaphores_are_found_without_being_shown },
		{ "an overflow is refused", an_overflowed_eventfd_is_refused },
		{ "status flags set later, here and elsewhere", late_flags_come_back },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo epolls[] = {
		{ "members with events and data", epoll_sets_come_back },
		{ "late members come late", late_members_come_late },
		{ "members that lost their number are refused", lost_members_are_refused },
		{ "members have the numbers of their process",
		  members_have_numbers_of_their_process },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "eventfd", NULL, NULL, NULL, NULL, eventfds },
		{ "epoll", NULL, NULL, NULL, NULL, epolls },
		CU_SUITE_INFO_NULL,
	};

	return run_in_folder(suites);
}
