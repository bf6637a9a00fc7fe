/* SPDX-License-Identifier: MIT */
/* Whom a task belongs to: cgroup and where its groups are mounted, attr/current, keys. */
#include "proc/cgroup.h"
#include "proc/keys.h"
#include "proc/task.h"
#include "tap.h"

static void groups_are_parsed(void)
{
	struct arena a = { 0 };
	struct cgroups g = { 0 };
	struct error e = { 0 };

	CU_ASSERT_EQUAL_FATAL(cgroups_parse("4:cpu,cpuacct:/a\n1:name=systemd:/b:c d\n0::/\n", &a,
					    &g, &e),
			      0);
	CU_ASSERT_EQUAL_FATAL(g.list.n, 3);
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, "cpu,cpuacct"), "/a");
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, "name=systemd"), "/b:c d");
	CU_ASSERT_STRING_EQUAL(cgroups_find(&g, ""), "/");
	CU_ASSERT_PTR_NULL(cgroups_find(&g, "cpu"));
	CU_ASSERT(cgroups_parse("0:/a", &a, &g, &e) < 0);
	CU_ASSERT(cgroups_parse("0::a\n", &a, &g, &e) < 0);
	CU_ASSERT(cgroups_parse("\n", &a, &g, &e) < 0);
	vec_free(&g.list);
	arena_free(&a);
}

static void labels_are_compared(void)
{
	CU_ASSERT(!proc_label_is_foreign("unconfined", "unconfined"));
	CU_ASSERT(!proc_label_is_foreign("unconfined", "docker-default (enforce)"));
	CU_ASSERT(!proc_label_is_foreign("system_u:system_r:x_t:s0", "system_u:system_r:x_t:s0"));
	CU_ASSERT(!proc_label_is_foreign("", "unconfined"));
	CU_ASSERT(proc_label_is_foreign("docker-default (enforce)", "unconfined"));
	CU_ASSERT(proc_label_is_foreign("system_u:system_r:y_t:s0", "system_u:system_r:x_t:s0"));
}

static void keys_are_known(void)
{
	static const char users[] = "    0:    10 9/9 4/1000000 45/25000000\n"
				    " 1000:     1 1/1 1/200 30/20000\n";

	CU_ASSERT(keys_is_default("keyring;0;65534;1f3f0000;_uid.0"));
	CU_ASSERT(keys_is_default("keyring;1000;65534;1f3f0000;_uid_ses.1000"));
	CU_ASSERT(keys_is_default("user;0;0;3f010000;invocation_id"));
	CU_ASSERT(!keys_is_default("user;0;0;3f010000;_uid.0"));
	CU_ASSERT(!keys_is_default("keyring;0;0;3f010000;mine"));
	CU_ASSERT(!keys_is_default("user;0;0"));
	CU_ASSERT(keys_has_user(users, 0));
	CU_ASSERT(!keys_has_user(users, 1000));
	CU_ASSERT(!keys_has_user(users, 1));
}

/* "MOUNT|BELOW", or "none" */
static const char *place_of(struct arena *a, const char *mounts, const char *controllers,
			    const char *path)
{
	const struct cgroup g = { controllers, path };
	struct cgroup_place p;

	return cgroup_place_find(mounts, &g, a, &p) ? arena_printf(a, "%s|%s", p.mount, p.below)
						    : "none";
}

static void groups_are_found_in_mounts(void)
{
	static const char mounts[] =
		"22 1 0:20 / / rw - ext4 /dev/vda rw\n"
		"31 30 0:28 / /cg/cpu rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n"
		"39 30 0:36 / /cg/my\\040own rw - cgroup systemd rw,xattr,name=systemd\n"
		"40 30 0:37 /in /cg/part rw - cgroup2 cgroup2 rw,nsdelegate\n"
		"41 30 0:37 / /cg/all rw - cgroup2 none rw\n";
	struct arena a = { 0 };

	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpu,cpuacct", "/x/y"), "/cg/cpu|x/y");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpuacct", "/"), "/cg/cpu|");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cp", "/"), "none");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "cpu,memory", "/"), "none");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "name=systemd", "/u"), "/cg/my own|u");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/in/x"), "/cg/part|x");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/in"), "/cg/part|");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/inner"), "/cg/all|inner");
	CU_ASSERT_STRING_EQUAL(place_of(&a, mounts, "", "/../x"), "/cg/all|../x");
	CU_ASSERT_STRING_EQUAL(place_of(&a, "1 2", "", "/"), "none");
	arena_free(&a);
}

static CU_TestInfo cgroup_tests[] = {
	{ "the groups of a task", groups_are_parsed },
	{ "groups in mounts", groups_are_found_in_mounts },
	{ "labels of security modules", labels_are_compared },
	{ "keys that are there by default", keys_are_known },
	CU_TEST_INFO_NULL,
};
static CU_SuiteInfo suites[] = {
	{ "cgroup", NULL, NULL, NULL, NULL, cgroup_tests },
	CU_SUITE_INFO_NULL,
};

int main(void)
{
	return tap_run(suites);
}
