/* SPDX-License-Identifier: MIT */
/*
 * Kinds of descriptors on real ones: each object is looked at and written into a record, the record
 * goes through its bytes, and what is made from it is compared with the first.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/compat.h"
#include "epoll.pb-c.h"
#include "eventfd.pb-c.h"
#include "memfd.pb-c.h"
#include "kind-room.h"
#include "pipe.pb-c.h"
#include "tap.h"
#include "timerfd.pb-c.h"

/* --- there and back ---------------------------------------------------------------------------- */

static int look(struct dump *d, int fd, struct fd_view *v)
{
	char path[32];
	struct error e;

	*v = (struct fd_view){ .pid = getpid(),
			       .tid = getpid(),
			       .fd = fd,
			       .dup = -1,
			       .id = (uint32_t)d->views.n + 1 };
	v->proc = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "fd/%d", fd);
	v->link = fd_readlink(&d->arena, v->proc, path);
	if (!v->link || fstatat(v->proc, path, &v->st, 0) < 0)
		return -errno;
	return fdinfo_read(v->proc, fd, &d->arena, &v->info, &e);
}

/* Adds a view of the descriptor, as the engine has it after the freeze. */
static struct fd_view *add(struct dump *d, int fd)
{
	struct fd_view v;

	if (look(d, fd, &v) < 0)
		abort();
	v.dup = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	*vec_add(&d->views) = v;
	return &d->views.v[d->views.n - 1];
}

static int probe(int fd, struct error *e)
{
	const struct kind *second, *k;
	struct dump d = { 0 };
	struct fd_view v;
	int rc;

	*e = (struct error){ 0 };
	if (look(&d, fd, &v) < 0)
		abort();
	k = kind_of_fd(&v, &second);
	rc = !k ? -ENOENT : k->fd->probe ? k->fd->probe(&v, e) : 0;
	close(v.proc);
	arena_free(&d.arena);
	return rc;
}

/* The record of every view, through its bytes, into r. */
static int dump_all(struct dump *d, struct restore *r, struct error *e)
{
	*e = (struct error){ 0 };
	vec_each(v, &d->views) {
		const struct kind *second, *k = kind_of_fd(v, &second);
		ProtobufCMessage *m = room_message(&d->arena, k, v->id);
		uint8_t *bytes;
		size_t n;
		int rc = k->fd->dump(d, v, m, e);

		if (rc < 0)
			return rc;
		n = protobuf_c_message_get_packed_size(m);
		bytes = arena_alloc(&r->arena, n + 1);
		protobuf_c_message_pack(m, bytes);
		*vec_add(&r->records) = (struct room_record){
			k->record.tag,
			v->id,
			room_unpack(&r->arena, k->record.desc, n, bytes),
		};
	}
	return 0;
}

/* What the engine does with status flags. */
static int set_late(int fd, uint32_t flags, uint32_t late)
{
	const uint32_t settable = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;

	return flags & late ? fcntl(fd, F_SETFL, flags & settable) : 0;
}

static int make(struct restore *r, const struct fd_view *v, struct error *e)
{
	const struct kind *second, *k = kind_of_fd(v, &second);
	const void *record = restore_record(r, k->record.tag, v->id);
	uint32_t flags = v->info.flags & ~(uint32_t)O_CLOEXEC;
	int rc = 0, fd;

	*e = (struct error){ 0 };
	if (k->fd->link)
		rc = k->fd->link(r, record, e);
	if (rc < 0)
		return rc;
	fd = k->fd->open(r, record, flags, e);
	if (fd >= 0 && set_late(fd, flags, k->fd->late_flags) < 0)
		return fail(e, errno, "F_SETFL");
	rc = fd >= 0 && k->fd->start ? k->fd->start(r, record, fd, e) : 0;
	return rc < 0 ? rc : fd;
}

