/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
	AGAIN = 10, /* a second number of descriptor 0 */
	BY_TTY = 11,
	BY_NAME = 12
};
static struct termios modes;
static const struct winsize size = { 33, 101, 7, 9 };
static pid_t child;

static bool is_same(void)
{
	struct winsize w;
	struct termios t;

	memset(&t, 0, sizeof(t)); /* bytes between the fields too */
	return tcgetattr(0, &t) == 0 && ioctl(BY_NAME, TIOCGWINSZ, &w) == 0 &&
	       !memcmp(&t, &modes, sizeof(t)) && w.ws_row == size.ws_row &&
	       w.ws_col == size.ws_col && w.ws_xpixel == size.ws_xpixel;
}

/* In the foreground: has the terminal from its parent, may read, write and change it. */
static int in_front(void)
{
	struct termios t;
	char c = 0;
	int fd;

	while (!subject_released())
		usleep(1000);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	fd = open("/dev/tty", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || tcgetpgrp(fd) != getpid() || tcgetsid(fd) != getppid())
		return 1;
	if (read(fd, &c, 1) != -1 || errno != EAGAIN)
		return 2;
	if (tcgetattr(fd, &t) || tcsetattr(fd, TCSANOW, &t) || write(fd, "x", 1) != 1)
		return 3;
	return 0;
}

static const char *prepare(void)
{
	need(tcgetattr(0, &modes) == 0);
	cfmakeraw(&modes);
	modes.c_cc[VINTR] = 0x7e;
	modes.c_cc[VMIN] = 3;
	modes.c_iflag |= IXANY;
	modes.c_cflag &= ~(tcflag_t)CREAD;
	need(tcsetattr(0, TCSANOW, &modes) == 0 && tcgetattr(0, &modes) == 0);
	need(ioctl(0, TIOCSWINSZ, &size) == 0);
	need(dup2(0, AGAIN) == AGAIN);
	need(dup2(open("/dev/tty", O_RDWR | O_NONBLOCK), BY_TTY) == BY_TTY && close(3) == 0);
	need(dup2(open(ttyname(0), O_WRONLY | O_NOCTTY), BY_NAME) == BY_NAME && close(3) == 0);
	need(fcntl(BY_NAME, F_SETFD, FD_CLOEXEC) == 0);
	child = fork();
	need(child >= 0);
	if (child == 0)
		_exit(in_front());
	need(setpgid(child, child) == 0 && tcsetpgrp(0, child) == 0);
	need(is_same());
	return NULL;
}

static const char *verify(void)
{
	int status;

	need(is_same());
	need(tcgetsid(0) == getpid() && tcgetpgrp(BY_TTY) == child);
	need(waitpid(child, &status, 0) == child);
	if (status)
		return wrong("the child in the foreground ended with wait status 0x%x", status);
	/* one description, seen from both its numbers */
	need(fcntl(0, F_SETFL, O_NONBLOCK) == 0 && fcntl(AGAIN, F_GETFL) & O_NONBLOCK);
	need(fcntl(BY_TTY, F_GETFL) & O_NONBLOCK && !(fcntl(BY_NAME, F_GETFL) & O_NONBLOCK));
	need(fcntl(BY_NAME, F_GETFD) == FD_CLOEXEC);
	need(write(BY_NAME, "y", 1) == 1 && write(BY_TTY, "z", 1) == 1);
	need(read(BY_NAME, &status, 1) == -1 && errno == EBADF);
	return NULL;
}

const struct subject subject = {
	.about = "terminal: session, foreground, modes, descriptors",
	.prepare = prepare,
	.verify = verify,
	.terminal = true,
};
