/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 4096ul

static char *whole, *middle, *locked, *beyond;
static const char *path;

static char of_file(size_t i)
{
	return (char)(i * 31 + 7);
}

static const char *prepare(void)
{
	char page[PAGE];
	int fd, small;

	path = subject_path("data");
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(fd >= 0);
	for (size_t i = 0; i < PAGES; i++) {
		memset(page, of_file(i), PAGE);
		need(pwrite(fd, page, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE);
	}
	whole = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	middle = mmap(NULL, 16 * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 1000 * PAGE);
	locked = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2000 * PAGE);
	need(whole != MAP_FAILED && middle != MAP_FAILED && locked != MAP_FAILED);
	for (size_t i = 0; i < PAGES; i += 37)
		whole[i * PAGE + 5] = 'x';
	locked[0] = 'y';
	need(mprotect(locked, 16 * PAGE, PROT_READ) == 0);
	small = open(subject_path("small"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(small >= 0 && write(small, "only this", 9) == 9);
	beyond = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, small, 0);
	need(beyond != MAP_FAILED);
	beyond[100] = 'z';
	close(small);
	close(fd);
	return NULL;
}

static const char *verify(void)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	char byte = 'n';

	need(fd >= 0);
	for (size_t i = 0; i < PAGES; i++) {
		need(whole[i * PAGE] == of_file(i));
		need(whole[i * PAGE + 5] == (i % 37 ? of_file(i) : 'x'));
	}
	for (size_t i = 0; i < 16; i++)
		need(middle[i * PAGE] == of_file(1000 + i));
	need(locked[0] == 'y' && locked[1] == of_file(2000) && locked[PAGE] == of_file(2001));
	need(memcmp(beyond, "only this", 9) == 0 && beyond[100] == 'z' && beyond[99] == 0);
	/* A page that was never written is still the file's, one that was is not. */
	need(pread(fd, &byte, 1, 5) == 1 && byte == of_file(0));
	byte = 'n';
	need(pwrite(fd, &byte, 1, PAGE) == 1 && whole[PAGE] == 'n');
	need(pwrite(fd, &byte, 1, 37 * PAGE) == 1 && whole[37 * PAGE] == of_file(37));
	close(fd);
	return NULL;
}

const struct subject subject = {
	.about = "private file mappings: changed pages are kept, the others are the file's",
	.prepare = prepare,
	.verify = verify,
};