/* One descriptor, there and back. */
static int again(int fd)
{
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct error e;
	int new;

	add(&d, fd);
	if (dump_all(&d, &r, &e) < 0)
		new = -1;
	else
		new = make(&r, &d.views.v[0], &e);
	if (new < 0)
		printf("# %s\n", e.text);
	room_restore_free(&r);
	room_dump_free(&d);
	return new;
}

static bool is_same_view(int a, int b)
{
	struct stat sa, sb;
	int fa = fcntl(a, F_GETFL), fb = fcntl(b, F_GETFL);

	if (fstat(a, &sa) < 0 || fstat(b, &sb) < 0)
		return false;
	if (fa != fb || lseek(a, 0, SEEK_CUR) != lseek(b, 0, SEEK_CUR))
		printf("# flags %#o %#o, position %ld %ld\n", fa, fb, lseek(a, 0, SEEK_CUR),
		       lseek(b, 0, SEEK_CUR));
	return fa == fb && sa.st_mode == sb.st_mode && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino && sa.st_rdev == sb.st_rdev &&
	       lseek(a, 0, SEEK_CUR) == lseek(b, 0, SEEK_CUR);
}

#define REFUSED(rc, e, part)                                    \
	do {                                                    \
		CU_ASSERT((rc) < 0);                            \
		if (!strstr((e).text, part))                    \
			printf("# %s\n", (e).text);             \
		CU_ASSERT_PTR_NOT_NULL(strstr((e).text, part)); \
	} while (0)

/* --- files ------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/t-kind-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int file_of(const char *name, int flags, size_t size)
{
	int fd = open(in_folder(name), flags | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	return fd;
}

static void files_come_back(void)
{
	static const int flags[] = {
		O_RDWR,          O_WRONLY | O_APPEND,          O_RDWR | O_NONBLOCK,
		O_RDWR | O_SYNC, O_RDWR | O_DSYNC | O_NOATIME,
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		int fd = file_of("file", flags[i], 1000), new;

		CU_ASSERT(lseek(fd, 123, SEEK_SET) == 123);
		new = again(fd);
		CU_ASSERT_FATAL(new >= 0);
		CU_ASSERT(is_same_view(fd, new));
		/* a description of its own */
		CU_ASSERT(lseek(new, 5, SEEK_SET) == 5 && lseek(fd, 0, SEEK_CUR) == 123);
		close(fd);
		close(new);
	}
	unlink(in_folder("file"));
}

static void a_linked_tmpfile_comes_back(void)
{
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), new;
	char path[32];

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CU_ASSERT_EQUAL(linkat(AT_FDCWD, path, AT_FDCWD, in_folder("late"), AT_SYMLINK_FOLLOW), 0);
	close(fd);
	fd = open(in_folder("late"), O_RDWR | O_CLOEXEC);
	new = again(fd);
	CU_ASSERT(new >= 0);
	close(fd);
	close(new);
	unlink(in_folder("late"));
}

static void files_that_went_are_refused(void)
{
	int fd = file_of("a", O_RDWR, 10), other;
	char other_path[128], from[128];
	struct error e;

	CU_ASSERT_EQUAL(probe(fd, &e), 0);
	CU_ASSERT_EQUAL(link(in_folder("a"), "/tmp/t-kind-other"), 0);
	unlink(in_folder("a"));
	REFUSED(probe(fd, &e), e, "other names");
	unlink("/tmp/t-kind-other");
	REFUSED(probe(fd, &e), e, "was deleted");
	close(fd);

	fd = file_of("a", O_RDWR, 10);
	other = file_of("b", O_RDWR, 10);
	rename(in_folder("a"), "/tmp/t-kind-other");
	CU_ASSERT_EQUAL(probe(fd, &e), 0);
	rename("/tmp/t-kind-other", in_folder("a"));
	strcpy(from, in_folder("b"));
	strcpy(other_path, in_folder("a"));
	rename(from, other_path);
	REFUSED(probe(fd, &e), e, "was deleted");
	CU_ASSERT_EQUAL(probe(other, &e), 0);
	close(fd);
	close(other);
	unlink(in_folder("a"));

	/* a name that only looks so */
	fd = file_of("odd (deleted)", O_RDWR, 10);
	CU_ASSERT_EQUAL(probe(fd, &e), 0);
	unlink(in_folder("odd (deleted)"));
	close(fd);

	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	REFUSED(probe(fd, &e), e, "/proc");
	close(fd);
}

