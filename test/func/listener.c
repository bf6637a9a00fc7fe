/* SPDX-License-Identifier: MIT */
#include "listener.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "filter.h"

int listener_install(long nr)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return (int)filter_install(code, sizeof(code) / sizeof(code[0]),
				   SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

int listener_fetch(pid_t from, int number)
{
	int pidfd = (int)syscall(SYS_pidfd_open, from, 0);
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);

	close(pidfd);
	return fd;
}

bool listener_take(int listener, struct seccomp_notif *n)
{
	for (;;) {
		memset(n, 0, sizeof(*n));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, n) == 0)
			return true;
		/* ENOENT: the task was interrupted just then. EINTR nobody has a right to, here. */
		if (errno != ENOENT)
			return false;
	}
}

bool listener_answer(int listener, const struct seccomp_notif *n, long long value)
{
	const struct seccomp_notif_resp r = { .id = n->id, .val = value };

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) == 0;
}
