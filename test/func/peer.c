/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include <sys/wait.h>
#include <unistd.h>

struct order {
	char sort; /* 'r', 'w' */
	char value;
	char *at;
};

static void obey(int in, int out)
{
	struct order o;

	while (read(in, &o, sizeof(o)) == (ssize_t)sizeof(o)) {
		if (o.sort == 'w')
			*(volatile char *)o.at = o.value;
		o.value = *(volatile char *)o.at;
		if (write(out, &o.value, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

bool peer_start(struct peer *p, bool (*prepare)(void))
{
	int to[2], from[2];
	char ready = 0;

	if (pipe(to) < 0 || pipe(from) < 0)
		return false;
	p->pid = fork();
	if (p->pid < 0)
		return false;
	if (p->pid == 0) {
		close(to[1]);
		close(from[0]);
		if (!prepare() || write(from[1], "r", 1) != 1)
			_exit(2);
		obey(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	p->to = to[1];
	p->from = from[0];
	return read(p->from, &ready, 1) == 1 && ready == 'r';
}

static int order(const struct peer *p, struct order o)
{
	unsigned char value;

	if (write(p->to, &o, sizeof(o)) != (ssize_t)sizeof(o) || read(p->from, &value, 1) != 1)
		return -1;
	return value;
}

bool peer_write(const struct peer *p, char *at, char value)
{
	return order(p, (struct order){ 'w', value, at }) == (unsigned char)value;
}

int peer_read(const struct peer *p, const char *at)
{
	return order(p, (struct order){ 'r', 0, (char *)at });
}

bool peer_end(struct peer *p)
{
	int status;

	close(p->to);
	close(p->from);
	return waitpid(p->pid, &status, 0) == p->pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}
