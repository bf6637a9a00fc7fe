/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096ul

static char *writable, *readable;
static int fd;
static struct timespec changed; /* when the file was, before the dump */

static const char *prepare(void)
{
	struct stat st;
	int own;

	fd = open(subject_path("data"), O_RDWR | O_CREAT | O_TRUNC, 0644);
	need(fd >= 0 && ftruncate(fd, 64 * PAGE) == 0);
	own = open(subject_path("data"), O_RDONLY);
	need(own >= 0);
	writable = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	readable = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, own, 8 * PAGE);
	need(writable != MAP_FAILED && readable != MAP_FAILED);
	close(own);
	strcpy(writable + 9 * PAGE, "before");
	need(fstat(fd, &st) == 0);
	changed = st.st_mtim;
	return NULL;
}

static const char *verify(void)
{
	char text[8] = "";
	struct stat st;

	/* Pages that were dirty are in the file, and neither dump nor restore has changed it. */
	need(fstat(fd, &st) == 0 && st.st_mtim.tv_sec == changed.tv_sec &&
	     st.st_mtim.tv_nsec == changed.tv_nsec);
	need(pread(fd, text, 7, 9 * PAGE) == 7 && strcmp(text, "before") == 0);
	need(strcmp(readable + PAGE, "before") == 0 && strcmp(writable + 9 * PAGE, "before") == 0);
	strcpy(writable + 10 * PAGE, "after");
	need(strcmp(readable + 2 * PAGE, "after") == 0);
	need(pread(fd, text, 6, 10 * PAGE) == 6 && strcmp(text, "after") == 0);
	need(pwrite(fd, "direct", 7, 11 * PAGE) == 7 &&
	     strcmp(writable + 11 * PAGE, "direct") == 0);
	/* What was opened for reading alone cannot be made writable. */
	need(mprotect(readable, PAGE, PROT_READ | PROT_WRITE) < 0);
	return NULL;
}

const struct subject subject = {
	.about = "shared file mappings: writes reach the file, whose time of change stays",
	.prepare = prepare,
	.verify = verify,
};
