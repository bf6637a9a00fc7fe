/* SPDX-License-Identifier: MIT */
/* The kind of terminals on pseudo terminals that are made here. */
#include <asm/termbits.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "kind-room.h"
#include "tap.h"
#include "tty.pb-c.h"

static int master_of(char *name, size_t size)
{
	int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), unlock = 0;
	unsigned int n;

	if (m < 0 || ioctl(m, TIOCSPTLCK, &unlock) < 0 || ioctl(m, TIOCGPTN, &n) < 0)
		abort();
	snprintf(name, size, "/dev/pts/%u", n);
	return m;
}

static int slave(const char *name)
{
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		abort();
	return fd;
}

static void look(struct dump *d, int fd)
{
	struct fd_view *v = vec_add(&d->views);
	struct error e;
	char path[32];

	*v = (struct fd_view){ .pid = getpid(), .fd = fd, .id = (uint32_t)d->views.n };
	v->proc = open("/proc/thread-self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "fd/%d", fd);
	v->link = fd_readlink(&d->arena, v->proc, path);
	v->dup = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	if (!v->link || fstat(fd, &v->st) < 0 ||
	    fdinfo_read(v->proc, fd, &d->arena, &v->info, &e) < 0)
		abort();
}

static Tty *dump_one(struct dump *d, size_t i, int *rc, struct error *e)
{
	Tty *m = room_message(&d->arena, &kind_tty, d->views.v[i].id);

	*e = (struct error){ 0 };
	*rc = kind_tty.fd->dump(d, &d->views.v[i], m, e);
	return m;
}

/* --- dump ---------------------------------------------------------------------------------------- */

static void settings_are_in_the_first(void)
{
	struct winsize w = { 33, 101, 7, 9 };
	struct termios2 t;
	struct dump d = { 0 };
	struct error e;
	char name[32];
	int m = master_of(name, sizeof(name)), a = slave(name), b = slave(name), rc;
	Tty *first, *second;

	CU_ASSERT(ioctl(m, TIOCSWINSZ, &w) == 0 && ioctl(a, TCGETS2, &t) == 0);
	t.c_lflag &= ~(unsigned int)(ICANON | ECHO);
	t.c_cc[3] = 0x7e;
	t.c_ospeed = t.c_ispeed = 12345;
	t.c_cflag = (t.c_cflag & ~(unsigned int)CBAUD) | BOTHER;
	CU_ASSERT(ioctl(a, TCSETS2, &t) == 0);
	look(&d, a);
	look(&d, b);
	first = dump_one(&d, 0, &rc, &e);
	CU_ASSERT_FATAL(rc == 0 && first->settings);
	CU_ASSERT_STRING_EQUAL(first->path, name);
	CU_ASSERT(first->settings->lflag == t.c_lflag && first->settings->ospeed == 12345);
	CU_ASSERT(first->settings->cc.len == NCCS && first->settings->cc.data[3] == 0x7e);
	CU_ASSERT(first->settings->rows == 33 && first->settings->columns == 101);
	CU_ASSERT(first->settings->x_pixels == 7 && first->settings->y_pixels == 9);
	second = dump_one(&d, 1, &rc, &e);
	CU_ASSERT(rc == 0 && !second->settings);
	close(a);
	close(b);
	close(m);
	room_dump_free(&d);
}

static void a_second_terminal_is_refused(void)
{
	struct dump d = { 0 };
	struct error e;
	char name[32], other[32];
	int m = master_of(name, sizeof(name)), n = master_of(other, sizeof(other)), rc;
	int a = slave(name), b = slave(other);

	look(&d, a);
	look(&d, b);
	dump_one(&d, 0, &rc, &e);
	CU_ASSERT(rc == 0);
	dump_one(&d, 1, &rc, &e);
	REFUSED(rc, e, "second terminal");
	close(a);
	close(b);
	close(m);
	close(n);
	room_dump_free(&d);
}

/* In a child that leads a session: 0 if all is as it should be. */
static int in_session(const char *own, const char *other)
{
	struct dump d = { 0 };
	struct error e;
	int a = slave(own), b = slave(other);

	if (setsid() < 0 || ioctl(a, TIOCSCTTY, 0) < 0)
		return 2;
	look(&d, a);
	look(&d, b);
	if (kind_tty.fd->probe(&d.views.v[0], &e) < 0)
		return 3;
	if (kind_tty.fd->probe(&d.views.v[1], &e) >= 0)
		return 4;
	return strstr(e.text, "not the controlling terminal") ? 0 : 5;
}

static void another_than_the_controlling_is_refused(void)
{
	char name[32], other[32];
	int m = master_of(name, sizeof(name)), n = master_of(other, sizeof(other)), status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(in_session(name, other));
	CU_ASSERT(waitpid(pid, &status, 0) == pid && status == 0);
	close(m);
	close(n);
}

static void a_closed_one_is_refused(void)
{
	struct dump d = { 0 };
	struct error e;
	char name[32];
	int m = master_of(name, sizeof(name)), a = slave(name), rc;

	look(&d, a);
	CU_ASSERT_EQUAL(kind_tty.fd->probe(&d.views.v[0], &e), 0);
	close(m);
	dump_one(&d, 0, &rc, &e);
	REFUSED(rc, e, "was closed");
	look(&d, a);
	REFUSED(kind_tty.fd->probe(&d.views.v[1], &e), e, "was closed");
	close(a);
	room_dump_free(&d);
}

/* --- restore ------------------------------------------------------------------------------------- */

static TtySettings *settings(struct arena *a, Tty *m)
{
	TtySettings *s = arena_alloc(a, sizeof(*s));

	tty_settings__init(s);
	s->cc.len = 19;
	s->cc.data = arena_alloc(a, 19);
	m->settings = s;
	return s;
}

static void records_are_checked(void)
{
	struct restore r = { 0 };
	struct error e;
	Tty *m = room_message(&r.arena, &kind_tty, 1);
	TtySettings *s;

	CU_ASSERT_EQUAL(kind_tty.fd->link(&r, m, &e), 0);
	s = settings(&r.arena, m);
	s->lflag = 0x55;
	s->cc.data[18] = 0x66;
	s->rows = 65535;
	CU_ASSERT_EQUAL(kind_tty.fd->link(&r, m, &e), 0);
	CU_ASSERT(room_settings.lflag == 0x55 && room_settings.cc[18] == 0x66);
	CU_ASSERT_EQUAL(room_settings.rows, 65535);
	s->rows = 65536;
	REFUSED(kind_tty.fd->link(&r, m, &e), e, "a window of 65536 rows");
	s->rows = 1;
	s->y_pixels = 1u << 31;
	REFUSED(kind_tty.fd->link(&r, m, &e), e, "a window of 1 rows");
	s->y_pixels = 0;
	s->cc.len = 18;
	REFUSED(kind_tty.fd->link(&r, m, &e), e, "18 control characters");
	s->cc.len = 20;
	REFUSED(kind_tty.fd->link(&r, m, &e), e, "20 control characters");
	room_restore_free(&r);
}

static void it_is_opened_where_cr_is(void)
{
	struct restore r = { 0 };
	struct error e;
	char name[32];
	int m = master_of(name, sizeof(name)), fd;
	Tty *t = room_message(&r.arena, &kind_tty, 1);
	struct stat st, want;

	t->path = (char *)"/dev/pts/4711";
	room_terminal = name;
	fd = kind_tty.fd->open(&r, t, O_WRONLY | O_NONBLOCK, &e);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT(fstat(fd, &st) == 0 && stat(name, &want) == 0 && st.st_rdev == want.st_rdev);
	CU_ASSERT((fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_WRONLY | O_NONBLOCK));
	t->path = (char *)"/dev/tty";
	REFUSED(kind_tty.fd->open(&r, t, O_RDWR, &e), e, "/dev/tty");
	close(fd);
	close(m);
	room_restore_free(&r);
}

int main(void)
{
	CU_TestInfo dumps[] = {
		{ "modes and size, once", settings_are_in_the_first },
		{ "a second terminal is refused", a_second_terminal_is_refused },
		{ "another than the controlling one is refused",
		  another_than_the_controlling_is_refused },
		{ "a closed one is refused", a_closed_one_is_refused },
		CU_TEST_INFO_NULL,
	};
	CU_TestInfo restores[] = {
		{ "bad records are refused", records_are_checked },
		{ "opened where cr is", it_is_opened_where_cr_is },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "dump", NULL, NULL, NULL, NULL, dumps },
		{ "restore", NULL, NULL, NULL, NULL, restores },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
