/* SPDX-License-Identifier: MIT */
/* Control groups: the lines of /proc/PID/cgroup, and where a group is found in the file system. */
#ifndef PROC_CGROUP_H
#define PROC_CGROUP_H

#include <stdbool.h>

#include "base/error.h"
#include "base/mem.h"

struct cgroup {
	const char *controllers; /* "cpu,cpuacct", "name=systemd"; "": version 2 */
	const char *path;
};
struct cgroups {
	vec(struct cgroup) list;
};

/* Texts lie in the arena. */
int cgroups_parse(const char *text, struct arena *a, struct cgroups *out,
		  struct error *e) must_check;
/* The path in the hierarchy of these controllers; NULL: there is no such hierarchy. */
const char *cgroups_find(const struct cgroups *g, const char *controllers);

/* A mount that shows a group: its mount point, and the group's folder below that (no '/' in front). */
struct cgroup_place {
	char *mount;
	const char *below; /* "" for the mount point itself; lies in the path that was given */
	bool is_v2;
};
/* Looks through the text of /proc/self/mountinfo; 1, or 0: none shows it. */
int cgroup_place_find(const char *mountinfo, const struct cgroup *g, struct arena *a,
		      struct cgroup_place *out);

#endif
