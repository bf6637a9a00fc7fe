/* SPDX-License-Identifier: MIT */
/* Descriptors: where each leads, and what fdinfo says of it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapshot.h"

/* What is not an event but says how events are told. */
#define MEMBER_MODES (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

static bool is_known_inode(const struct inodes *all, unsigned long inode)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->list[i] == inode)
			return true;
	return false;
}

/*
 * "NUMBER events: X data: X pos:N ino:X sdev:X". A pipe's inode number is written as for the pipe
 * itself. The kernel adds EPOLLERR and EPOLLHUP to whatever is asked for, but a one-shot member that
 * has told loses them too; no call brings that about, so for such a member the two do not count.
 */
static void write_member(struct snapshot *s, const char *text, char *out, size_t room)
{
	unsigned long data, inode;
	unsigned int events, device;
	long number, pos;

	if (sscanf(text, "%ld events: %x data: %lx pos:%li ino:%lx sdev:%x", &number, &events,
		   &data, &pos, &inode, &device) != 6)
		return;
	if (events & EPOLLONESHOT && !(events & ~(MEMBER_MODES | EPOLLERR | EPOLLHUP)))
		events &= MEMBER_MODES;
	if (is_known_inode(&s->pipes, inode))
		snprintf(out, room, "events %x data %lx pos %ld pipe #%zu sdev %x", events, data,
			 pos, inode_index(&s->pipes, inode), device);
	else
		snprintf(out, room, "events %x data %lx pos %ld ino %lx sdev %x", events, data, pos,
			 inode, device);
}

/*
 * inodes: those among which its own counts; NULL: its number stays the same. The members of an epoll set come in the
 * order of kernel addresses: the number makes the key.
 */
static void read_fdinfo_line(struct snapshot *s, const char *prefix, const char *key,
			     const char *text, struct inodes *inodes)
{
	char value[512];

	snprintf(value, sizeof(value), "%s", text);
	if (strcmp(key, "ino") == 0 && inodes)
		snprintf(value, sizeof(value), "#%zu",
			 inode_index(inodes, strtoul(text, NULL, 10)));
	if (strcmp(key, "tfd") != 0)
		return add(s, value, "%s/%s", prefix, key);
	write_member(s, text, value, sizeof(value));
	add(s, value, "%s/tfd/%05ld", prefix, strtol(text, NULL, 10));
}

static void read_fdinfo(struct snapshot *s, const char *proc, int fd, struct inodes *inodes)
{
	char path[PATH_MAX], prefix[96];
	char *text, *line, *save = NULL;

	snprintf(path, sizeof(path), "%s/fdinfo/%d", proc, fd);
	snprintf(prefix, sizeof(prefix), "%s/fdinfo/%05d", proc + strlen("/proc/"), fd);
	text = slurp(path, NULL);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon++ = '\0';
		read_fdinfo_line(s, prefix, line, colon + strspn(colon, " \t"), inodes);
	}
	free(text);
}

static bool is_pipe_link(const char *link)
{
	return strncmp(link, "pipe:[", 6) == 0;
}

void read_fd(struct snapshot *s, const char *proc, int fd)
{
	char path[PATH_MAX], link[PATH_MAX], value[PATH_MAX + 64];
	struct inodes *inodes = NULL;
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/fd/%d", proc, fd);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || lstat(path, &st) < 0)
		return;
	link[n] = '\0';
	if (is_pipe_link(link)) {
		inodes = &s->pipes;
		snprintf(link, sizeof(link), "pipe #%zu",
			 inode_index(inodes, strtoul(link + 6, NULL, 10)));
	} else if (is_memory(link)) {
		inodes = &s->memory;
	}
	snprintf(value, sizeof(value), "%s %03o", link, st.st_mode & 0777);
	add(s, value, "%s/fd/%05d", proc + strlen("/proc/"), fd);
	read_fdinfo(s, proc, fd, inodes);
}

void number_pipe(struct snapshot *s, const char *proc, int fd)
{
	char path[PATH_MAX], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/fd/%d", proc, fd);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	if (is_pipe_link(link))
		inode_index(&s->pipes, strtoul(link + 6, NULL, 10));
}
