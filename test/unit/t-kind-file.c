/* SPDX-License-Identifier: MIT */
/* The kinds of what has a name, and of memory files: files, folders, O_PATH, devices, memfd. */
#include "fd-room.h"
#include "memfd.pb-c.h"

/* --- files ------------------------------------------------------------------------------------- */

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
	CU_SuiteInfo suites[] = {
		{ "files", NULL, NULL, NULL, NULL, files },
		{ "memfd", NULL, NULL, NULL, NULL, memfds },
		CU_SUITE_INFO_NULL,
	};

	return run_in_folder(suites);
}
