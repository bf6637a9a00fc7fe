/* SPDX-License-Identifier: MIT */
/* Identities and capabilities; a second thread has others, which only raw system calls can do. */
#include "subject.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP(c) (1ull << (c))
#define PERMITTED \
	(CAP(CAP_CHOWN) | CAP(CAP_KILL) | CAP(CAP_SYS_NICE) | CAP(CAP_NET_RAW) | CAP(CAP_SETPCAP))
#define EFFECTIVE (CAP(CAP_CHOWN) | CAP(CAP_NET_RAW))
#define INHERITABLE (CAP(CAP_KILL) | CAP(CAP_SYS_NICE))
#define SECUREBITS (SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT)

struct identity {
	unsigned int uid[3], gid[3], fsuid, fsgid;
	gid_t groups[8];
	int n_groups;
	struct __user_cap_data_struct caps[2];
	unsigned long long bounding, ambient;
	int securebits, dumpable, no_new_privs;
};

static struct identity main_before, thread_before;
static pthread_t thread;
static volatile int stop, running;

static void set_caps(struct __user_cap_data_struct caps[2], unsigned long long effective,
		     unsigned long long permitted, unsigned long long inheritable)
{
	for (int i = 0; i < 2; i++) {
		caps[i].effective = (unsigned int)(effective >> 32 * i);
		caps[i].permitted = (unsigned int)(permitted >> 32 * i);
		caps[i].inheritable = (unsigned int)(inheritable >> 32 * i);
	}
}

static const char *learn(struct identity *id)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	memset(id, 0, sizeof(*id));
	need(getresuid(&id->uid[0], &id->uid[1], &id->uid[2]) == 0);
	need(getresgid(&id->gid[0], &id->gid[1], &id->gid[2]) == 0);
	id->fsuid = (unsigned int)setfsuid((uid_t)-1);
	id->fsgid = (unsigned int)setfsgid((gid_t)-1);
	id->n_groups = getgroups(8, id->groups);
	need(syscall(SYS_capget, &head, id->caps) == 0);
	for (int c = 0; c <= 63; c++) {
		if (prctl(PR_CAPBSET_READ, c) == 1)
			id->bounding |= CAP(c);
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1)
			id->ambient |= CAP(c);
	}
	id->securebits = prctl(PR_GET_SECUREBITS);
	id->dumpable = prctl(PR_GET_DUMPABLE);
	id->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	return NULL;
}

static const char *check(const struct identity *before)
{
	struct identity now;

	pass_on(learn(&now));
	need(memcmp(now.uid, before->uid, sizeof(now.uid)) == 0);
	need(memcmp(now.gid, before->gid, sizeof(now.gid)) == 0);
	need(now.fsuid == before->fsuid && now.fsgid == before->fsgid);
	need(now.n_groups == before->n_groups);
	need(memcmp(now.groups, before->groups, sizeof(now.groups)) == 0);
	need(memcmp(now.caps, before->caps, sizeof(now.caps)) == 0);
	need(now.bounding == before->bounding && now.ambient == before->ambient);
	need(now.securebits == before->securebits);
	need(now.dumpable == before->dumpable && now.no_new_privs == before->no_new_privs);
	return NULL;
}

static const char *set_up_thread(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];

	need(syscall(SYS_setresgid, 2001, 2002, 2003) == 0);
	need(syscall(SYS_setresuid, 2011, 0, 2013) == 0);
	set_caps(caps, CAP(CAP_KILL), CAP(CAP_KILL) | CAP(CAP_CHOWN), 0);
	need(syscall(SYS_capset, &head, caps) == 0);
	return learn(&thread_before);
}

static void *work(void *unused)
{
	const char *text = set_up_thread();

	(void)unused;
	running = 1;
	while (!stop)
		usleep(1000);
	return (void *)(text ? text : check(&thread_before));
}

static const char *set_up_main(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	static const gid_t groups[] = { 1000, 1001, 65533 };
	struct __user_cap_data_struct caps[2];

	need(syscall(SYS_setgroups, 3, groups) == 0);
	need(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME) == 0);
	need(prctl(PR_CAPBSET_DROP, CAP_MKNOD) == 0);
	need(prctl(PR_SET_SECUREBITS, SECUREBITS) == 0);
	need(syscall(SYS_setresgid, 1001, 1002, 1003) == 0);
	setfsgid(1004);
	need(syscall(SYS_setresuid, 1011, 1012, 1013) == 0);
	setfsuid(1014);
	set_caps(caps, EFFECTIVE, PERMITTED, INHERITABLE);
	need(syscall(SYS_capset, &head, caps) == 0);
	need(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
	need(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	return learn(&main_before);
}

static const char *prepare(void)
{
	if (geteuid() != 0)
		return skip("needs root");
	need(chmod(subject_path("."), 0777) == 0);
	need(pthread_create(&thread, NULL, work, NULL) == 0);
	while (!running)
		usleep(100);
	return set_up_main();
}

static const char *verify(void)
{
	void *text;

	pass_on(check(&main_before));
	stop = 1;
	need(pthread_join(thread, &text) == 0);
	return text;
}

const struct subject subject = {
	.about = "uids, gids, groups, capability sets, securebits, each thread its own",
	.prepare = prepare,
	.verify = verify,
};
