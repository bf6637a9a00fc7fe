/* SPDX-License-Identifier: MIT */
/* Filters of system calls for subjects. */
#ifndef FILTER_H
#define FILTER_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long filter_install(const struct sock_filter *code, size_t n, unsigned long flags)
{
	struct sock_fprog prog = { (unsigned short)n, (struct sock_filter *)code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* Call nr fails with this error; all others are made. */
static inline long filter_deny(long nr, unsigned int error, unsigned long flags)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	return filter_install(code, sizeof(code) / sizeof(code[0]), flags);
}

/* Only these n (up to 60) calls are made; any other ends the process, or gives `otherwise`. */
static inline long filter_allow(const int *calls, size_t n, unsigned int otherwise)
{
	struct sock_filter code[64] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};

	for (size_t i = 0; i < n; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							   (unsigned int)calls[i],
							   (unsigned char)(n - i), 0);
	code[1 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
	code[2 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return filter_install(code, n + 3, 0);
}

/* A number in /proc/self/task/TID/status ("Seccomp:", "Seccomp_filters:"), or -1. */
static inline int filter_status(int tid, const char *line)
{
	char path[48], text[128];
	int value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(text, sizeof(text), f))
		if (!strncmp(text, line, strlen(line)))
			sscanf(text + strlen(line), "%d", &value);
	if (f)
		fclose(f);
	return value;
}

#endif
