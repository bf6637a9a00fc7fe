/* SPDX-License-Identifier: MIT */
#include "proc/keys.h"

#include <linux/keyctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

/* Of a keyring with more only the first are looked at. */
#define MOST 256

bool keys_is_default(const char *description)
{
	const char *name = description;

	/* TYPE;UID;GID;PERMISSIONS;NAME */
	for (int i = 0; i < 4 && name; i++) {
		name = strchr(name, ';');
		name += name != NULL;
	}
	if (!name)
		return false;
	return (str_starts(description, "keyring;") && str_starts(name, "_uid")) ||
	       (str_starts(description, "user;") && !strcmp(name, "invocation_id"));
}

bool keys_has_own(int32_t keyring, char text[256])
{
	int32_t keys[MOST];
	long n = syscall(SYS_keyctl, KEYCTL_READ, keyring, keys, sizeof(keys), 0);

	n = n > (long)sizeof(keys) ? (long)sizeof(keys) : n;
	for (long i = 0; i < n / 4; i++) {
		long length = syscall(SYS_keyctl, KEYCTL_DESCRIBE, keys[i], text, 255, 0);

		if (length <= 0)
			continue;
		text[length < 255 ? length : 255] = '\0';
		if (!keys_is_default(text))
			return true;
	}
	return false;
}

/* "    0:    10 9/9 4/1000000 45/25000000": users that have none are not listed. */
bool keys_has_user(const char *key_users, uint32_t uid)
{
	unsigned int user, in_quota;
	const char *line = key_users;

	while (*line) {
		if (sscanf(line, "%u: %*u %*u/%*u %u/", &user, &in_quota) == 2 && user == uid)
			return in_quota >= 2;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return false;
}

int32_t keys_find(const char *name)
{
	long key = syscall(SYS_request_key, "keyring", name, NULL, 0);

	return key > 0 ? (int32_t)key : 0;
}
