/* SPDX-License-Identifier: MIT */
#include "dump/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ends.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/task.h"
#include "remote/memory.h"

#define WAIT_SECONDS 10.0
#define MOMENT_MS 4
#define STOPPED_SECONDS 2.0

enum order {
	ORDER_FREEZE = 'f',
	ORDER_FILTERS = 's',
	ORDER_SIGNALS = 'q',
	ORDER_BATCHES = 'b',
	ORDER_PEEK = 'm',
	ORDER_RELEASE = 'r',
	ORDER_PUBLISH = 'p'
};

/* --- in the holder ------------------------------------------------------------------------------- */

static bool speaks(const struct held *h)
{
	return h->is_seized && !h->is_gone && h->speaks;
}

static bool is_stopped(int tid)
{
	char path[32];
	auto_buf text = { 0 };
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	if (fd_read_record(AT_FDCWD, path, &text) < 0)
		return true;
	p = strrchr(text.p, ')');
	return p && p[1] && p[2] == 'T';
}

/* A job-control stop takes effect after the detach, some time. */
static void await_stopped(const struct held *h, struct deadline d)
{
	while (!is_stopped(h->thread.tid) && !deadline_is_over(d))
		usleep(200);
}

/*
 * Registers and masks are as they were: batch_run sees to that. A process that was stopped by job
 * control is stopped still for everybody but its tracer, though threads of it have run a batch; at
 * the detach the kernel has them join the stop again, without a word to the parent.
 */
static void let_go(struct holder_page *page)
{
	struct deadline d = deadline_in(STOPPED_SECONDS / 10);
	uint32_t n = page->n_held;

	if (!page->knows_filters)
		freeze_spare_sleepers(page);
	for (uint32_t i = 0; i < n; i++)
		if (page->held[i].is_seized && !page->held[i].is_gone)
			trace_detach(page->held[i].thread.tid);
	page->n_held = 0;
	for (uint32_t i = 0; i < n; i++)
		if (speaks(&page->held[i]) && page->held[i].thread.stop_signal)
			await_stopped(&page->held[i], d);
}

static void signal_all(struct holder_page *page, int signal)
{
	for (uint32_t i = 0; i < page->n_held; i++)
		if (speaks(&page->held[i]))
			kill(page->held[i].pid, signal);
}

/* A leader is dead when its threads are. */
static bool reap_all(const struct holder_page *page)
{
	struct trace_watch w = { deadline_in(WAIT_SECONDS), -1 };

	for (int leaders = 0; leaders < 2; leaders++) {
		for (uint32_t i = 0; i < page->n_held; i++) {
			const struct held *h = &page->held[i];

			if (h->is_seized && !h->is_gone &&
			    (h->thread.tid == h->pid) == (leaders == 1) &&
			    !trace_reap(h->thread.tid, &w))
				return false;
		}
	}
	return trace_reap(-1, &w);
}

/* While the tree dies, the image that was replaced is removed. */
static int kill_all(struct holder_page *page, struct image_writer *writer, struct error *e)
{
	signal_all(page, SIGKILL);
	image_remove_replaced(writer);
	if (!reap_all(page))
		return fail(e, ETIMEDOUT, "process %d has got SIGKILL and does not end",
			    page->root);
	return 0;
}

/* SIGSTOP takes effect only after the detach; nobody is told of that but the parent. What is stopped
 * already would keep a second one as pending. */
static void stop_all(struct holder_page *page)
{
	struct deadline d = deadline_in(STOPPED_SECONDS);
	uint32_t n = page->n_held;

	for (uint32_t i = 0; i < n; i++)
		if (speaks(&page->held[i]) && !page->held[i].thread.stop_signal)
			kill(page->held[i].pid, SIGSTOP);
	let_go(page);
	for (uint32_t i = 0; i < n; i++)
		if (speaks(&page->held[i]))
			await_stopped(&page->held[i], d);
}

struct holding {
	struct holder_page *page;
	struct image_writer *writer;
	int socket;
};

static int end_subject(struct holding *h)
{
	struct holder_page *page = h->page;

	if (page->end == HOLDER_KILL)
		return kill_all(page, h->writer, &page->error);
	if (page->end == HOLDER_STOP)
		stop_all(page);
	else
		let_go(page);
	image_remove_replaced(h->writer);
	return 0;
}

/*
 * From the rename on the death of the holder ends the tree: all of it or, if it comes before the last of
 * these calls, a part. So nothing else is done between them, and cr, if it lives, ends the rest.
 */
