/* SPDX-License-Identifier: MIT */
/* The table of kinds: names, tags, records; and that exactly one kind matches a descriptor. */
#include <stdio.h>
#include <sys/sysmacros.h>

#include "kind-room.h"
#include "tap.h"

#define KIND(name) #name,
static const char *const file_names[] = {
#include "kinds.inc"
};
#undef KIND

/* --- the table --------------------------------------------------------------------------------- */

static void names_are_those_of_the_files(void)
{
	CU_ASSERT_EQUAL_FATAL(n_kinds, sizeof(file_names) / sizeof(file_names[0]));
	for (size_t i = 0; i < n_kinds; i++) {
		CU_ASSERT_STRING_EQUAL(kinds[i]->name, file_names[i]);
		if (i)
			CU_ASSERT(strcmp(kinds[i - 1]->name, kinds[i]->name) < 0);
	}
}

static void tags_are_four_letters(void)
{
	size_t n;
	const struct record_type *t = record_types(&n);

	CU_ASSERT_EQUAL(n, n_kinds + 7);
	for (size_t i = 0; i < n; i++) {
		CU_ASSERT_EQUAL_FATAL(strlen(t[i].tag), 4);
		CU_ASSERT_EQUAL(strspn(t[i].tag, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 4);
		CU_ASSERT(t[i].version >= 1);
		for (size_t k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(t[i].tag, t[k].tag);
	}
}

static void records_begin_with_their_id(void)
{
	size_t n;
	const struct record_type *t = record_types(&n);

	for (size_t i = 0; i < n; i++) {
		const ProtobufCFieldDescriptor *f =
			protobuf_c_message_descriptor_get_field(t[i].desc, 1);

		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		CU_ASSERT_STRING_EQUAL(f->name, "id");
		CU_ASSERT_EQUAL(f->type, PROTOBUF_C_TYPE_UINT32);
		CU_ASSERT_EQUAL(f->label, PROTOBUF_C_LABEL_REQUIRED);
		CU_ASSERT_PTR_EQUAL(f, &t[i].desc->fields[0]);
	}
}

static void each_is_of_one_sort(void)
{
	for (size_t i = 0; i < n_kinds; i++) {
		const struct kind *k = kinds[i];

		CU_ASSERT((k->fd != NULL) != (k->task != NULL));
		if (k->fd) {
			CU_ASSERT_PTR_NOT_NULL(k->fd->dump);
			CU_ASSERT_PTR_NOT_NULL(k->fd->open);
		} else {
			CU_ASSERT_PTR_NOT_NULL(k->task->dump);
			CU_ASSERT(k->task->emit || k->task->outside);
			CU_ASSERT(k->task->stage < STAGES);
		}
	}
}

static void tags_find_their_kind(void)
{
	for (size_t i = 0; i < n_kinds; i++)
		CU_ASSERT_PTR_EQUAL(kind_by_tag(kinds[i]->record.tag), kinds[i]);
	CU_ASSERT_PTR_NULL(kind_by_tag("XXXX"));
	CU_ASSERT_PTR_NULL(kind_by_tag("EVF"));
	CU_ASSERT_PTR_NULL(kind_by_tag("PROC"));
}

/* --- matching ---------------------------------------------------------------------------------- */

struct sample {
	const char *link;
	mode_t mode;
	unsigned int major, minor;
	uint32_t flags;
	nlink_t nlink;
	const char *kind; /* NULL: none */
	const char
		*refusal; /* part of the sentence; NULL: what probe says depends on this machine */
};

static const struct sample samples[] = {
	{ "/etc/passwd", S_IFREG, 0, 0, 0, 1, "regfile", "another object has" },
	{ "/tmp/x (deleted)", S_IFREG, 0, 0, 0, 0, "regfile", "was deleted" },
	{ "/tmp/x (deleted)", S_IFREG, 0, 0, 0, 1, "regfile", "other names" },
	{ "/nonexistent/x", S_IFREG, 0, 0, 0, 1, "regfile", "root folder of cr" },
	{ "/memfd:x (deleted)", S_IFREG, 0, 0, 0, 0, "memfd", NULL },
	{ "/SYSV00000000 (deleted)", S_IFREG, 0, 0, 0, 0, "memfd", NULL },
	{ "/dev/zero (deleted)", S_IFREG, 0, 0, 0, 0, "memfd", NULL },
	{ "/dev/zero (deleted)", S_IFREG, 0, 0, 0, 1, "regfile", "other names" },
	{ "/memfd:x", S_IFREG, 0, 0, 0, 1, "regfile", "root folder of cr" },
	{ "/proc/1/maps", S_IFREG, 0, 0, 0, 1, "regfile", "files and folders of /proc" },
	{ "net:[4026531840]", S_IFREG, 0, 0, 0, 1, NULL, NULL },
	{ "/tmp", S_IFDIR, 0, 0, O_DIRECTORY, 2, "directory", "another object has" },
	{ "/proc/1", S_IFDIR, 0, 0, O_DIRECTORY, 2, "directory", "files and folders of /proc" },
	{ "/tmp/x (deleted)", S_IFDIR, 0, 0, O_DIRECTORY, 0, "directory", "was deleted" },
	{ "/tmp", S_IFDIR, 0, 0, O_PATH | O_DIRECTORY, 2, "opath", "another object has" },
	{ "/etc/passwd", S_IFREG, 0, 0, O_PATH, 1, "opath", NULL },
	{ "/dev/null", S_IFCHR, 1, 3, O_PATH, 1, "opath", NULL },
	{ "pipe:[1]", S_IFIFO, 0, 0, O_PATH, 1, "opath", "no name" },
	{ "socket:[1]", S_IFSOCK, 0, 0, O_PATH, 1, "opath", "no name" },
	{ "/dev/null", S_IFCHR, 1, 3, 0, 1, "memdev", "another object has" },
	{ "/dev/zero", S_IFCHR, 1, 5, 0, 1, "memdev", NULL },
	{ "/dev/full", S_IFCHR, 1, 7, 0, 1, "memdev", NULL },
	{ "/dev/random", S_IFCHR, 1, 8, 0, 1, "memdev", NULL },
	{ "/dev/urandom", S_IFCHR, 1, 9, 0, 1, "memdev", NULL },
	{ "/dev/mem", S_IFCHR, 1, 1, 0, 1, NULL, NULL },
	{ "/dev/kmsg", S_IFCHR, 1, 11, 0, 1, NULL, NULL },
	{ "/dev/strange", S_IFCHR, 1, 64 + 3, 0, 1, NULL, NULL },
	{ "/dev/tty", S_IFCHR, 5, 0, 0, 1, "tty", NULL },
	{ "/dev/console", S_IFCHR, 5, 1, 0, 1, "tty", NULL },
	{ "/dev/ptmx", S_IFCHR, 5, 2, 0, 1, "tty", "other side of a pseudo terminal" },
	{ "/dev/tty1", S_IFCHR, 4, 1, 0, 1, "tty", NULL },
	{ "/dev/ttyS0", S_IFCHR, 4, 64, 0, 1, "tty", NULL },
	{ "/dev/pts/3", S_IFCHR, 136, 3, 0, 1, "tty", NULL },
	{ "/dev/pts/3 (deleted)", S_IFCHR, 136, 3, 0, 1, "tty", "was closed" },
	{ "/dev/pts/1048576", S_IFCHR, 137, 0, 0, 1, "tty", NULL },
	{ "/dev/pts/3", S_IFCHR, 136, 3, O_PATH, 1, "opath", NULL },
	{ "/dev/fuse", S_IFCHR, 10, 229, 0, 1, NULL, NULL },
	{ "/dev/sda", S_IFBLK, 8, 0, 0, 1, NULL, NULL },
	{ "pipe:[1]", S_IFIFO, 0, 0, 0, 1, "pipe", NULL },
	{ "/tmp/fifo", S_IFIFO, 0, 0, 0, 1, "pipe", "FIFO" },
	{ "socket:[1]", S_IFSOCK, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:[eventfd]", 0, 0, 0, 0, 1, "eventfd", "does not show its count" },
	{ "anon_inode:[eventpoll]", 0, 0, 0, 0, 1, "epoll", NULL },
	{ "anon_inode:[timerfd]", 0, 0, 0, 0, 1, "timerfd", "does not show its state" },
	{ "anon_inode:[signalfd]", 0, 0, 0, 0, 1, "signalfd", "does not show its mask" },
	{ "anon_inode:[pidfd]", 0, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:inotify", 0, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:[userfaultfd]", 0, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:[io_uring]", 0, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:bpf-map", 0, 0, 0, 0, 1, NULL, NULL },
	{ "anon_inode:[secretmem]", S_IFREG, 0, 0, 0, 1, NULL, NULL },
};

static struct fd_view view_of(const struct sample *s, int proc)
{
	struct fd_view v = {
		.pid = getpid(), .tid = getpid(), .fd = 3, .proc = proc, .link = s->link, .dup = -1
	};
	struct stat own = { 0 };

	v.st.st_mode = s->mode | 0600;
	v.st.st_nlink = s->nlink;
	v.st.st_rdev = makedev(s->major, s->minor);
	if (!strncmp(s->link, "/proc/", 6) && fstat(proc, &own) == 0)
		v.st.st_dev = own.st_dev;
	v.info.flags = s->flags;
	return v;
}

static void one_kind_matches(void)
{
	int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct fd_view v = view_of(s, proc);
		const struct kind *second, *k = kind_of_fd(&v, &second);

		if (second || !k != !s->kind || (k && strcmp(k->name, s->kind)))
			printf("# %s: %s, %s\n", s->link, k ? k->name : "none",
			       second ? second->name : "none");
		CU_ASSERT_PTR_NULL(second);
		CU_ASSERT_STRING_EQUAL(k ? k->name : "none", s->kind ? s->kind : "none");
	}
	close(proc);
}

static void refusals_say_why(void)
{
	int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		struct fd_view v = view_of(s, proc);
		const struct kind *second, *k = kind_of_fd(&v, &second);
		struct error e = { 0 };

		if (!s->refusal || !k)
			continue;
		CU_ASSERT_PTR_NOT_NULL_FATAL(k->fd->probe);
		CU_ASSERT(k->fd->probe(&v, &e) < 0);
		if (!strstr(e.text, s->refusal))
			printf("# %s: %s\n", s->link, e.text);
		CU_ASSERT_PTR_NOT_NULL(strstr(e.text, s->refusal));
	}
	close(proc);
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "names are those of the files, in order", names_are_those_of_the_files },
		{ "tags are four letters and unique", tags_are_four_letters },
		{ "every record begins with its id", records_begin_with_their_id },
		{ "each kind is of descriptors or of tasks, and whole", each_is_of_one_sort },
		{ "tags find their kind", tags_find_their_kind },
		{ "exactly one kind, or none, matches a descriptor", one_kind_matches },
		{ "refusals say why", refusals_say_why },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = {
		{ "kind", NULL, NULL, NULL, NULL, tests },
		CU_SUITE_INFO_NULL,
	};

	return tap_run(suites);
}
