/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
	pid_t pid, parent, session, group;
	int private_value;
	off_t offset;
};

static int to_child[2], to_parent[2], file;
static pid_t parent, child;
static int private_value = 1;
static char page[4096] = "common";

/* Sleeps in read until it is asked, answers, and exits. */
static void child_main(void)
{
	struct answer a;
	char byte;

	private_value = 2;
	close(to_child[1]);
	close(to_parent[0]);
	if (write(to_parent[1], "r", 1) != 1 || read(to_child[0], &byte, 1) != 1 || byte != 'q')
		_exit(1);
	a = (struct answer){ getpid(),  getppid(),     getsid(0),
			     getpgrp(), private_value, lseek(file, 0, SEEK_CUR) };
	if (write(to_parent[1], &a, sizeof(a)) != (ssize_t)sizeof(a))
		_exit(2);
	_exit(strcmp(page, "common") == 0 ? 7 : 3);
}

static const char *prepare(void)
{
	char byte;

	parent = getpid();
	need(pipe(to_child) == 0 && pipe(to_parent) == 0);
	file = open(subject_path("shared"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(file >= 0 && lseek(file, 77, SEEK_SET) == 77);
	child = fork();
	need(child >= 0);
	if (child == 0)
		child_main();
	close(to_child[0]);
	close(to_parent[1]);
	need(read(to_parent[0], &byte, 1) == 1 && byte == 'r');
	return NULL;
}

static const char *verify(void)
{
	struct answer a;
	int status;

	need(getpid() == parent && private_value == 1);
	need(lseek(file, 1234, SEEK_SET) == 1234);
	need(write(to_child[1], "q", 1) == 1);
	need(read(to_parent[0], &a, sizeof(a)) == (ssize_t)sizeof(a));
	need(a.pid == child && a.parent == parent && a.session == getsid(0) &&
	     a.group == getpgrp());
	need(a.private_value == 2 && a.offset == 1234);
	need(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	need(read(to_parent[0], &a, sizeof(a)) == 0);
	return NULL;
}

const struct subject subject = {
	.about = "parent and child: numbers, pipes between them, a shared offset, waitpid",
	.prepare = prepare,
	.verify = verify,
};