static int publish(struct holding *h, struct error *e)
{
	struct holder_page *page = h->page;
	auto_free int *speakers = mem_alloc((page->n_held + 1) * sizeof(int));
	uint32_t n = 0;
	int rc;

	for (uint32_t i = 0; i < page->n_held && page->end == HOLDER_KILL; i++)
		if (speaks(&page->held[i]))
			speakers[n++] = page->held[i].thread.tid;
	rc = image_name(h->writer, e);
	if (rc < 0)
		return rc;
	for (uint32_t i = 0; i < n; i++)
		(void)!trace_set_exitkill(speakers[i], true);
	rc = image_sync_name(h->writer, e);
	if (rc < 0) {
		for (uint32_t i = 0; i < n; i++)
			(void)!trace_set_exitkill(speakers[i], false);
		return image_unname(h->writer, rc, e);
	}
	page->published = true;
	return 0;
}

static int run_batches(struct holder_page *page, struct trace_watch *w)
{
	char *first = (char *)page->batches[0].image,
	     *end = (char *)(page->batches + page->n_batches);
	uint32_t at = 0;
	int rc = 0;

	mem_populate(first, (size_t)(end - first)); /* cr has written it: to the holder it is new */
	while (at < page->n_batches && rc >= 0) {
		size_t n = batch_together(&page->batches[at], page->n_batches - at), failed;

		if (at && !page->seconds)
			w->deadline = deadline_in(WAIT_SECONDS);
		rc = batch_run(&page->batches[at], n, w, &failed, &page->error);
		at += (uint32_t)(rc < 0 ? failed : n);
		__atomic_store_n(&page->batch_at, at, __ATOMIC_RELEASE);
	}
	return rc;
}

static int peek(struct holder_page *page)
{
	const struct holder_peek *p = &page->peek;

	return memory_read_traced(p->tid, p->at, p->bytes, p->n, &page->error);
}

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
	case ORDER_FILTERS:
		return freeze_read_filters(page, &page->error);
	case ORDER_SIGNALS:
		return freeze_read_signals(page, &page->error);
	case ORDER_BATCHES:
		page->knows_filters = true;
		return run_batches(page, &w);
	case ORDER_PEEK:
		return peek(page);
	case ORDER_PUBLISH:
		rc = publish(h, &page->error);
		if (rc < 0)
			return rc;
		/* fall through */
	case ORDER_RELEASE:
		*ends = true;
		return end_subject(h);
	}
	return fail(&page->error, 0, "unknown order");
}

/* Alone, unheard of, and deaf: what is blocked is as good as ignored, in one call. */
static int go_apart(struct error *e)
{
	sigset_t all;
	int null;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "cr-holder");
	setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	return trace_start_ticks(e);
}

static bool reply(struct holding *h, int rc)
{
	char byte = rc < 0 ? 'n' : 'y';

	return send(h->socket, &byte, 1, MSG_NOSIGNAL) == 1;
}

static _Noreturn void hold(struct holding *h, int (*first)(void *, struct error *), void *arg)
{
	struct holder_page *page = h->page;
	bool ends = false, heard;
	int rc = go_apart(&page->error);
	char byte;

	if (rc >= 0)
		rc = first(arg, &page->error);
	heard = reply(h, rc);
	while (heard && !ends) {
		ssize_t n = recv(h->socket, &byte, 1, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n != 1)
			break;
		rc = carry_out(h, (enum order)byte, &ends);
		heard = reply(h, rc);
	}
	if (!ends) {
		let_go(page);
		/* cr does it itself if it still can; or, by now, it has. */
		image_close(h->writer, page->published);
	}
	_exit(0);
}

/* --- in cr ----------------------------------------------------------------------------------------- */

int holder_start(struct holder *h, struct image_writer *w, int (*first)(void *arg, struct error *e),
		 void *arg, struct error *e)
{
	int pair[2];

	h->page = mmap(NULL, HOLDER_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (h->page == MAP_FAILED)
		return fail(e, errno, "map %llu MiB of shared memory", HOLDER_BYTES >> 20);
	h->page->used = (sizeof(struct holder_page) + 4095) & ~4095ull;
	h->page->peek.bytes = (uint8_t *)h->page + h->page->used;
	h->page->used += HOLDER_PEEK;
	pthread_mutex_init(&h->peeks, NULL);
	h->ends = ends_open(e);
	if (h->ends < 0)
		return h->ends;
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
		hold(&(struct holding){ h->page, w, pair[1] }, first, arg);
	}
	close(pair[1]);
	h->socket = pair[0];
	h->owes_reply = true;
	return 0;
}

static int lost(struct holder *h, struct error *e)
{
	h->is_lost = true;
	return fail(e, 0,
		    "the process that holds the subject (%d) has ended: it was killed, or "
		    "has no memory",
		    h->pid);
}

