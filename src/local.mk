# SPDX-License-Identifier: MIT
# All of src but cr.c lies in libcr.a, which the program, the unit tests and the fuzzers link.

noinst_LIBRARIES += libcr.a
libcr_a_SOURCES = $(src_files)
if ARCH_X86_64
libcr_a_SOURCES += $(src_arch_x86_64_files)
endif
nodist_libcr_a_SOURCES = $(proto_sources)

LIBCR = libcr.a restorer/libcr-restorer.a
LIBCR_LIBS = $(PROTOBUF_C_LIBS) $(CAP_LIBS) $(JANSSON_LIBS) $(ZSTD_LIBS) $(LZ4_LIBS)

bin_PROGRAMS += cr
cr_SOURCES = src/cr.c
cr_LDFLAGS = $(AM_LDFLAGS) $(PROGRAM_LDFLAGS)
cr_LDADD = $(LIBCR) $(LIBCR_LIBS)

# One KIND(name) for each file of src/kinds.
BUILT_SOURCES += src/kinds.inc
CLEANFILES += src/kinds.inc
src/kinds.inc: $(srcdir)/build-aux/kinds.am
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	{ for k in $(kind_names); do echo "KIND($$k)"; done; } >$@-t && mv $@-t $@

# Nothing is compiled before the generated files are there, whatever is made first.
GENERATED = $(proto_headers) src/kinds.inc
$(libcr_a_OBJECTS) $(cr_OBJECTS): | $(GENERATED)

dist_bashcompletion_DATA += $(completion_files)
