# SPDX-License-Identifier: MIT
# Images and texts that no cr and no kernel has written. Every f-*.c is a target for libFuzzer, with
# files in test/data/fuzz/NAME. With --enable-fuzz they are fuzzers (make fuzz); without it they run over
# these files in make check.

FUZZ_SECONDS = 60
TARGET_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/test/fuzz
check_LIBRARIES += libhostile.a
libhostile_a_SOURCES = $(hostile_files)
libhostile_a_CPPFLAGS = $(TARGET_CPPFLAGS)
$(libhostile_a_OBJECTS): | $(GENERATED)

# What t-sandbox dumps, without sanitizers.
check_PROGRAMS += test/fuzz/subject
test_fuzz_subject_SOURCES = test/fuzz/subject.c
test_fuzz_subject_CFLAGS = $(FUNC_CFLAGS)
test_fuzz_subject_LDFLAGS = -pthread

check_PROGRAMS += $(fuzz_programs)
EXTRA_DIST += test/fuzz/run.sh
TARGET_LIBS = libhostile.a $(LIBCR) $(LIBCR_LIBS)
if FUZZ
TARGET_LINK = $(AM_LDFLAGS) -fsanitize=fuzzer
else
TESTS += $(fuzz_programs)
TARGET_LINK = $(AM_LDFLAGS)
EXTRA_LIBRARIES += libreplay.a
check_LIBRARIES += libreplay.a
libreplay_a_SOURCES = test/fuzz/main.c
libreplay_a_CPPFLAGS = $(TARGET_CPPFLAGS)
TARGET_LIBS += libreplay.a libhostile.a $(LIBCR) $(LIBCR_LIBS)
endif

# All targets together take FUZZ_SECONDS.
.PHONY: fuzz
fuzz: $(fuzz_programs)
	$(AM_V_at)srcdir=$(srcdir) $(SHELL) $(srcdir)/test/fuzz/run.sh $(FUZZ_SECONDS) $(fuzz_programs)
