/* SPDX-License-Identifier: MIT */
/*
 * The kind of pipes: bytes and packets that nobody has read, size and flags, ends that are alone,
 * opened twice or held outside.
 */
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "fd-room.h"
#include "pipe.pb-c.h"

static int unread(int fd)
{
	int n = -1;

	ioctl(fd, FIONREAD, &n);
	return n;
}

struct pipes {
	struct dump d;
	struct restore r;
	int old[3], new[3];
	struct error e;
};

/* All descriptors in old, -1 for none; new: what is made of them. */
static int pipes_again(struct pipes *p)
{
	size_t k = 0;
	int rc;

	for (int i = 0; i < 3; i++) {
		p->new[i] = -1;
		if (p->old[i] >= 0)
			add(&p->d, p->old[i]);
	}
	rc = dump_all(&p->d, &p->r, &p->e);
	for (int i = 0; i < 3 && rc >= 0; i++) {
		if (p->old[i] >= 0)
			rc = p->new[i] = make(&p->r, &p->d.views.v[k++], &p->e);
	}
	room_end_open(&p->r);
	return rc;
}

static void pipes_end(struct pipes *p)
{
	for (int i = 0; i < 3; i++) {
		fd_cleanup(&p->old[i]);
		fd_cleanup(&p->new[i]);
	}
	room_restore_free(&p->r);
	room_dump_free(&p->d);
}

static struct pipes pipes_of(int flags)
{
	struct pipes p = { .old = { -1, -1, -1 }, .new = { -1, -1, -1 } };

	if (pipe2(p.old, O_CLOEXEC | flags) < 0)
		abort();
	return p;
}

static bool reads(int fd, const char *text)
{
	char room[64];
	ssize_t n = read(fd, room, sizeof(room));

	if (n != (ssize_t)strlen(text) || memcmp(room, text, (size_t)n)) {
		printf("# read %.*s, not %s\n", (int)(n > 0 ? n : 0), room, text);
		return false;
	}
	return true;
}

static void put(int fd, const char *text)
{
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
}

static void pipes_keep_their_bytes(void)
{
	struct pipes p = pipes_of(0);

	put(p.old[1], "hello ");
	put(p.old[1], "there");
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT_EQUAL(fcntl(p.new[0], F_GETFL), fcntl(p.old[0], F_GETFL));
	CU_ASSERT_EQUAL(fcntl(p.new[1], F_GETFL), fcntl(p.old[1], F_GETFL));
	CU_ASSERT_EQUAL(unread(p.old[0]), 11);
	CU_ASSERT(reads(p.new[0], "hello there"));
	put(p.new[1], "more");
	CU_ASSERT(reads(p.new[0], "more"));
	CU_ASSERT(reads(p.old[0], "hello there"));
	close(p.new[1]);
	p.new[1] = -1;
	CU_ASSERT(reads(p.new[0], ""));
	pipes_end(&p);
}

static void pipes_keep_their_size_and_flags(void)
{
	struct pipes p = pipes_of(O_NONBLOCK);
	char *big = mem_alloc(1 << 17), *back = mem_alloc(1 << 17);
	size_t n = 0;

	memset(big, 'x', 1 << 17);
	CU_ASSERT_EQUAL(fcntl(p.old[0], F_SETPIPE_SZ, 1 << 17), 1 << 17);
	CU_ASSERT_EQUAL(write(p.old[1], big, 1 << 17), 1 << 17);
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT_EQUAL(fcntl(p.new[0], F_GETPIPE_SZ), 1 << 17);
	CU_ASSERT_EQUAL(fcntl(p.new[0], F_GETFL), fcntl(p.old[0], F_GETFL));
	CU_ASSERT_EQUAL(fcntl(p.new[1], F_GETFL), fcntl(p.old[1], F_GETFL));
	CU_ASSERT(write(p.new[1], "y", 1) < 0 && errno == EAGAIN);
	for (ssize_t got; n < 1 << 17 && (got = read(p.new[0], back + n, (1 << 17) - n)) > 0;)
		n += (size_t)got;
	CU_ASSERT(n == 1 << 17 && !memcmp(big, back, n));
	CU_ASSERT_EQUAL(unread(p.old[0]), 1 << 17);
	mem_free_cleanup(&big);
	mem_free_cleanup(&back);
	pipes_end(&p);
}

