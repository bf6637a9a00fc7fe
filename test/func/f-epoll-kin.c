/* SPDX-License-Identifier: MIT */
/*
 * An epoll set that a grandchild and its uncle still have, when those between have closed it: whoever of them
 * puts it together has its members under their numbers.
 */
#include "subject.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kin.h"

enum {
	FATHER,
	UNCLE,
	GRANDCHILD
};

#define SET 40
#define EVENT 41

static const char *prepare(void)
{
	struct epoll_event want = { .events = EPOLLIN, .data.fd = EVENT };
	int set = epoll_create1(0), event = eventfd(0, 0);

	need(kin_init() == 0);
	need(dup2(set, SET) == SET && dup2(event, EVENT) == EVENT);
	close(set);
	close(event);
	need(epoll_ctl(SET, EPOLL_CTL_ADD, EVENT, &want) == 0);
	need(kin_clone(FATHER, 0) > 0 && kin_clone(UNCLE, 0) > 0);
	need(kin_do(FATHER, KIN_CLONE, GRANDCHILD, 0) > 0);
	need(close(SET) == 0 && close(EVENT) == 0);
	need(kin_do(FATHER, KIN_CLOSE, SET, 0) == 0 && kin_do(FATHER, KIN_CLOSE, EVENT, 0) == 0);
	return NULL;
}

static const char *verify(void)
{
	need(kin_do(FATHER, KIN_HAS, SET, 0) == 0);
	need(kin_do(UNCLE, KIN_EVENT, SET, 0) == 1);
	need(kin_do(GRANDCHILD, KIN_EVENT, SET, 0) == 1);
	kin_end_all();
	return NULL;
}

const struct subject subject = {
	.about = "an epoll set that a grandchild and its uncle have",
	.prepare = prepare,
	.verify = verify,
};
