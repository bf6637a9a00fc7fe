/* SPDX-License-Identifier: MIT */
/*
 * Root has installed filters without no_new_privs and become nobody: nobody could install them again,
 * and the last of them forbids what made it nobody. A child has one thread only.
 */
#include "subject.h"

#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "filter.h"

#define NOBODY 65534

static pthread_t threads[2];
static volatile int stop, running;
static pid_t child;
static int order[2], report[2];

static const char *check(void)
{
	uid_t r, e, s;

	need(syscall(SYS_getppid) == -1 && errno == 71);
	need(syscall(SYS_setresuid, -1, -1, -1) == -1 && errno == 75);
	need(syscall(SYS_capset, NULL, NULL) == -1 && errno == EFAULT);
	need(getresuid(&r, &e, &s) == 0 && r == NOBODY && e == NOBODY && s == NOBODY);
	need(filter_status(gettid(), "Seccomp_filters:") == 2);
	need(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	need(filter_deny(SYS_getgid, 1, 0) == -1 && errno == EACCES);
	return NULL;
}

static void *work(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		usleep(1000);
	return (void *)check();
}

static _Noreturn void live_as_child(void)
{
	char c = 'n';
	const char *text;

	if (read(order[0], &c, 1) != 1)
		_exit(1);
	text = check();
	if (text)
		fprintf(stderr, "child: %s\n", text);
	_exit(text ? 1 : 42);
}

/* Each thread has capabilities of its own: they are dropped before there is a second one. */
static const char *give_up(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { 0 }, admin[2] = { 0 };

	admin[0].permitted = admin[0].effective = 1u << CAP_SYS_ADMIN;
	need(filter_deny(SYS_getppid, 71, 0) == 0);
	need(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	need(setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
	need(syscall(SYS_capset, &head, admin) == 0);
	need(filter_deny(SYS_setresuid, 75, 0) == 0);
	need(syscall(SYS_capset, &head, none) == 0);
	return NULL;
}

static const char *prepare(void)
{
	if (geteuid() != 0)
		return skip("needs root");
	need(chmod(subject_path("."), 0777) == 0);
	need(pipe(order) == 0 && pipe(report) == 0);
	pass_on(give_up());
	for (int i = 0; i < 2; i++)
		need(pthread_create(&threads[i], NULL, work, NULL) == 0);
	child = fork();
	need(child >= 0);
	if (child == 0)
		live_as_child();
	while (running < 2)
		usleep(100);
	return check();
}

static const char *verify(void)
{
	int status;
	void *text;

	pass_on(check());
	need(write(order[1], "x", 1) == 1);
	need(waitpid(child, &status, 0) == child);
	need(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	stop = 1;
	for (int i = 0; i < 2; i++) {
		need(pthread_join(threads[i], &text) == 0);
		pass_on(text);
	}
	return NULL;
}

const struct subject subject = {
	.about = "seccomp filters of one who has become nobody since",
	.prepare = prepare,
	.verify = verify,
};