static void packets_stay_packets(void)
{
	struct pipes p = pipes_of(O_DIRECT | O_NONBLOCK);

	put(p.old[1], "a");
	put(p.old[1], "bcd");
	put(p.old[1], "e");
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT_EQUAL(fcntl(p.new[1], F_GETFL), fcntl(p.old[1], F_GETFL));
	CU_ASSERT(reads(p.new[0], "a"));
	CU_ASSERT(reads(p.new[0], "bcd"));
	CU_ASSERT(reads(p.new[0], "e"));
	CU_ASSERT(reads(p.old[0], "a"));
	CU_ASSERT(reads(p.old[0], "bcd"));
	CU_ASSERT(reads(p.old[0], "e"));
	pipes_end(&p);
}

/* The mode is the writer's when it writes, and no flag tells it any more. */
static void a_packet_is_found_without_a_flag(void)
{
	struct pipes p = pipes_of(O_DIRECT | O_NONBLOCK);
	char room[2];

	put(p.old[1], "bcd");
	CU_ASSERT_EQUAL(fcntl(p.old[1], F_SETFL, 0), 0);
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT_EQUAL(fcntl(p.new[1], F_GETFL), fcntl(p.old[1], F_GETFL));
	CU_ASSERT_EQUAL(read(p.new[0], room, 2), 2);
	CU_ASSERT_EQUAL(unread(p.new[0]), 0);
	pipes_end(&p);
}

static void bytes_are_no_packet(void)
{
	struct pipes p = pipes_of(O_NONBLOCK);
	char room[2];

	put(p.old[1], "bcd");
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT_EQUAL(read(p.new[0], room, 2), 2);
	CU_ASSERT_EQUAL(unread(p.new[0]), 1);
	pipes_end(&p);
}

/* A whole page first: the kernel puts a packet behind plain bytes into their page, as plain bytes. */
static void mixed_pipes_are_refused(void)
{
	char page[4097];

	memset(page, 'x', sizeof(page));
	page[4096] = '\0';
	for (int first = 0; first < 2; first++) {
		struct pipes p = pipes_of(first ? O_DIRECT : 0);

		put(p.old[1], page);
		CU_ASSERT_EQUAL(fcntl(p.old[1], F_SETFL, first ? 0 : O_DIRECT), 0);
		put(p.old[1], "def");
		REFUSED(pipes_again(&p), p.e, "mixed");
		CU_ASSERT_EQUAL(unread(p.old[0]), 4099);
		pipes_end(&p);
	}
}

static void one_end_alone_comes_back(void)
{
	struct pipes p = pipes_of(0);

	put(p.old[1], "last words");
	fd_cleanup(&p.old[1]);
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT(reads(p.new[0], "last words"));
	CU_ASSERT(reads(p.new[0], ""));
	pipes_end(&p);

	p = pipes_of(0);
	signal(SIGPIPE, SIG_IGN);
	fd_cleanup(&p.old[0]);
	CU_ASSERT_FATAL(pipes_again(&p) >= 0);
	CU_ASSERT(write(p.new[1], "x", 1) < 0 && errno == EPIPE);
	pipes_end(&p);
}

static void an_end_opened_twice_comes_back(void)
{
	static const int modes[] = { O_RDONLY | O_NONBLOCK, O_WRONLY, O_RDWR };

	for (int i = 0; i < 3; i++) {
		struct pipes p = pipes_of(0);
		char path[32];

		put(p.old[1], "abc");
		snprintf(path, sizeof(path), "/proc/self/fd/%d", p.old[0]);
		p.old[2] = open(path, modes[i] | O_CLOEXEC);
		CU_ASSERT_FATAL(pipes_again(&p) >= 0);
		for (int k = 0; k < 3; k++)
			CU_ASSERT_EQUAL(fcntl(p.new[k], F_GETFL), fcntl(p.old[k], F_GETFL));
		/* flags are the description's: not shared with the first */
		CU_ASSERT_EQUAL(fcntl(p.new[2], F_SETFL, O_NONBLOCK | O_NOATIME), 0);
		CU_ASSERT_EQUAL(fcntl(p.new[0], F_GETFL), fcntl(p.old[0], F_GETFL));
		CU_ASSERT_EQUAL(fcntl(p.new[1], F_GETFL), fcntl(p.old[1], F_GETFL));
		CU_ASSERT(reads(p.new[0], "abc"));
		pipes_end(&p);
	}
}

