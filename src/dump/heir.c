/* SPDX-License-Identifier: MIT */
/* What cr does in place of a holder that was killed when the image had its name and the tree had not ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/compat.h"
#include "base/fd.h"
#include "base/log.h"
#include "dump/internal.h"

#define WAIT_SECONDS 10.0
#define STOPPED_SECONDS 2.0

void heirs_take(struct dump *d, struct heirs *h)
{
	vec_each(p, &d->processes) {
		*vec_add(h) =
			(struct heir){ (*p)->pid, (*p)->pidfd, (*p)->dir, (*p)->stop_signal != 0 };
		(*p)->pidfd = (*p)->dir = -1;
	}
}

void heirs_free(struct heirs *h)
{
	vec_each(p, h) {
		fd_cleanup(&p->pidfd);
		fd_cleanup(&p->dir);
	}
	vec_free(h);
}

/* Without a pidfd: before 6.9, where the leader has exited. The folder is that of the process itself, whoever has its
 * number now. */
static void send_to(const struct heir *h, int signal)
{
	if (h->pidfd >= 0)
		(void)!sys_pidfd_send_signal(h->pidfd, signal, NULL, 0);
	else if (proc_state(h->dir))
		kill(h->pid, signal);
}

static bool has_ended(const struct heir *h)
{
	return proc_has_ended(proc_state(h->dir));
}

/* What the holder has stopped already would keep a second SIGSTOP as pending. */
static bool has_stopped(const struct heir *h)
{
	return has_ended(h) || proc_state(h->dir) == 'T';
}

static bool await(const struct heirs *h, bool (*is_done)(const struct heir *), struct deadline d)
{
	vec_each(p, h) {
		while (!is_done(p)) {
			struct pollfd end = { p->pidfd, POLLIN, 0 };

			if (deadline_is_over(d))
				return false;
			(void)!poll(&end, 1, 1);
		}
	}
	return true;
}

static int end_all(const struct heirs *h, struct holder *holder, struct image_writer *w,
		   struct error *e)
{
	vec_each(p, h)
		send_to(p, SIGKILL);
	image_remove_replaced(w);
	holder_close(holder); /* its tracees end when it has */
	if (!await(h, has_ended, deadline_in(WAIT_SECONDS)))
		return fail(e, ETIMEDOUT, "process %d has got SIGKILL and does not end",
			    h->v[0].pid);
	return 0;
}

static int stop_all(const struct heirs *h, struct holder *holder, struct image_writer *w,
		    struct error *e)
{
	holder_close(holder); /* what it has stopped is so from now on */
	vec_each(p, h)
		if (!p->is_stopped && !has_stopped(p))
			send_to(p, SIGSTOP);
	image_remove_replaced(w);
	if (!await(h, has_stopped, deadline_in(STOPPED_SECONDS)))
		return fail(e, ETIMEDOUT, "process %d has got SIGSTOP and does not stop",
			    h->v[0].pid);
	return 0;
}

int heirs_finish(const struct heirs *h, struct holder *holder, struct image_writer *w,
		 struct error *e)
{
	int pid = holder->pid, rc;
	struct error sync;

	if (!image_has_name(w))
		return e->code ? -e->code : -EINVAL;
	holder->page->published = true;
	rc = holder->page->end == HOLDER_KILL ? end_all(h, holder, w, e)
					      : stop_all(h, holder, w, e);
	if (rc < 0)
		return rc;
	warn("the process that holds the subject (%d) was killed when the image had its name; cr has %s "
	     "the subject itself",
	     pid, holder->page->end == HOLDER_KILL ? "ended" : "stopped");
	if (image_sync_name(w, &sync) < 0)
		warn("the image is there, though: %s", sync.text);
	return 0;
}
