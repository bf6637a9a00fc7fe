/* SPDX-License-Identifier: MIT */
/*
 *   count FILE PROGRAM ARGUMENT...
 *
 * Adds its own number to FILE, the set_event_pid of a trace instance, then becomes the program: from
 * the execve on the kernel traces it and everything that it starts. (strace -f cannot count programs
 * that are tracers themselves; a seccomp listener lets calls be interrupted that never are.)
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int fd = argc < 3 ? -1 : open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
	char pid[16];
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (fd >= 0 && write(fd, pid, (size_t)n) == n)
		execv(argv[2], argv + 2);
	perror("count");
	return 127;
}
