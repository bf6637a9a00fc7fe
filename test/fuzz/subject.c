/* SPDX-License-Identifier: MIT */
/*
 * The program whose image t-sandbox changes: two processes, a thread, descriptors of the plainest kinds. Without
 * sanitizers, as all that is dumped. subject FD: writes a byte there when it stands.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void must(int good)
{
	if (!good)
		_exit(1);
}

static void *wait_here(void *arg)
{
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ready = argc > 1 ? atoi(argv[1]) : -1, ends[2], event, set;
	pthread_t thread;
	pid_t child;

	must(setsid() > 0 && dup2(open("/dev/null", O_RDWR), 0) == 0);
	must(dup2(0, 1) == 1 && dup2(0, 2) == 2);
	for (int fd = 3; fd < 64; fd++) {
		if (fd != ready)
			close(fd);
	}
	event = eventfd(3, EFD_NONBLOCK);
	set = epoll_create1(EPOLL_CLOEXEC);
	must(open("files/data", O_RDWR) >= 0 && open("files/folder", O_RDONLY | O_DIRECTORY) >= 0 &&
	     open("files/folder", O_PATH) >= 0);
	must(pipe(ends) == 0 && write(ends[1], "unread", 6) == 6);
	must(epoll_ctl(set, EPOLL_CTL_ADD, event, &ev) == 0 && chdir("files/folder") == 0);
	child = fork();
	if (child == 0) {
		close(ready);
		wait_here(NULL);
	}
	must(child > 0 && pthread_create(&thread, NULL, wait_here, NULL) == 0);
	must(write(ready, "x", 1) == 1);
	close(ready);
	wait_here(NULL);
	return 0;
}