/* The file that a record speaks of, changed before it is opened again. */
static void changed_files_are_refused(void)
{
	int fd = file_of("f", O_RDWR, 1000), new;
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct error e;

	add(&d, fd);
	CU_ASSERT_EQUAL_FATAL(dump_all(&d, &r, &e), 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 999), 0);
	REFUSED(make(&r, &d.views.v[0], &e), e, "is smaller than at the dump: 999 bytes, was 1000");
	CU_ASSERT_EQUAL(ftruncate(fd, 1001), 0);
	new = make(&r, &d.views.v[0], &e);
	CU_ASSERT(new >= 0);
	close(new);
	unlink(in_folder("f"));
	REFUSED(make(&r, &d.views.v[0], &e), e, "put it back");
	mkfifo(in_folder("f"), 0600);
	REFUSED(make(&r, &d.views.v[0], &e), e, "is not a regular file");
	unlink(in_folder("f"));
	close(fd);
	room_restore_free(&r);
	room_dump_free(&d);
}

static void folders_come_back(void)
{
	int fd = open("/usr/bin", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC), new;
	char room[512];
	struct error e;

	CU_ASSERT(syscall(SYS_getdents64, fd, room, sizeof(room)) > 0);
	new = again(fd);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT(is_same_view(fd, new));
	close(new);
	close(fd);

	CU_ASSERT_EQUAL(mkdir(in_folder("gone"), 0700), 0);
	fd = open(in_folder("gone"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rmdir(in_folder("gone"));
	REFUSED(probe(fd, &e), e, "was deleted");
	close(fd);
}

static void places_come_back(void)
{
	struct stat st;
	int fd, new;

	CU_ASSERT_EQUAL(symlink("nowhere", in_folder("link")), 0);
	fd = open(in_folder("link"), O_PATH | O_NOFOLLOW | O_CLOEXEC);
	new = again(fd);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT(is_same_view(fd, new));
	CU_ASSERT(fstat(new, &st) == 0 && S_ISLNK(st.st_mode));
	close(fd);
	close(new);
	unlink(in_folder("link"));

	fd = open("/dev/null", O_PATH | O_CLOEXEC);
	new = again(fd);
	CU_ASSERT_FATAL(new >= 0);
	CU_ASSERT(is_same_view(fd, new));
	close(fd);
	close(new);
}

static void a_place_of_another_type_is_refused(void)
{
	int fd = file_of("place", O_RDWR, 1), path = open(in_folder("place"), O_PATH | O_CLOEXEC);
	struct dump d = { 0 };
	struct restore r = { 0 };
	struct error e;

	add(&d, path);
	CU_ASSERT_EQUAL_FATAL(dump_all(&d, &r, &e), 0);
	unlink(in_folder("place"));
	CU_ASSERT_EQUAL(mkdir(in_folder("place"), 0700), 0);
	REFUSED(make(&r, &d.views.v[0], &e), e, "of another type");
	rmdir(in_folder("place"));
	close(fd);
	close(path);
	room_restore_free(&r);
	room_dump_free(&d);
}

static void devices_come_back(void)
{
	static const char *const paths[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					     "/dev/urandom" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		int fd = open(paths[i], O_RDWR | (i ? O_NONBLOCK : O_APPEND) | O_CLOEXEC), new;

		if (fd < 0)
			continue;
		new = again(fd);
		CU_ASSERT_FATAL(new >= 0);
		CU_ASSERT(is_same_view(fd, new));
		close(fd);
		close(new);
	}
}

/* --- memfd ------------------------------------------------------------------------------------- */

static void memory_files_come_back(void)
{
	static const int flags[] = { O_RDWR, O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_NONBLOCK };
	int of = memfd_create("a memory file", MFD_CLOEXEC);
	struct stat a, b;

	CU_ASSERT_FATAL(of >= 0 && ftruncate(of, 4096) == 0 && fstat(of, &a) == 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		char path[32];
		int fd, new;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", of);
		fd = open(path, flags[i] | O_CLOEXEC);
		CU_ASSERT_FATAL(fd >= 0 && lseek(fd, (off_t)i * 10, SEEK_SET) >= 0);
		new = again(fd);
		CU_ASSERT_FATAL(new >= 0 && fstat(new, &b) == 0);
		CU_ASSERT(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
		CU_ASSERT_EQUAL(fcntl(new, F_GETFL), fcntl(fd, F_GETFL));
		CU_ASSERT_EQUAL(lseek(new, 0, SEEK_CUR), (off_t)i * 10);
		close(fd);
		close(new);
	}
	close(of);
}

static void memory_files_are_checked(void)
{
	const struct kind *k = room_kind("memfd");
	struct restore r = { 0 };
	Memfd m = MEMFD__INIT;
	struct error e = { 0 };

	REFUSED(k->fd->link(&r, &m, &e), e, "no record of its memory");
	m.memory = 1;
	m.pos = 1ull << 63;
	REFUSED(k->fd->link(&r, &m, &e), e, "position");
}

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

/* --- pipes ------------------------------------------------------------------------------------- */

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
	CU_ASSERT_PTR_NOT_NULL(strstr(p.e.text, "its end for writing is held by `t-kind-fd`"));
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

/* --- timerfd, signalfd --------------------------------------------------------------------------- */

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
	CU_TestInfo files[] = {
		{ "files come back with flags and position", files_come_back },
		{ "a file made without a name", a_linked_tmpfile_comes_back },
		{ "files that lost their name are refused", files_that_went_are_refused },
		{ "files that changed since are refused", changed_files_are_refused },
		{ "folders", folders_come_back },
		{ "O_PATH", places_come_back },
		{ "O_PATH of another type is refused", a_place_of_another_type_is_refused },
		{ "devices", devices_come_back },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo memfds[] = {
		{ "descriptions come back", memory_files_come_back },
		{ "bad records are refused", memory_files_are_checked },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo eventfds[] = {
		{ "counts, semaphores, flags", eventfds_come_back },
		{ "semaphores on old kernels", semaphores_are_found_without_being_shown },
		{ "an overflow is refused", an_overflowed_eventfd_is_refused },
		{ "status flags set later, here and elsewhere", late_flags_come_back },
		CU_TEST_INFO_NULL,
	};
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
	CU_TestInfo epolls[] = {
		{ "members with events and data", epoll_sets_come_back },
		{ "members that lost their number are refused", lost_members_are_refused },
		{ "members have the numbers of their process",
		  members_have_numbers_of_their_process },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo timers[] = {
		{ "timers go on, with every clock", timers_go_on },
		{ "expirations that nobody has read", expirations_are_kept },
		{ "a time of the day is kept", dates_are_kept },
		{ "bad records are refused", bad_timer_records_are_refused },
		{ "signalfd: mask and flags", signalfds_come_back },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "files", NULL, NULL, NULL, NULL, files },
		{ "memfd", NULL, NULL, NULL, NULL, memfds },
		{ "eventfd", NULL, NULL, NULL, NULL, eventfds },
		{ "pipe", NULL, NULL, NULL, NULL, pipes },
		{ "epoll", NULL, NULL, NULL, NULL, epolls },
		{ "timerfd, signalfd", NULL, NULL, NULL, NULL, timers },
		CU_SUITE_INFO_NULL,
	};
	int rc;

	if (!mkdtemp(folder))
		return 1;
	rc = tap_run(suites);
	rmdir(folder);
	return rc;
}
