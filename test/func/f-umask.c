/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *prepare(void)
{
	umask(0627);
	return NULL;
}

static const char *verify(void)
{
	struct stat st;
	int fd = open(subject_path("made-after"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0777);

	need(fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0150);
	close(fd);
	need(unlink(subject_path("made-after")) == 0);
	need(umask(0) == 0627);
	return NULL;
}

const struct subject subject = {
	.about = "umask",
	.prepare = prepare,
	.verify = verify,
};
