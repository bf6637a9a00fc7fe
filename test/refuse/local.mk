# SPDX-License-Identifier: MIT
# The programs of test/func/refuse.sh; the last one is there where the compiler can make it.
refuse_programs = test/refuse/subject test/refuse/no-ptrace
check_PROGRAMS += $(refuse_programs)
test_refuse_subject_SOURCES = test/refuse/subject.c test/refuse/subject.h test/refuse/descriptors.c \
	test/refuse/memory.c test/refuse/tasks.c
test_refuse_subject_CFLAGS = $(FUNC_CFLAGS)
test_refuse_subject_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/test/refuse
test_refuse_subject_LDFLAGS = -pthread
test_refuse_no_ptrace_SOURCES = test/refuse/no-ptrace.c
test_refuse_no_ptrace_CFLAGS = $(FUNC_CFLAGS)
test/func/refuse.log: $(refuse_programs) test/refuse/m32
EXTRA_DIST += test/refuse/m32.c
CLEANFILES += test/refuse/m32
test/refuse/m32: test/refuse/m32.c
	$(AM_V_GEN)$(MKDIR_P) test/refuse && { $(CC) -O1 -m32 -nostdlib -static -fno-stack-protector \
		-fno-pie -no-pie -o $@ $(srcdir)/test/refuse/m32.c || : >$@; }
