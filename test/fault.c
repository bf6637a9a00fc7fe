/* SPDX-License-Identifier: MIT */
/*
 * Linked into cr when it is configured with --enable-fault: the linker leads every call that can fail
 * through here (--wrap), and the one that CR_FAULT names does.
 *
 *   CR_FAULT=N         the N-th call of cr itself; also cr:N
 *   CR_FAULT=holder:N  the N-th call of the process that holds the subject of a dump
 *   CR_FAULT=plan:N    the N-th operation of all plans that cr writes is not done and fails; those that
 *                      may have any result, and those behind the commit, do not count
 *   CR_FAULT=late:N    the same, but it is done before it fails
 *   CR_FAULT=kill:N    before the N-th call of the process that holds the subject, its waits and the signals it
 *                      sends included, that process kills itself by SIGKILL; CR_FAULT_DELAY: after so many
 *                      microseconds, in which the subject does what it has been told
 *
 * There is one worker only then (base/work.h). Each fails once. To the end of the file CR_FAULT_LOG one line is added when that happens, what it was,
 * and one when cr ends: how many calls of each sort there have been, and where the holder was that was killed from
 * outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/holder.h"
#include "plan/plan.h"
#include "remote/session.h"
#include "restore/internal.h"

enum sort {
	SORT_CR,
	SORT_HOLDER,
	SORT_PLAN,
	SORT_LATE,
	SORT_KILL,
	SORTS
};
static const char *const sorts[SORTS] = { "cr", "holder", "plan", "late", "kill" };

struct fault {
	uint32_t calls[SORTS];
	uint32_t wanted; /* 0: none, they are only counted */
	enum sort sort;
	pid_t cr;
	const char *log;
	const char *where; /* the holder is: in front of what is written of a kill */
};
/* Shared with the processes that cr forks. */
static struct fault *fault;

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *p, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);

static void add_to_log(const char *line)
{
	int saved = errno, fd;

	if (!fault->log)
		return;
	fd = __real_open(fault->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd >= 0 && __real_write(fd, line, strlen(line)) < 0)
		abort();
	close(fd);
	errno = saved;
}

static bool is_wanted(enum sort sort)
{
	uint32_t n = __atomic_add_fetch(&fault->calls[sort], 1, __ATOMIC_RELAXED);

	return fault->sort == sort && n == fault->wanted;
}

/* Before a call of the holder. */
static void may_end(const char *call)
{
	char line[64];

	if (!fault || getpid() == fault->cr || !is_wanted(SORT_KILL))
		return;
	snprintf(line, sizeof(line), "%s%s\n", fault->where, call);
	add_to_log(line);
	if (getenv("CR_FAULT_DELAY"))
		usleep((useconds_t)atoi(getenv("CR_FAULT_DELAY")));
	raise(SIGKILL);
}

static bool fails(const char *call, int error)
{
	char line[64];

	may_end(call);
	if (!fault || !is_wanted(getpid() == fault->cr ? SORT_CR : SORT_HOLDER))
		return false;
	snprintf(line, sizeof(line), "%s\n", call);
	add_to_log(line);
	errno = error;
	return true;
}

__attribute__((constructor)) static void begin(void)
{
	const char *text = getenv("CR_FAULT"), *number;
	struct fault *f;

	if (!text)
		return;
	f = __real_mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (f == MAP_FAILED)
		abort();
	number = strchr(text, ':');
	for (enum sort s = 0; s < SORTS && number; s++)
		if (!strncmp(text, sorts[s], (size_t)(number - text)))
			f->sort = s;
	f->wanted = (uint32_t)atoi(number ? number + 1 : text);
	f->log = getenv("CR_FAULT_LOG");
	f->cr = getpid();
	f->where = "";
	fault = f;
}

__attribute__((destructor)) static void end(void)
{
	char line[128];

	if (!fault || getpid() != fault->cr)
		return;
	snprintf(line, sizeof(line), "total %u %u %u %u %u\n", fault->calls[0], fault->calls[1],
		 fault->calls[2], fault->calls[3], fault->calls[4]);
	add_to_log(line);
	if (*fault->where) {
		snprintf(line, sizeof(line), "%s\n", fault->where);
		add_to_log(line);
	}
}

/* --- system calls and memory ------------------------------------------------------------------- */

