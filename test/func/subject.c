/* SPDX-License-Identifier: MIT */
/* The subject's side: prepare, say ready, wait, verify, give the verdict. */
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SKIP_PREFIX "skip: "
#define LACKS_PREFIX "lacks: "
/* A subject that nobody lets go ends by itself. */
#define ABANDONED_AFTER 300

static char folder[PATH_MAX];
static char message[1024];

const char *wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	return message;
}

const char *wrong_errno(const char *fmt, ...)
{
	int code = errno;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	n = strlen(message);
	snprintf(message + n, sizeof(message) - n, " (errno: %s)", strerror(code));
	return message;
}

static void prefixed(const char *prefix, const char *fmt, va_list ap)
{
	size_t n = strlen(prefix);

	memcpy(message, prefix, n);
	vsnprintf(message + n, sizeof(message) - n, fmt, ap);
}

const char *skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	prefixed(SKIP_PREFIX, fmt, ap);
	va_end(ap);
	return message;
}

const char *lacks(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	prefixed(LACKS_PREFIX, fmt, ap);
	va_end(ap);
	return message;
}

const char *subject_path(const char *name)
{
	static char paths[8][PATH_MAX + 64];
	static unsigned int next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

void subject_move_folder(const char *to)
{
	snprintf(folder, sizeof(folder), "%s", to);
}

bool subject_released(void)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/go", folder);
	return access(path, F_OK) == 0;
}

char subject_state(int pid)
{
	char path[64], text[512] = "", *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	at = strrchr(text, ')');
	return at && at[1] ? at[2] : 0;
}

void subject_wait(void)
{
	struct timespec now, nap = { .tv_nsec = 2000000 };
	time_t since;

	clock_gettime(CLOCK_MONOTONIC, &now);
	since = now.tv_sec;
	while (!subject_released()) {
		nanosleep(&nap, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - since > ABANDONED_AFTER)
			_exit(3);
	}
}

/* The file is there only with all of its content. */
static void tell(const char *name, const char *text)
{
	char path[PATH_MAX + 64], temporary[PATH_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(temporary, sizeof(temporary), "%s/%s.new", folder, name);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0 ||
	    rename(temporary, path) < 0) {
		perror(path);
		_exit(2);
	}
}

void left_out(const char *fmt, ...)
{
	char text[sizeof(message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell("left out", text);
}

static int subject_main(const char *where)
{
	const char *text;

	subject_move_folder(where);
	text = subject.prepare();
	if (text) {
		tell("verdict", text);
		return 1;
	}
	tell("ready", "");
	(subject.wait ? subject.wait : subject_wait)();
	text = subject.verify();
	tell("verdict", text ? text : "good");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--subject") == 0)
		return subject_main(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--exit-42") == 0) /* f-exe.c executes itself */
		return 42;
	return judge_main(argc, argv);
}
