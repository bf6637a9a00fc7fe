# SPDX-License-Identifier: MIT
# build-aux/tests.am: test/unit/t-*.c and test/func/f-*.c, one program each.

EXTRA_DIST += $(test_data_files) $(unit_headers) $(test_libraries)

# What takes longest begins first, so that no test is left to run alone at the end: the scripts, of them
# those of calls that fail, see below.
if FAULT
TESTS += test/func/faults.sh test/func/crash.sh
endif
dist_check_SCRIPTS += $(test_scripts)
TESTS += $(test_scripts)

# Unit tests.
UNIT_CPPFLAGS = $(AM_CPPFLAGS) $(CUNIT_CFLAGS) -I$(srcdir)/test/unit -I$(srcdir)/test/fuzz
UNIT_LIBS = libtap.a libhostile.a $(LIBCR) $(LIBCR_LIBS) $(CUNIT_LIBS)
EXTRA_LIBRARIES = libtap.a
libtap_a_SOURCES = test/unit/tap.c
libtap_a_CPPFLAGS = $(UNIT_CPPFLAGS)
if HAVE_CUNIT
check_LIBRARIES += libtap.a
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
$(unit_objects): | $(GENERATED)

# Functional tests: a subject is an ordinary program, without sanitizers.
FUNC_CFLAGS = -std=gnu11 $(WARN_CFLAGS) -pthread
check_LIBRARIES += libsubject.a
libsubject_a_SOURCES = $(subject_files)
libsubject_a_CFLAGS = $(FUNC_CFLAGS)
check_PROGRAMS += $(func_tests)
TESTS += $(func_tests)

include test/fuzz/local.mk

# Calls that fail on demand, see test/fault.c, and the test of them.
dist_check_SCRIPTS += test/func/faults.sh test/func/crash.sh
EXTRA_DIST += test/fault.c
FAULT_WRAPS = -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=mmap -Wl,--wrap=mprotect \
	-Wl,--wrap=read -Wl,--wrap=pread -Wl,--wrap=write -Wl,--wrap=pwrite \
	-Wl,--wrap=readlinkat -Wl,--wrap=fstat -Wl,--wrap=stat -Wl,--wrap=fstatat \
	-Wl,--wrap=lseek -Wl,--wrap=getdents64 -Wl,--wrap=opendir -Wl,--wrap=fsync \
	-Wl,--wrap=flock -Wl,--wrap=mkdirat -Wl,--wrap=renameat -Wl,--wrap=linkat \
	-Wl,--wrap=unlinkat -Wl,--wrap=access -Wl,--wrap=faccessat -Wl,--wrap=dup2 \
	-Wl,--wrap=pipe2 -Wl,--wrap=eventfd -Wl,--wrap=epoll_create1 -Wl,--wrap=socketpair \
	-Wl,--wrap=send -Wl,--wrap=tee -Wl,--wrap=process_vm_readv -Wl,--wrap=fork \
	-Wl,--wrap=pthread_create -Wl,--wrap=sigaction -Wl,--wrap=setitimer \
	-Wl,--wrap=personality -Wl,--wrap=open -Wl,--wrap=openat -Wl,--wrap=fcntl \
	-Wl,--wrap=ioctl -Wl,--wrap=prctl -Wl,--wrap=ptrace -Wl,--wrap=syscall \
	-Wl,--wrap=waitpid -Wl,--wrap=kill -Wl,--wrap=plan_write \
	-Wl,--wrap=work_width -Wl,--wrap=holder_answered \
	-Wl,--wrap=freeze_tree -Wl,--wrap=batch_run -Wl,--wrap=session_call -Wl,--wrap=session_calls
if FAULT
cr_SOURCES += test/fault.c
cr_LDFLAGS += $(FAULT_WRAPS)
endif

# Makes an image one of another kernel, for test/func/other-kernel.sh.
check_PROGRAMS += test/other-kernel
test_other_kernel_SOURCES = test/other-kernel.c
test_other_kernel_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/test/fuzz
test_other_kernel_LDADD = libhostile.a $(LIBCR) $(LIBCR_LIBS)
$(test_other_kernel_OBJECTS): | $(GENERATED)
test/func/other-kernel.log: test/other-kernel

# A cr to which the kernel shows what a program may not read as its tracer only, for test/func/tracer-only.sh.
check_PROGRAMS += test/cr-tracer-only
test_cr_tracer_only_SOURCES = src/cr.c test/tracer-only.c
test_cr_tracer_only_LDFLAGS = $(AM_LDFLAGS) $(PROGRAM_LDFLAGS) -Wl,--wrap=pread \
	-Wl,--wrap=pwrite -Wl,--wrap=ptrace
test_cr_tracer_only_LDADD = $(LIBCR) $(LIBCR_LIBS)
$(test_cr_tracer_only_OBJECTS): | $(GENERATED)
test/func/tracer-only.log: test/cr-tracer-only test/func/f-anon test/func/f-pkey test/func/f-threads \
	test/func/f-limit-data

test/func/killed-late.log: test/func/f-listener

include test/refuse/local.mk
include test/bench/local.mk
include test/kernels/local.mk
