/* SPDX-License-Identifier: MIT */
#include "remote/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>

#include "base/fd.h"
#include "base/mem.h"

int memory_read(int pid, uint64_t address, void *p, size_t n)
{
	struct iovec to = { p, n }, from = { (void *)(uintptr_t)address, n };
	ssize_t got;

	/* By the kernel's own account never, but where a listener of seccomp looks at each call. */
	do
		got = process_vm_readv(pid, &to, 1, &from, 1, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	return (size_t)got == n ? 0 : -EFAULT;
}

int memory_write(int pid, uint64_t address, const void *p, size_t n)
{
	struct iovec from = { (void *)(uintptr_t)p, n }, to = { (void *)(uintptr_t)address, n };
	ssize_t put;

	do
		put = process_vm_writev(pid, &from, 1, &to, 1, 0);
	while (put < 0 && errno == EINTR);
	if (put < 0)
		return -errno;
	return (size_t)put == n ? 0 : -EFAULT;
}

static int not_read(int code, uint64_t address, size_t n, struct error *e)
{
	return fail(e, code, "read %zu bytes of memory at 0x%llx", n, (unsigned long long)address);
}

/*
 * What a mapping does not let the program itself read is given to everybody who may trace it, or
 * (proc_mem.force_override=ptrace, 6.12 and newer) to its tracer alone.
 */
static bool is_denied(int rc)
{
	return rc == -EIO || rc == -EPERM || rc == -EACCES;
}

int memory_read_shared(const struct memory *m, const struct iovec *run, void *p, struct error *e)
{
	uint64_t at = (uint64_t)(uintptr_t)run->iov_base;
	int rc = fd_pread_full(m->mem, p, run->iov_len, (off_t)at);

	if (is_denied(rc))
		return m->peek(m->tracer, m->tid, at, p, run->iov_len, e);
	return rc < 0 ? not_read(-rc, at, run->iov_len, e) : 0;
}

static int open_traced(int tid, int flags, struct error *e)
{
	char path[32];
	int mem;

	snprintf(path, sizeof(path), "/proc/%d/mem", tid);
	mem = fd_open(AT_FDCWD, path, flags);
	return mem < 0 ? fail(e, -mem, "open %s", path) : mem;
}

/* This the kernel has always let a tracer do. */
static int peek_word(int tid, uint64_t address, long *word)
{
	errno = 0;
	*word = ptrace(PTRACE_PEEKDATA, tid, address, NULL);
	return -errno;
}

static int peek_all(int tid, uint64_t address, char *p, size_t n)
{
	int rc = 0;

	for (size_t done = 0, part; done < n && rc >= 0; done += part) {
		long word;

		part = n - done < sizeof(word) ? n - done : sizeof(word);
		rc = peek_word(tid, address + done, &word);
		memcpy(p + done, &word, part);
	}
	return rc;
}

static int poke_all(int tid, uint64_t address, const char *p, size_t n)
{
	int rc = 0;

	for (size_t done = 0, part; done < n && rc >= 0; done += part) {
		long word = 0;

		part = n - done < sizeof(word) ? n - done : sizeof(word);
		if (part < sizeof(word))
			rc = peek_word(tid, address + done, &word);
		memcpy(&word, p + done, part);
		if (rc >= 0 && ptrace(PTRACE_POKEDATA, tid, address + done, word))
			rc = -errno;
	}
	return rc;
}

int memory_read_traced(int tid, uint64_t address, void *p, size_t n, struct error *e)
{
	auto_fd mem = open_traced(tid, O_RDONLY, e);
	int rc;

	if (mem < 0)
		return mem;
	rc = fd_pread_full(mem, p, n, (off_t)address);
	if (is_denied(rc))
		rc = peek_all(tid, address, p, n);
	return rc < 0 ? not_read(-rc, address, n, e) : 0;
}

int memory_write_traced(int tid, uint64_t address, const void *p, size_t n, struct error *e)
{
	auto_fd mem = open_traced(tid, O_WRONLY, e);
	int rc;

	if (mem < 0)
		return mem;
	rc = fd_pwrite_full(mem, p, n, (off_t)address);
	if (is_denied(rc))
		rc = poke_all(tid, address, p, n);
	return rc < 0 ? fail(e, -rc, "write %zu bytes of memory at 0x%llx", n,
			     (unsigned long long)address)
		      : 0;
}

int64_t memory_read_runs(const struct memory *m, const struct iovec *runs, size_t n, void *p,
			 struct error *e)
{
	size_t total = 0, done = 0;
	struct iovec to;
	ssize_t got;
	int rc;

	for (size_t i = 0; i < n; i++)
		total += runs[i].iov_len;
	to = (struct iovec){ p, total };
	got = process_vm_readv(m->tid, &to, 1, runs, n, 0);
	if (got == (ssize_t)total)
		return (int64_t)total;
	if (got < 0 && errno != EFAULT)
		return fail(e, errno, "read memory of process %d", m->tid);
	for (size_t i = 0; i < n; done += runs[i].iov_len, i++) {
		if (got > 0 && done + runs[i].iov_len <= (size_t)got)
			continue;
		rc = memory_read_shared(m, &runs[i], (char *)p + done, e);
		if (rc < 0)
			return rc;
	}
	return (int64_t)total;
}

uint64_t memory_find(int pid, uint64_t start, uint64_t end, const void *bytes, size_t n)
{
	const size_t chunk = 65536;
	auto_free char *p = mem_alloc(chunk);

	while (start + n <= end) {
		size_t want = end - start < chunk ? end - start : chunk;
		const char *hit;

		if (memory_read(pid, start, p, want) < 0)
			return 0;
		hit = memmem(p, want, bytes, n);
		if (hit)
			return start + (uint64_t)(hit - p);
		start += want > n - 1 ? want - (n - 1) : want;
		if (want < chunk)
			return 0;
	}
	return 0;
}
