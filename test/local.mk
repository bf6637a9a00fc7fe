# SPDX-License-Identifier: MIT
# build-aux/tests.am: test/unit/t-*.c and test/func/f-*.c, one program each.

EXTRA_DIST += $(test_data_files) $(unit_headers) $(test_libraries)

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

dist_check_SCRIPTS += $(test_scripts)
TESTS += $(test_scripts)

include test/fuzz/local.mk
include test/bench/local.mk
include test/kernels/local.mk