/* WRAP(what it gives, its name, errno and result of a failure, parameters, arguments) */
#define WRAP(type, name, error, result, parameters, arguments) \
	type __real_##name parameters;                         \
	type __wrap_##name parameters;                         \
	type __wrap_##name parameters                          \
	{                                                      \
		if (fails(#name, error))                       \
			return result;                         \
		return __real_##name arguments;                \
	}
#define P(...) (__VA_ARGS__)

typedef unsigned int uint;

WRAP(void *, calloc, ENOMEM, NULL, P(size_t n, size_t size), P(n, size))
WRAP(void *, realloc, ENOMEM, NULL, P(void *p, size_t n), P(p, n))
WRAP(void *, mmap, ENOMEM, MAP_FAILED, P(void *at, size_t n, int prot, int flags, int fd, off_t o),
     P(at, n, prot, flags, fd, o))
WRAP(int, mprotect, ENOMEM, -1, P(void *at, size_t n, int prot), P(at, n, prot))
WRAP(ssize_t, read, EIO, -1, P(int fd, void *p, size_t n), P(fd, p, n))
WRAP(ssize_t, pread, EIO, -1, P(int fd, void *p, size_t n, off_t at), P(fd, p, n, at))
WRAP(ssize_t, write, ENOSPC, -1, P(int fd, const void *p, size_t n), P(fd, p, n))
WRAP(ssize_t, pwrite, ENOSPC, -1, P(int fd, const void *p, size_t n, off_t at), P(fd, p, n, at))
WRAP(ssize_t, readlinkat, EIO, -1, P(int dir, const char *path, char *p, size_t n),
     P(dir, path, p, n))
WRAP(int, fstat, EIO, -1, P(int fd, struct stat *st), P(fd, st))
WRAP(int, stat, EIO, -1, P(const char *path, struct stat *st), P(path, st))
WRAP(int, fstatat, EIO, -1, P(int dir, const char *path, struct stat *st, int flags),
     P(dir, path, st, flags))
WRAP(off_t, lseek, EIO, -1, P(int fd, off_t at, int whence), P(fd, at, whence))
WRAP(ssize_t, getdents64, EIO, -1, P(int fd, void *p, size_t n), P(fd, p, n))
WRAP(void *, opendir, EMFILE, NULL, P(const char *path), P(path))
WRAP(int, fsync, EIO, -1, P(int fd), P(fd))
WRAP(int, flock, EIO, -1, P(int fd, int what), P(fd, what))
WRAP(int, mkdirat, ENOSPC, -1, P(int dir, const char *path, mode_t mode), P(dir, path, mode))
WRAP(int, renameat, ENOSPC, -1, P(int from, const char *a, int to, const char *b),
     P(from, a, to, b))
WRAP(int, linkat, ENOSPC, -1, P(int from, const char *a, int to, const char *b, int flags),
     P(from, a, to, b, flags))
WRAP(int, unlinkat, EIO, -1, P(int dir, const char *path, int flags), P(dir, path, flags))
WRAP(int, access, EIO, -1, P(const char *path, int mode), P(path, mode))
WRAP(int, faccessat, EIO, -1, P(int dir, const char *path, int mode, int flags),
     P(dir, path, mode, flags))
WRAP(int, dup2, EMFILE, -1, P(int from, int to), P(from, to))
WRAP(int, pipe2, EMFILE, -1, P(int *fds, int flags), P(fds, flags))
WRAP(int, eventfd, EMFILE, -1, P(uint count, int flags), P(count, flags))
WRAP(int, epoll_create1, EMFILE, -1, P(int flags), P(flags))
WRAP(int, socketpair, EMFILE, -1, P(int domain, int type, int protocol, int *fds),
     P(domain, type, protocol, fds))
WRAP(ssize_t, send, ECONNRESET, -1, P(int fd, const void *p, size_t n, int flags),
     P(fd, p, n, flags))
WRAP(ssize_t, tee, ENOMEM, -1, P(int in, int out, size_t n, uint flags), P(in, out, n, flags))
WRAP(ssize_t, process_vm_readv, ENOMEM, -1,
     P(pid_t pid, const struct iovec *to, ulong n, const struct iovec *from, ulong m, ulong flags),
     P(pid, to, n, from, m, flags))
WRAP(pid_t, fork, EAGAIN, -1, P(void), P())
WRAP(int, pthread_create, EAGAIN, EAGAIN,
     P(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg), P(t, a, run, arg))
WRAP(int, sigaction, EINVAL, -1, P(int sig, const struct sigaction *to, struct sigaction *from),
     P(sig, to, from))
WRAP(int, setitimer, EINVAL, -1, P(int which, const void *to, void *from), P(which, to, from))
WRAP(int, personality, EINVAL, -1, P(ulong what), P(what))

/* Those with a variable list take what fits into registers. */
#define WRAP_OPEN(name, first, arguments)                                   \
	int __real_##name(first const char *path, int flags, ...);          \
	int __wrap_##name(first const char *path, int flags, ulong mode);   \
	int __wrap_##name(first const char *path, int flags, ulong mode)    \
	{                                                                   \
		return fails(#name, EMFILE) ? -1 : __real_##name arguments; \
	}
#define DIR_FIRST int dir,
WRAP_OPEN(open, , (path, flags, mode))
WRAP_OPEN(openat, DIR_FIRST, (dir, path, flags, mode))

#define WRAP_FOUR(type, name, error)                                               \
	type __real_##name(ulong a, ulong b, ulong c, ulong d);                    \
	type __wrap_##name(ulong a, ulong b, ulong c, ulong d);                    \
	type __wrap_##name(ulong a, ulong b, ulong c, ulong d)                     \
	{                                                                          \
		return fails(#name, error) ? (type)-1 : __real_##name(a, b, c, d); \
	}
WRAP_FOUR(int, fcntl, EINVAL)
WRAP_FOUR(int, ioctl, EIO)
WRAP_FOUR(int, prctl, EINVAL)

long __real_ptrace(ulong what, ulong tid, ulong c, ulong d);
long __wrap_ptrace(ulong what, ulong tid, ulong c, ulong d);
long __wrap_ptrace(ulong what, ulong tid, ulong c, ulong d)
{
	char name[40];

	snprintf(name, sizeof(name), "ptrace %#lx %lu", what, tid);
	return fails(name, EIO) ? -1 : __real_ptrace(what, tid, c, d);
}

/* With several workers the N-th call would be another each time, and with pages that are saved as soon as they can be. */
uint __real_holder_answered(const struct holder *h, uint known);
uint __wrap_holder_answered(const struct holder *h, uint known);
uint __wrap_holder_answered(const struct holder *h, uint known)
{
	return fault ? known : __real_holder_answered(h, known);
}

uint __real_work_width(void);
uint __wrap_work_width(void);
uint __wrap_work_width(void)
{
	return fault ? 1 : __real_work_width();
}

/* Nothing is to be learned from their failure. */
pid_t __real_waitpid(pid_t pid, int *status, int how);
pid_t __wrap_waitpid(pid_t pid, int *status, int how);
pid_t __wrap_waitpid(pid_t pid, int *status, int how)
{
	may_end("waitpid");
	return __real_waitpid(pid, status, how);
}

int __real_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal);
int __wrap_kill(pid_t pid, int signal)
{
	may_end("kill");
	return __real_kill(pid, signal);
}

long __real_syscall(long nr, ulong a, ulong b, ulong c, ulong d, ulong e, ulong f);
long __wrap_syscall(long nr, ulong a, ulong b, ulong c, ulong d, ulong e, ulong f);
long __wrap_syscall(long nr, ulong a, ulong b, ulong c, ulong d, ulong e, ulong f)
{
	char name[24];

	if (fails(plan_call_name((uint32_t)nr, name), EPERM))
		return -1;
	return __real_syscall(nr, a, b, c, d, e, f);
}

/* --- what a dead holder cannot put back ---------------------------------------------------------------- */

/* Places of the holder, each called from another file than its own: NAME(parameters, arguments) */
#define PLACE(name, text, parameters, arguments)               \
	int __real_##name parameters;                          \
	int __wrap_##name parameters;                          \
	int __wrap_##name parameters                           \
	{                                                      \
		const char *where = fault ? fault->where : ""; \
		int rc;                                        \
                                                               \
		if (fault)                                     \
			fault->where = text;                   \
		rc = __real_##name arguments;                  \
		if (fault)                                     \
			fault->where = where;                  \
		return rc;                                     \
	}
PLACE(freeze_tree,
      "freeze: ", P(struct holder_page *page, const struct trace_watch *w, struct error *e),
      P(page, w, e))
PLACE(batch_run, "batch: ",
      P(const struct batch *b, size_t n, const struct trace_watch *w, size_t *failed,
	struct error *e),
      P(b, n, w, failed, e))
PLACE(session_call, "call: ",
      P(struct session *s, long nr, const uint64_t args[6], int64_t *result, struct error *e),
      P(s, nr, args, result, e))
PLACE(session_calls, "call: ", P(struct session_call *calls, size_t n), P(calls, n))

/* --- operations of plans ------------------------------------------------------------------------- */

static bool may_fail(const struct plan_op *o)
{
	return o->op.want_how != CR_RST_WANT_ANY && o->op.code != CR_RST_LEAVE &&
	       o->op.code != CR_RST_VANISH && o->op.code != CR_RST_END;
}

/* Behind it nothing fails. */
static bool is_commit(const struct plan_op *o)
{
	return o->op.code == CR_RST_WAIT && (o->op.how & 3) == CR_RST_REGION &&
	       o->op.arg[0] == WORD_AT(go);
}

static void spoil(struct cr_rst_op *op, enum sort sort)
{
	op->want_how = CR_RST_WANT_EXACT;
	op->want = INT64_MIN;
	if (sort == SORT_LATE)
		return;
	op->code = CR_RST_CALL;
	op->nr = 0xfffff;
	op->how = 0;
}

void __real_plan_write(const struct plan *p, void *region, uint64_t at, size_t stack,
		       uint64_t report);
void __wrap_plan_write(const struct plan *p, void *region, uint64_t at, size_t stack,
		       uint64_t report);
void __wrap_plan_write(const struct plan *p, void *region, uint64_t at, size_t stack,
		       uint64_t report)
{
	struct cr_rst_op *ops = (void *)((char *)region + plan_ops_at(p, at));
	auto_buf line = { 0 };

	__real_plan_write(p, region, at, stack, report);
	for (uint32_t i = 0; fault && i < p->ops.n && !is_commit(&p->ops.v[i]); i++) {
		bool now;

		if (!may_fail(&p->ops.v[i]))
			continue;
		now = is_wanted(SORT_PLAN);
		now = is_wanted(SORT_LATE) || now;
		if (!now)
			continue;
		spoil(&ops[i], fault->sort);
		plan_explain_op(p, i, &line);
		buf_printf(&line, "\n");
		add_to_log(line.p);
	}
}
