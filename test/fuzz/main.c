/* SPDX-License-Identifier: MIT */
/*
 * In place of libFuzzer: the target runs over the files that are kept for it, in test/data/fuzz/NAME, where
 * NAME is what follows f- in the program's name; or over those that are given. A line of TAP for each.
 *
 *	f-restore --from-image DIR >FILE	makes such a file of an image
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

/* Only here so that the targets can be linked. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max)
{
	(void)data;
	(void)max;
	return size;
}

static unsigned int n;

static int run(const char *path)
{
	auto_buf b = { 0 };
	auto_free uint8_t *own = NULL;

	/* A file that takes longer than this is one on which it hangs. */
	alarm(20);
	printf("# %s\n", path);
	fflush(stdout);
	if (fd_read_file(AT_FDCWD, path, &b) < 0) {
		printf("not ok %u - %s cannot be read\n", ++n, path);
		return 1;
	}
	/* of its own size, so that a sanitizer sees a read behind it */
	own = mem_alloc(b.len);
	if (b.len)
		memcpy(own, b.p, b.len);
	LLVMFuzzerTestOneInput(own, b.len);
	printf("ok %u - %s\n", ++n, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_file(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int run_folder(const char *program)
{
	const char *src = getenv("srcdir"), *name = strstr(program, "/f-");
	struct dirent **list;
	char dir[512], path[1024];
	int count, failed = 0;

	while (name && strstr(name + 1, "/f-"))
		name = strstr(name + 1, "/f-");
	snprintf(dir, sizeof(dir), "%s/test/data/fuzz/%s", src ? src : ".",
		 name ? name + 3 : program);
	count = scandir(dir, &list, is_file, by_name);
	printf("1..%d\n", count < 1 ? 1 : count);
	if (count < 1) {
		printf("not ok 1 - nothing in %s\n", dir);
		return 1;
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		failed |= run(path);
		free(list[i]);
	}
	free(list);
	return failed;
}

static int convert(const char *dir)
{
	struct error e = { 0 };
	auto_buf blob = { 0 };

	if (hostile_read(dir, &blob, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		return 1;
	}
	return fwrite(blob.p, 1, blob.len, stdout) == blob.len ? 0 : 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc == 3 && !strcmp(argv[1], "--from-image"))
		return convert(argv[2]);
	if (argc == 1)
		return run_folder(argv[0]);
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++)
		failed |= run(argv[i]);
	return failed;
}
