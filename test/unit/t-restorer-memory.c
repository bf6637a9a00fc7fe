/* SPDX-License-Identifier: MIT */
/* The restorer's READ and READV from files, COPY and STORE. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "image/hash.h"
#include "restorer-room.h"

static struct cr_rst_op *read_op(struct one *one, int code, int fd, const void *where,
				 uint64_t length, uint64_t offset)
{
	struct cr_rst_op *op = room_op(one, code);

	op->arg[0] = (uint64_t)fd;
	op->arg[1] = (uintptr_t)where;
	op->arg[2] = length;
	op->arg[3] = offset;
	return op;
}

static int letters(size_t n)
{
	int fd = memfd_create("letters", MFD_CLOEXEC);

	for (size_t i = 0; i < n; i++) {
		char c = (char)('a' + i % 26);

		if (write(fd, &c, 1) != 1)
			_exit(99);
	}
	return fd;
}

static void test_read(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	char text[64] = "";
	int fd = letters(52);

	read_op(one, CR_RST_READ, fd, text, 50, 2);
	read_op(one, CR_RST_READ, fd, text, 0, 1000);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], 50);
	CU_ASSERT_EQUAL(one->result[1], 0);
	CU_ASSERT_STRING_EQUAL(text, "cdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");

	/* across the end: what there is has come, and it is an error */
	one->plan.n_ops = 0;
	memset(text, 0, sizeof(text));
	read_op(one, CR_RST_READ, fd, text, 5, 48);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -ENODATA);
	CU_ASSERT_STRING_EQUAL(text, "wxyz");
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READ, -1, text, 5, 0);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -EBADF);
	close(fd);
	room_free(room);
}

static void set(struct iovec *iov, char *base, size_t len)
{
	iov->iov_base = base;
	iov->iov_len = len;
}

static void test_readv(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	char text[64] = "";
	struct iovec iov[5];
	int fd = letters(52);

	set(&iov[0], text, 0);
	set(&iov[1], text + 20, 3);
	set(&iov[2], text, 0);
	set(&iov[3], text, 20);
	set(&iov[4], text, 0);
	read_op(one, CR_RST_READV, fd, iov, 5, 1);
	read_op(one, CR_RST_READV, fd, iov, 0, 1);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], 23);
	CU_ASSERT_EQUAL(one->result[1], 0);
	CU_ASSERT_STRING_EQUAL(text, "efghijklmnopqrstuvwxbcd");

	one->plan.n_ops = 0;
	memset(text, 0, sizeof(text));
	set(&iov[0], text, 2);
	set(&iov[1], text + 2, 3);
	read_op(one, CR_RST_READV, fd, iov, 2, 48);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -ENODATA);
	CU_ASSERT_STRING_EQUAL(text, "wxyz");
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READV, fd, iov, 1025, 0);
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -EINVAL);
	close(fd);
	room_free(room);
}

