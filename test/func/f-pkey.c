/* SPDX-License-Identifier: MIT */
/*
 * Protection keys: which there are, which memory has which, and what each thread may do with it, which is
 * in a register of its own.
 */
#include "subject.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static char *closed, *unwritable, *open_, *code, *orphan;
static int keys[5]; /* the second and the last are free */
static int go[2], done[2], question[2], answer[2];
static pthread_t thread;
static pid_t child;
static int rights_of_thread;

static char *map(void)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE) < 0)
		return NULL;
	return p + PAGE;
}

/* As this thread may: write(2) looks at its rights too. */
static bool can_read(const char *p)
{
	int fds[2];
	bool can;

	if (pipe(fds) < 0)
		return false;
	can = write(fds[1], p, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return can;
}

static bool can_write(char *p)
{
	int fds[2];
	bool can;

	if (pipe(fds) < 0 || write(fds[1], "w", 1) != 1)
		return false;
	can = read(fds[0], p, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return can;
}

/* Its rights are the other way round. */
static void *other(void *arg)
{
	char c = 0;

	(void)arg;
	pkey_set(keys[0], PKEY_DISABLE_WRITE);
	pkey_set(keys[2], PKEY_DISABLE_ACCESS);
	rights_of_thread = pkey_get(keys[0]) << 4 | pkey_get(keys[2]);
	while (read(go[0], &c, 1) == 1) {
		c = can_read(closed) && !can_write(closed) && !can_read(unwritable) &&
		    (pkey_get(keys[0]) << 4 | pkey_get(keys[2])) == rights_of_thread;
		if (write(done[1], &c, 1) != 1)
			break;
	}
	return NULL;
}

static void in_child(void)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(question[0], &c, 1) == 1) {
		int key = pkey_alloc(0, 0);

		c = !can_read(closed) && can_read(unwritable) && !can_write(unwritable) &&
		    key == keys[1] && pkey_free(key) == 0;
		if (write(answer[1], &c, 1) != 1)
			break;
	}
	_exit(0);
}

static const char *ask(int to, int from)
{
	char c = 0;

	need(write(to, "?", 1) == 1 && read(from, &c, 1) == 1 && c == 1);
	return NULL;
}

static const char *look(void)
{
	need(!can_read(closed) && pkey_get(keys[0]) == PKEY_DISABLE_ACCESS);
	need(can_read(unwritable) && !can_write(unwritable));
	need(can_read(open_) && can_write(open_) && pkey_get(keys[3]) == 0);
	pass_on(ask(go[1], done[0]));
	return ask(question[1], answer[0]);
}

/* One that is free again, whose memory has it still. */
static const char *make_orphan(void)
{
	keys[4] = pkey_alloc(0, 0);
	need(keys[4] > 0 && pkey_mprotect(orphan, PAGE, PROT_READ | PROT_WRITE, keys[4]) == 0);
	need(pkey_free(keys[4]) == 0);
	return NULL;
}

static const char *prepare(void)
{
	keys[0] = pkey_alloc(0, 0);
	if (keys[0] < 0)
		return lacks("no protection keys here");
	need((closed = map()) && (unwritable = map()) && (open_ = map()) && (code = map()));
	need((orphan = map()) != NULL);
	strcpy(closed, "closed");
	strcpy(unwritable, "unwritable");
	strcpy(open_, "open");
	strcpy(orphan, "orphan");
	memcpy(code, "\xb8\x2a\0\0\0\xc3", 6); /* return 42 */
	for (int i = 1; i < 4; i++)
		need((keys[i] = pkey_alloc(0, 0)) > 0);
	need(mprotect(code, PAGE, PROT_EXEC) == 0); /* with a key that the kernel chooses */
	pass_on(make_orphan());
	need(pkey_mprotect(closed, PAGE, PROT_READ | PROT_WRITE, keys[0]) == 0);
	need(pkey_mprotect(unwritable, PAGE, PROT_READ | PROT_WRITE, keys[2]) == 0);
	need(pkey_mprotect(open_, PAGE, PROT_READ | PROT_WRITE, keys[3]) == 0);
	need(pkey_free(keys[1]) == 0);
	need(pipe(go) == 0 && pipe(done) == 0 && pipe(question) == 0 && pipe(answer) == 0);
	need(pkey_set(keys[0], PKEY_DISABLE_ACCESS) == 0);
	need(pkey_set(keys[2], PKEY_DISABLE_WRITE) == 0);
	child = fork();
	if (child == 0)
		in_child();
	need(child > 0 && pthread_create(&thread, NULL, other, NULL) == 0);
	return look();
}

static const char *verify(void)
{
	int (*function)(void);

	pass_on(look());
	memcpy(&function, &code, sizeof(function));
	need(function() == 42 && !can_read(code));
	need(strcmp(orphan, "orphan") == 0);
	need(pkey_mprotect(code, PAGE, PROT_EXEC, keys[4]) < 0 && errno == EINVAL);
	need(pkey_alloc(0, 0) == keys[1] && pkey_alloc(0, 0) == keys[4]);
	need(pkey_set(keys[0], 0) == 0 && strcmp(closed, "closed") == 0);
	need(strcmp(unwritable, "unwritable") == 0);
	need(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return NULL;
}

const struct subject subject = {
	.about = "protection keys of memory and of threads",
	.prepare = prepare,
	.verify = verify,
};
