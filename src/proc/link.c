/* SPDX-License-Identifier: MIT */
#include "proc/link.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/str.h"

/* d_path() puts this behind the last name of what has been unlinked. */
#define DELETED " (deleted)"

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

static int refuse(const char *text, const struct stat *st, int code, struct error *e)
{
	if (ends_with(text, DELETED)) {
		if (st->st_nlink == 0 || S_ISDIR(st->st_mode))
			return fail(
				e, 0,
				"was deleted while in use, and what is deleted cannot be saved yet: "
				"have the program close it");
		return fail(e, 0,
			    "was deleted while in use; the file has other names, which cannot be "
			    "found: put this one back");
	}
	if (code && code != ENOENT && code != ENOTDIR)
		return fail(e, code, "look up the name");
	if (code)
		return fail(
			e, 0,
			"is not there as seen from the root folder of cr: run cr in the subject's "
			"mount namespace and root folder");
	return fail(
		e, 0,
		"was replaced, renamed away or mounted over while in use: another object has that "
		"name now");
}

int link_check(const char *text, const struct stat *st, bool follow, struct error *e)
{
	struct stat now;

	if (text[0] != '/')
		return fail(e, 0, "has no name in a file system");
	if (fstatat(AT_FDCWD, text, &now, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
		return refuse(text, st, errno, e);
	/* A name may really end in " (deleted)". */
	if (now.st_dev == st->st_dev && now.st_ino == st->st_ino)
		return 0;
	return refuse(text, st, 0, e);
}

int link_check_proc(const char *text, const struct stat *st, int proc, struct error *e)
{
	struct stat own;

	if (!str_starts(text, "/proc/"))
		return 0;
	if (fstat(proc, &own) == 0 && own.st_dev != st->st_dev)
		return 0;
	return fail(e, 0,
		    "files and folders of /proc cannot be saved yet; have the program close it");
}
