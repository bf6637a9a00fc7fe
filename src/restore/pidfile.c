/* SPDX-License-Identifier: MIT */
/*
 * The file that tells the number of the root: everything that can fail is done before the commit, and
 * the file is there, or is another, only after it.
 */
#include "restore/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* A file without a name in the folder of `path`. */
static int open_nameless(const char *path)
{
	const char *slash = strrchr(path, '/');
	auto_buf folder = { 0 };

	if (slash)
		buf_add(&folder, path, (size_t)(slash - path) + 1);
	else
		buf_printf(&folder, ".");
	return open(folder.p, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0644);
}

int pidfile_open(struct pidfile *f, const char *path, unsigned int pid, struct error *e)
{
	int rc;

	*f = (struct pidfile){ .fd = -1, .path = path };
	if (!path)
		return 0;
	snprintf(f->text, sizeof(f->text), "%u\n", pid);
	f->fd = open(path, O_WRONLY | O_CLOEXEC);
	if (f->fd >= 0)
		return 0;
	if (errno != ENOENT)
		return fail(e, errno, "open %s", path);
	f->fd = open_nameless(path);
	f->is_nameless = f->fd >= 0;
	if (!f->is_nameless) { /* not every filesystem has such files */
		f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		f->is_new = true;
	}
	if (f->fd < 0)
		return fail(e, errno, "open %s", path);
	rc = fd_write_full(f->fd, f->text, strlen(f->text));
	return rc < 0 ? fail(e, -rc, "write %s", path) : 0;
}

static int put(const struct pidfile *f)
{
	char from[32];

	if (f->is_new)
		return 0;
	if (f->is_nameless) {
		snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
		return linkat(AT_FDCWD, from, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW) ? -errno : 0;
	}
	if (ftruncate(f->fd, 0) && errno != EINVAL) /* EINVAL: a pipe, a device */
		return -errno;
	return fd_write_full(f->fd, f->text, strlen(f->text));
}

void pidfile_publish(struct pidfile *f)
{
	struct error e;
	int rc = f->fd >= 0 ? put(f) : 0;

	/* The tree is there already. */
	if (rc < 0 && fail(&e, -rc, "write %s", f->path) < 0)
		warn("%s", e.text);
	f->is_new = false;
	pidfile_close(f);
}

void pidfile_close(struct pidfile *f)
{
	if (f->fd < 0)
		return;
	if (f->is_new)
		unlink(f->path);
	close(f->fd);
	f->fd = -1;
}