static bool nobody_in_tree(const struct dump *d, int pid)
{
	(void)d;
	return pid == getpid();
}

static void an_end_held_outside_is_refused_by_name(void)
{
	struct pipes p = pipes_of(0);
	const struct kind *k = room_kind("pipe");
	struct fd_view v;
	char who[32];
	pid_t child = fork();

	if (child == 0) {
		close(p.old[0]);
		pause();
		_exit(0);
	}
	snprintf(who, sizeof(who), "(pid %d)", child);
	fd_cleanup(&p.old[1]);
	REFUSED(pipes_again(&p), p.e, who);
	CU_ASSERT_PTR_NOT_NULL(strstr(p.e.text, "its end for writing is held by `t-kind-pipe`"));
	CU_ASSERT_EQUAL(look(&p.d, p.old[0], &v), 0);
	CU_ASSERT_EQUAL(k->fd->probe(&v, &p.e), 0);
	v.in_tree = nobody_in_tree;
	REFUSED(k->fd->probe(&v, &p.e), p.e, who);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	CU_ASSERT_EQUAL(k->fd->probe(&v, &p.e), 0);
	close(v.proc);
	pipes_end(&p);
}

static void bad_pipe_records_are_refused(void)
{
	ProtobufCBinaryData data[20];
	Pipe m = PIPE__INIT;
	struct restore r = { 0 };
	const struct kind *k = room_kind("pipe");
	struct error e;

	m.id = m.pipe = 1;
	m.size = 4096;
	m.data = data;
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	*vec_add(&r.records) = (struct room_record){ "PIPE", 1, &m };
	CU_ASSERT_EQUAL(k->fd->link(&r, &m, &e), 0);
	m.n_data = 1;
	data[0] = (ProtobufCBinaryData){ 4097, NULL };
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	data[0].len = 4096;
	CU_ASSERT_EQUAL(k->fd->link(&r, &m, &e), 0);
	data[1] = (ProtobufCBinaryData){ 1, NULL };
	m.n_data = 2;
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	data[0].len = 1;
	CU_ASSERT_EQUAL(k->fd->link(&r, &m, &e), 0);
	m.packets = 1;
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	m.size = 0;
	m.n_data = 0;
	CU_ASSERT(k->fd->link(&r, &m, &e) < 0);
	room_restore_free(&r);
}

/* 17 runs of 2049 bytes are less than 16 pages, but need one each: it must not wait for a reader. */
static void a_pipe_that_is_full_is_refused(void)
{
	static uint8_t bytes[2049];
	ProtobufCBinaryData data[17];
	Pipe m = PIPE__INIT;
	struct restore r = { 0 };
	const struct kind *k = room_kind("pipe");
	struct error e = { 0 };

	for (size_t i = 0; i < 17; i++)
		data[i] = (ProtobufCBinaryData){ sizeof(bytes), bytes };
	m.id = m.pipe = 1;
	m.size = 65536;
	m.data = data;
	m.n_data = 17;
	*vec_add(&r.records) = (struct room_record){ "PIPE", 1, &m };
	CU_ASSERT_EQUAL(k->fd->link(&r, &m, &e), 0);
	alarm(10);
	REFUSED(k->fd->open(&r, &m, O_RDONLY, &e), e, "pipe: write");
	alarm(0);
	room_end_open(&r);
	room_restore_free(&r);
}

int main(void)
{
	CU_TestInfo pipes[] = {
		{ "unread bytes", pipes_keep_their_bytes },
		{ "size, flags, a full one", pipes_keep_their_size_and_flags },
		{ "packets", packets_stay_packets },
		{ "a packet without the flag", a_packet_is_found_without_a_flag },
		{ "bytes are no packet", bytes_are_no_packet },
		{ "packets and bytes mixed are refused", mixed_pipes_are_refused },
		{ "runs that find no room are refused", a_pipe_that_is_full_is_refused },
		{ "one end alone", one_end_alone_comes_back },
		{ "an end opened twice", an_end_opened_twice_comes_back },
		{ "an end held outside is refused by name",
		  an_end_held_outside_is_refused_by_name },
		{ "bad records are refused", bad_pipe_records_are_refused },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "pipe", NULL, NULL, NULL, NULL, pipes },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
