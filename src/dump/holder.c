/* SPDX-License-Identifier: MIT */
#include "dump/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "proc/task.h"

#define WAIT_SECONDS 10.0
#define STOPPED_SECONDS 2.0

enum order {
	ORDER_FREEZE = 'f',
	ORDER_BATCH = 'b',
	ORDER_RELEASE = 'r',
	ORDER_PUBLISH = 'p'
};

/* --- in the holder ------------------------------------------------------------------------------- */

/* Registers and masks are as they were: batch_run sees to that. */
static void let_go(struct holder_page *page)
{
	for (uint32_t i = 0; i < page->n_held; i++)
		if (page->held[i].is_seized && !page->held[i].is_gone)
			trace_detach(page->held[i].thread.tid);
	page->n_held = 0;
}

static bool is_leader(const struct held *h)
{
	return h->is_seized && !h->is_gone && h->thread.tid == h->pid;
}

static void signal_all(struct holder_page *page, int signal)
{
	for (uint32_t i = 0; i < page->n_held; i++)
		if (is_leader(&page->held[i]))
			kill(page->held[i].pid, signal);
}

/* Between the rename and the last SIGKILL nothing may leave a part of the tree alive. */
static int kill_all(struct holder_page *page, struct error *e)
{
	struct trace_watch w = { deadline_in(WAIT_SECONDS), -1 };

	for (uint32_t i = 0; i < page->n_held; i++)
		if (is_leader(&page->held[i]))
			(void)!trace_set_exitkill(page->held[i].thread.tid);
	signal_all(page, SIGKILL);
	if (!trace_wait_all(&w))
		return fail(e, ETIMEDOUT, "process %d has got SIGKILL and does not end",
			    page->root);
	return 0;
}

static bool is_stopped(int pid)
{
	char path[32];
	auto_buf text = { 0 };
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (fd_read_record(AT_FDCWD, path, &text) < 0)
		return true;
	p = strrchr(text.p, ')');
	return p && p[1] && p[2] == 'T';
}

/* SIGSTOP takes effect only after the detach; nobody is told of that but the parent. */
static void stop_all(struct holder_page *page)
{
	struct deadline d = deadline_in(STOPPED_SECONDS);
	uint32_t n = page->n_held;

	signal_all(page, SIGSTOP);
	let_go(page);
	for (uint32_t i = 0; i < n; i++)
		while (is_leader(&page->held[i]) && !is_stopped(page->held[i].pid) &&
		       !deadline_is_over(d))
			usleep(200);
}

static int end_subject(struct holder_page *page, struct error *e)
{
	if (page->end == HOLDER_KILL)
		return kill_all(page, e);
	if (page->end == HOLDER_STOP)
		stop_all(page);
	else
		let_go(page);
	return 0;
}

struct holding {
	struct holder_page *page;
	struct image_writer *writer;
	int socket;
};

/* Carries an order out. *ends: it was the last. */
static int carry_out(struct holding *h, enum order order, bool *ends)
{
	struct holder_page *page = h->page;
	double seconds = page->seconds > 0 ? page->seconds : WAIT_SECONDS;
	struct trace_watch w = { deadline_in(seconds), h->socket };
	int rc = 0;

	*ends = false;
	switch (order) {
	case ORDER_FREEZE:
		rc = freeze_tree(page, &w, &page->error);
		if (rc < 0)
			let_go(page);
		return rc;
	case ORDER_BATCH:
		return batch_run(&page->batch, &w, &page->error);
	case ORDER_PUBLISH:
		rc = image_publish(h->writer, &page->error);
		if (rc < 0)
			return rc;
		page->published = true;
		/* fall through */
	case ORDER_RELEASE:
		*ends = true;
		return end_subject(page, &page->error);
	}
	return fail(&page->error, 0, "unknown order");
}

/* Alone, unheard of, and deaf: what is blocked is as good as ignored, in one call. */
static int go_apart(struct error *e)
{
	sigset_t all;
	int null;

	sigfillset(&all);
	sigdelset(&all, SIGALRM);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "cr-holder");
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	return trace_start_ticks(e);
}

static void hold(struct holding *h)
{
	struct holder_page *page = h->page;
	bool ends = false;
	int rc = go_apart(&page->error);
	char byte;

	while (rc >= 0 && !ends) {
		ssize_t n = recv(h->socket, &byte, 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1)
			break;
		rc = carry_out(h, (enum order)byte, &ends);
		byte = rc < 0 ? 'n' : 'y';
		if (send(h->socket, &byte, 1, MSG_NOSIGNAL) != 1)
			break;
		rc = 0;
	}
	if (!ends)
		let_go(page);
	_exit(0);
}

/* --- in cr ----------------------------------------------------------------------------------------- */

int holder_start(struct holder *h, struct image_writer *w, struct error *e)
{
	int pair[2];

	h->page = mmap(NULL, HOLDER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->page == MAP_FAILED)
		return fail(e, errno, "map %llu MiB of shared memory", HOLDER_BYTES >> 20);
	h->page->used = (sizeof(struct holder_page) + 4095) & ~4095ull;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fail(e, errno, "socketpair");
	h->pid = fork();
	if (h->pid < 0) {
		int rc = fail(e, errno, "fork");

		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (h->pid == 0) {
		close(pair[0]);
		hold(&(struct holding){ h->page, w, pair[1] });
	}
	close(pair[1]);
	h->socket = pair[0];
	return 0;
}

static int order(struct holder *h, enum order what, struct error *e)
{
	char byte = (char)what;
	ssize_t n;

	h->page->error = (struct error){ 0 };
	n = send(h->socket, &byte, 1, MSG_NOSIGNAL);
	while (n == 1) {
		n = recv(h->socket, &byte, 1, 0);
		if (n >= 0 || errno != EINTR)
			break;
		n = 1;
	}
	h->is_lost = n != 1;
	if (h->is_lost)
		return fail(e, 0, "the process that holds the subject (%d) was killed", h->pid);
	if (byte == 'y')
		return 0;
	*e = h->page->error;
	return e->code ? -e->code : -EINVAL;
}

int holder_freeze(struct holder *h, struct error *e)
{
	return order(h, ORDER_FREEZE, e);
}

int holder_batch(struct holder *h, struct error *e)
{
	return order(h, ORDER_BATCH, e);
}

int holder_release(struct holder *h, enum holder_end end, struct error *e)
{
	h->page->end = end;
	return order(h, ORDER_RELEASE, e);
}

int holder_publish(struct holder *h, enum holder_end end, bool *published, struct error *e)
{
	int rc;

	h->page->end = end;
	rc = order(h, ORDER_PUBLISH, e);
	*published = h->page->published;
	return rc;
}

void holder_close(struct holder *h)
{
	if (h->socket >= 0)
		close(h->socket);
	h->socket = -1;
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
	if (h->page && h->page != MAP_FAILED)
		munmap(h->page, HOLDER_BYTES);
	h->page = NULL;
}

void *holder_scratch(struct holder *h, uint64_t size)
{
	uint64_t at = (h->page->used + 4095) & ~4095ull;

	if (size > HOLDER_BYTES - at)
		return NULL;
	return memset((char *)h->page + at, 0, size);
}