/* A regular file is read at once; environ and maps come a page at a time. */
static void test_short_reads(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	size_t pages = 400, done = 0;
	char *area = mmap(NULL, pages * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char once[1 << 18], again[1 << 18];
	struct iovec iov[3];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	for (size_t i = 0; i < pages; i += 2)
		mprotect(area + i * 4096, 4096, PROT_NONE);
	n = pread(fd, once, sizeof(once), 0);
	CU_ASSERT(n > 0);
	for (; n > 0; n = pread(fd, once + done, sizeof(once) - done, (off_t)done))
		done += (size_t)n;
	CU_ASSERT(pread(fd, again, done, 0) < (ssize_t)done);

	read_op(one, CR_RST_READ, fd, again, done, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(memcmp(once, again, done), 0);

	memset(again, 0, sizeof(again));
	set(&iov[0], again, 5000);
	set(&iov[1], again, 0);
	set(&iov[2], again + 5000, done - 5000);
	one->plan.n_ops = 0;
	read_op(one, CR_RST_READV, fd, iov, 3, 0);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(one->result[0], (int64_t)done);
	CU_ASSERT_EQUAL(memcmp(once, again, done), 0);
	close(fd);
	munmap(area, pages * 4096);
	room_free(room);
}

static void test_copy(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op = room_op(one, CR_RST_COPY);

	memcpy(one->data, "0123456789", 10);
	room_arg(op, 0, CR_RST_DATA, 101);
	room_arg(op, 1, CR_RST_DATA, 1);
	room_arg(op, 2, CR_RST_CONST, 8);
	CU_ASSERT_EQUAL(run(one), 0);
	CU_ASSERT_EQUAL(memcmp(one->data + 100, "\00012345678", 10), 0);
	room_free(room);
}

static void test_store(void)
{
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op;

	memset(one->data, 0xee, 32);
	room_call(one, SYS_getpid, 0, 0, 0);
	for (uint64_t i = 0; i < 2; i++) {
		op = room_op(one, CR_RST_STORE);
		room_arg(op, 0, CR_RST_DATA, i * 16 + 4);
		room_arg(op, 1, i ? CR_RST_CONST : CR_RST_RESULT, i ? 0x1122334455667788 : 0);
		op->arg[2] = i ? 8 : 4;
	}
	op = room_op(one, CR_RST_STORE);
	room_arg(op, 0, CR_RST_DATA, 0);
	op->arg[2] = 3;
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	check_report(room, 100, 3, -EINVAL);

	unsigned char wanted_data[32];
	uint32_t pid = (uint32_t)getpid();
	uint64_t value = 0x1122334455667788;

	memset(wanted_data, 0xee, 32);
	memcpy(wanted_data + 4, &pid, 4);
	memcpy(wanted_data + 20, &value, 8);
	CU_ASSERT_EQUAL(memcmp(one->data, wanted_data, 32), 0);
	room_free(room);
}

/* A hole in the source stays one, and what is there already is told. */
static void test_move(void)
{
	const size_t size = 4 * 4096;
	struct uffdio_api api = { .api = UFFD_API, .features = 1u << 16 /* MOVE, 6.8 */ };
	int fd = (int)syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */);
	char *to = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *from = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)to, size },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct room *room = room_new();
	struct one *one = &room->one[0];
	struct cr_rst_op *op = room_op(one, CR_RST_MOVE);

	op->arg[0] = (uint64_t)fd;
	op->arg[1] = (uintptr_t)to;
	op->arg[2] = (uintptr_t)from;
	op->arg[3] = size;
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0) {
		CU_ASSERT_EQUAL(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
		from[0] = 'a';
		from[2 * 4096] = 'c';
		from[3 * 4096] = 'd';
		CU_ASSERT_EQUAL(run(one), 0);
		from[4096] = 'b';
		CU_ASSERT_EQUAL(from[0], 0);
		op->arg[1] += 4096;
		op->arg[2] += 4096;
		op->arg[3] = 2 * 4096;
		CU_ASSERT_EQUAL(run(one), -ECANCELED);
		CU_ASSERT_EQUAL(one->result[0], -EEXIST);
		close(fd);
		CU_ASSERT(to[0] == 'a' && to[4096] == 'b' && to[2 * 4096] == 'c' &&
			  to[3 * 4096] == 'd');
	} else {
		CU_ASSERT_EQUAL(run(one), -ECANCELED);
	}
	munmap(to, size);
	munmap(from, size);
	room_free(room);
}

/* As the library has it, whatever the pieces. */
static void test_hash(void)
{
	static const uint64_t lengths[] = { 1024, 2048, 4096, 4096 * 5, 1 << 20 };
	char *bytes = malloc((1 << 20) + 8);
	struct room *room = room_new();
	struct one *one = &room->one[0];

	for (size_t i = 0; i < (1 << 20) + 8; i++)
		bytes[i] = (char)(i * i >> 5 ^ i >> 11);
	for (size_t i = 0; i < 5; i++) {
		for (uint64_t piece = lengths[i]; piece >= 1024 && piece * 8 >= lengths[i];
		     piece = piece / 2048 * 1024) {
			const char *from = bytes + i; /* aligned to nothing */

			one->plan.n_ops = 0;
			for (uint64_t at = 0; at < lengths[i]; at += piece) {
				struct cr_rst_op *op = room_op(one, CR_RST_HASH);
				uint64_t n = lengths[i] - at < piece ? lengths[i] - at : piece;

				room_arg(op, 0, CR_RST_DATA, 64);
				op->arg[1] = (uintptr_t)(from + at);
				op->arg[2] = n;
				op->arg[3] = (at ? 0 : CR_RST_HASH_FIRST) |
					     (at + n == lengths[i] ? CR_RST_HASH_LAST : 0);
				op->arg[4] = lengths[i];
				room_want(op, CR_RST_WANT_EXACT,
					  at + n == lengths[i]
						  ? (int64_t)XXH3_64bits(from, lengths[i])
						  : 0);
			}
			CU_ASSERT_EQUAL(run(one), 0);
		}
	}
	one->plan.n_ops = 0;
	room_op(one, CR_RST_HASH)->arg[2] = 1025;
	CU_ASSERT_EQUAL(run(one), -ECANCELED);
	CU_ASSERT_EQUAL(one->result[0], -EINVAL);
	room_free(room);
	free(bytes);
}

int main(void)
{
	CU_TestInfo calls[] = {
		{ "READ", test_read },
		{ "READV", test_readv },
		{ "short reads go on", test_short_reads },
		{ "COPY", test_copy },
		{ "STORE", test_store },
		{ "MOVE", test_move },
		{ "HASH", test_hash },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "restorer calls", NULL, NULL, NULL, NULL, calls },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
