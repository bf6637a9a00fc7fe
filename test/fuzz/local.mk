# SPDX-License-Identifier: MIT
# Images that no cr has written: what the fuzzers and the tests make of them.

check_LIBRARIES += libhostile.a
libhostile_a_SOURCES = $(hostile_files)
libhostile_a_CPPFLAGS = $(AM_CPPFLAGS) -I$(srcdir)/test/fuzz
$(libhostile_a_OBJECTS): | $(GENERATED)
