/* SPDX-License-Identifier: MIT */
/* For subjects in which nothing more can be mapped, so that cr has to borrow their memory. */
#ifndef FULL_H
#define FULL_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Kilobytes that a line of /proc/self/status tells. */
static inline unsigned long status_kb(const char *key)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, key);
	return at ? strtoul(at + strlen(key), NULL, 10) : 0;
}

/* Kilobytes of executable memory that are copies of the process' own and not the file's. Needs no memory but
 * its own. */
static inline unsigned long copied_code_kb(void)
{
	static char text[1 << 18];
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	unsigned long sum = 0;
	size_t length = 0;
	int is_code = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	close(fd);
	text[length] = '\0';
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		unsigned long start, stop;
		char mode[5];

		*end = '\0';
		if (sscanf(line, "%lx-%lx %4s", &start, &stop, mode) == 3)
			is_code = mode[2] == 'x';
		else if (is_code && strncmp(line, "Anonymous:", 10) == 0)
			sum += strtoul(line + 10, NULL, 10);
	}
	return sum;
}

static inline int can_map(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 0;
	munmap(p, 4096);
	return 1;
}

static inline void fill_pattern(unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(1 + i % 251);
}

static inline int has_pattern(const unsigned char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != (unsigned char)(1 + i % 251))
			return 0;
	return 1;
}

#endif
