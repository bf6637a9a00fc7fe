/* SPDX-License-Identifier: MIT */
/* A folder to write images into, and a small image. */
#ifndef IMAGE_ROOM_H
#define IMAGE_ROOM_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "eventfd.pb-c.h"
#include "files.pb-c.h"
#include "image/image.h"
#include "image/record.h"
#include "mm.pb-c.h"
#include "tap.h"

static const struct record_type types[] = {
	{ "EVFD", 1, &event_fd__descriptor },
	{ "FDTB", 1, &fd_table__descriptor },
	{ "MMSP", 1, &mm__descriptor },
};
enum {
	EVFD,
	FDTB,
	MMSP,
	N_TYPES
};

static char folder[32];

static inline int make_folder(void)
{
	strcpy(folder, "/tmp/t-image.XXXXXX");
	umask(022);
	return !mkdtemp(folder) || chdir(folder) < 0;
}

static void remove_tree(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) {
		char inner[600];

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
		if (unlink(inner) < 0)
			remove_tree(inner);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static inline int remove_folder(void)
{
	int rc = chdir("/");

	remove_tree(folder);
	return rc;
}

static inline bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* --- a small image --------------------------------------------------------------------------- */

static inline Manifest manifest(void)
{
	Manifest m = MANIFEST__INIT;

	m.tool = "cr test";
	m.arch = "x86_64";
	m.kernel = "6.1";
	m.kernel_version = "#1";
	m.host = "host";
	m.boot_id = "boot";
	m.realtime_ns = -5;
	m.xsave_mask = 0xe7;
	m.xsave_size = 2432;
	m.cpu = "cpu";
	m.root = 10;
	return m;
}

static inline int put_eventfd(struct image_writer *w, uint32_t id, uint64_t count, struct error *e)
{
	EventFd m = EVENT_FD__INIT;

	m.id = id;
	m.count = count;
	m.semaphore = true;
	return image_put(w, &types[EVFD], &m.base, e);
}

static inline int put_table(struct image_writer *w, uint32_t id, struct error *e)
{
	FdTable m = FD_TABLE__INIT;
	Descriptor fds[2] = { DESCRIPTOR__INIT, DESCRIPTOR__INIT }, *list[2] = { &fds[0], &fds[1] };

	m.id = id;
	m.n_fds = 2;
	m.fds = list;
	fds[0].fd = 3;
	fds[1].fd = 70000;
	fds[1].cloexec = true;
	return image_put(w, &types[FDTB], &m.base, e);
}

static inline int put_mm(struct image_writer *w, uint32_t id, struct error *e)
{
	Mm m = MM__INIT;
	FileIdentity exe = FILE_IDENTITY__INIT;
	Mapping map = MAPPING__INIT, *maps[1] = { &map };
	static uint8_t auxv[5] = { 0, 1, 0xfe, 0, 0x10 };

	m.id = id;
	m.start_code = 0xffffffff00000000;
	m.auxv.data = auxv;
	m.auxv.len = sizeof(auxv);
	m.exe = &exe;
	exe.path = "/bin/\xe4\xc3\xa4\n";
	exe.size = UINT64_MAX;
	exe.mtime_ns = INT64_MIN;
	m.n_mappings = 1;
	m.mappings = maps;
	map.sort = MAPPING__SORT__FILE_SHARED;
	map.has_file = true;
	return image_put(w, &types[MMSP], &m.base, e);
}

static inline int put_all(struct image_writer *w, struct error *e)
{
	static char pages[2 * 4096];
	int rc = put_eventfd(w, 9, 7, e);

	if (rc == 0)
		rc = put_table(w, 9, e);
	if (rc == 0)
		rc = put_eventfd(w, 2, UINT64_MAX, e);
	if (rc == 0)
		rc = put_mm(w, 1, e);
	memset(pages, 'p', sizeof(pages));
	if (rc == 0)
		rc = image_put_pages(w, 0, pages, sizeof(pages), e);
	for (int i = 0; i < 2 && rc == 0; i++)
		rc = image_put_pages(w, 2, pages, 4096, e);
	return rc == 0 && image_next_place(w, 2) != 8192 ? -1 : rc;
}

static inline int write_image(const char *dir, bool force, bool sync, struct error *e)
{
	struct image_writer *w = NULL;
	Manifest m = manifest();
	int rc = image_create(&w, dir, force, sync, e);

	if (rc == 0)
		rc = put_all(w, e);
	if (rc == 0)
		rc = image_finish(w, &m, e);
	if (rc == 0)
		rc = image_publish(w, e);
	image_close(w, false);
	return rc;
}

static inline void start_afresh(void)
{
	remove_tree("image");
	remove_tree("image.partial");
	unlink("image");
	unlink("image.partial");
}

static inline void make_image(void)
{
	struct error e = { 0 };

	start_afresh();
	CU_ASSERT_EQUAL_FATAL(write_image("image", false, false, &e), 0);
}

static inline int open_image(struct image *img, struct error *e)
{
	return image_open(img, "image", types, N_TYPES, false, e);
}

/* Opens, expects a refusal that says this. */
static inline void expect_refusal(const char *want)
{
	struct image img;
	struct error e = { 0 };
	int rc = open_image(&img, &e);

	CU_ASSERT(rc < 0);
	if (!strstr(e.text, want))
		printf("# want: %s\n# have: %s\n", want, rc < 0 ? e.text : "success");
	CU_ASSERT(strstr(e.text, want) != NULL);
	image_free(&img);
}

static inline void write_all(const char *path, const void *p, size_t n)
{
	auto_fd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL_FATAL(fd_write_full(fd, p, n), 0);
}

#endif
