/* SPDX-License-Identifier: MIT */
#include "base/caps.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

bool caps_have(cap_value_t cap)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t set = cap_get_proc();

	if (!set)
		return false;
	if (cap_get_flag(set, cap, CAP_EFFECTIVE, &value) < 0)
		value = CAP_CLEAR;
	cap_free(set);
	return value == CAP_SET;
}

const char *caps_name(cap_value_t cap, char *buf, size_t size)
{
	char *name = cap_to_name(cap);

	if (name && isalpha((unsigned char)*name))
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "capability %d", cap);
	for (char *p = buf; name && isalpha((unsigned char)*name) && *p; p++)
		*p = (char)toupper((unsigned char)*p);
	cap_free(name);
	return buf;
}

int caps_need(const char *what, const cap_value_t *any, size_t n, struct error *e)
{
	char names[256] = "";
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		char name[64];

		if (caps_have(any[i]))
			return 0;
		caps_name(any[i], name, sizeof(name));
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", i ? " or " : "",
					name);
		if (len >= sizeof(names))
			break;
	}
	return fail(e, EPERM, "%s needs %s", what, names);
}