int holder_blame(struct holder *h, int rc, struct error *e)
{
	siginfo_t si = { 0 };
	char byte;

	if (rc >= 0 || h->pid <= 0)
		return rc;
	/* A task that is killed closes its files first and lets its tracees go then. */
	if (recv(h->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ||
	    (waitid(P_PID, (id_t)h->pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	     si.si_pid == h->pid && si.si_code == CLD_KILLED))
		return lost(h, e);
	return rc;
}

static int start(struct holder *h, enum order what, struct error *e)
{
	char byte = (char)what;

	h->page->error = (struct error){ 0 };
	h->is_last = what == ORDER_RELEASE || what == ORDER_PUBLISH;
	h->owes_reply = send(h->socket, &byte, 1, MSG_NOSIGNAL) == 1;
	return h->owes_reply ? 0 : lost(h, e);
}

/* What has been ordered last is done, whatever comes. */
static int await_reply(struct holder *h, struct error *e)
{
	struct pollfd either[2] = { { h->socket, POLLIN, 0 }, { h->ends, POLLIN, 0 } };

	while (poll(either, h->is_last ? 1 : 2, -1) < 0)
		if (errno != EINTR)
			return fail(e, errno, "poll");
	return either[0].revents ? 0 : ends_check(e, DUMP_ENDED);
}

static int take_reply(struct holder *h, struct error *e)
{
	int rc = await_reply(h, e);
	ssize_t n;
	char byte;

	if (rc < 0)
		return rc;
	do
		n = recv(h->socket, &byte, 1, 0);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return lost(h, e);
	h->owes_reply = false;
	if (byte == 'y')
		return 0;
	*e = h->page->error;
	return e->code ? -e->code : -EINVAL;
}

int holder_await(struct holder *h, struct error *e)
{
	if (!h->reply.is_there)
		return take_reply(h, e);
	h->reply.is_there = false;
	*e = h->reply.error;
	return h->reply.rc;
}

/* What is under way comes to its end, and its reply is kept. */
static int settle(struct holder *h, struct error *e)
{
	int rc;

	if (!h->owes_reply)
		return 0;
	h->reply.error = (struct error){ 0 };
	rc = take_reply(h, &h->reply.error);
	h->reply.rc = rc;
	h->reply.is_there = !h->owes_reply;
	if (rc < 0)
		*e = h->reply.error;
	return rc;
}

static int peek_once(struct holder *h, struct holder_peek what, void *p, struct error *e)
{
	int rc;

	h->page->peek = what;
	rc = start(h, ORDER_PEEK, e);
	if (rc >= 0)
		rc = take_reply(h, e);
	if (rc >= 0)
		memcpy(p, what.bytes, what.n);
	return rc;
}

int holder_peek(struct holder *h, int tid, uint64_t address, void *p, size_t n, struct error *e)
{
	uint8_t *bytes = h->page->peek.bytes;
	int rc;

	pthread_mutex_lock(&h->peeks);
	rc = settle(h, e);
	for (size_t done = 0, part; done < n && rc >= 0; done += part) {
		part = n - done < HOLDER_PEEK ? n - done : HOLDER_PEEK;
		rc = peek_once(h, (struct holder_peek){ tid, address + done, part, bytes },
			       (char *)p + done, e);
	}
	pthread_mutex_unlock(&h->peeks);
	return rc;
}

uint32_t holder_answered(const struct holder *h, uint32_t known)
{
	struct pollfd fds[2] = { { h->socket, POLLIN, 0 }, { h->ends, POLLIN, 0 } };
	uint32_t n = __atomic_load_n(&h->page->batch_at, __ATOMIC_ACQUIRE);

	/* Until there is a reply, or cr is to end, or a few have answered. */
	while (n <= known && !h->reply.is_there && poll(fds, 2, MOMENT_MS) == 0)
		n = __atomic_load_n(&h->page->batch_at, __ATOMIC_ACQUIRE);
	return n;
}

int holder_start_freeze(struct holder *h, struct error *e)
{
	return start(h, ORDER_FREEZE, e);
}

int holder_start_filters(struct holder *h, struct error *e)
{
	return start(h, ORDER_FILTERS, e);
}

int holder_start_signals(struct holder *h, struct error *e)
{
	return start(h, ORDER_SIGNALS, e);
}

int holder_start_batches(struct holder *h, struct error *e)
{
	return start(h, ORDER_BATCHES, e);
}

int holder_start_publish(struct holder *h, enum holder_end end, struct error *e)
{
	h->page->end = end;
	return start(h, ORDER_PUBLISH, e);
}

int holder_release(struct holder *h, enum holder_end end, struct error *e)
{
	int rc;

	h->page->end = end;
	rc = start(h, ORDER_RELEASE, e);
	return rc < 0 ? rc : holder_await(h, e);
}

void holder_close(struct holder *h)
{
	fd_cleanup(&h->socket);
	fd_cleanup(&h->ends);
	/* The shared memory goes with the two processes. */
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
}

void *holder_scratch(struct holder *h, uint64_t size)
{
	uint64_t at = (h->page->used + 4095) & ~4095ull;

	if (size > HOLDER_BYTES - at)
		return NULL;
	return (char *)h->page + at;
}
