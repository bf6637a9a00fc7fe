/* SPDX-License-Identifier: MIT */
/*
 * Keyrings of the kernel. The session keyring of a task comes from its login or its service, mostly, and
 * there is one of the same sort where cr runs; what counts is whether it holds keys of its own.
 */
#ifndef PROC_KEYS_H
#define PROC_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a session keyring holds a key that is neither a link to a keyring of the user nor what a service
 * manager puts there; false too where cr may not see what is in it. text: its type and name. */
bool keys_has_own(int32_t keyring, char text[256]);
/* Whether a key with this description ("user;0;0;3f010000;name") is one that is there by default. */
bool keys_is_default(const char *description);
/* Whether the user has keyrings, by the text of /proc/key-users. */
bool keys_has_user(const char *key_users, uint32_t uid);
/* The keyring of this name that a search of the caller finds, its session keyring for one; 0: none. */
int32_t keys_find(const char *name);

#endif
