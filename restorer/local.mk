# SPDX-License-Identifier: MIT
# The restorer is compiled by a rule of its own: RST_CFLAGS, which take away what does not work
# without a libc, must come after the user's CFLAGS. Automake puts a target's flags before them.

SUFFIXES += .rst
# Three flags have no opposite that every compiler takes, so they are left out.
rst_cflags_1 = $(CFLAGS:--coverage=)
rst_cflags_2 = $(rst_cflags_1:-fprofile-arcs=)
rst_cflags_3 = $(rst_cflags_2:-pg=)
RST_COMPILE = $(CC) $(CPPFLAGS) $(rst_cflags_3) -std=gnu11 $(WARN_CFLAGS) -Os $(RST_CFLAGS) \
	-I$(srcdir)/restorer
.c.rst:
	$(AM_V_CC)$(MKDIR_P) $(@D) && $(RST_COMPILE) -c -o $@ $<
.S.rst:
	$(AM_V_CPPAS)$(MKDIR_P) $(@D) && $(RST_COMPILE) -c -o $@ $<

rst_headers = restorer/rst.h restorer/sys.h restorer/sys-x86_64.h
# What is copied into other processes, and what is not; mem.c is in both.
rst_copied = plan thread self hash
rst_staying = maps layout link elf start handed
rst_copied_objects = $(rst_copied:%=restorer/%.rst) restorer/mem.rst
if ARCH_X86_64
rst_copied_objects += restorer/entry-x86_64.rst
endif
rst_staying_objects = $(rst_staying:%=restorer/%.rst) restorer/mem.rst
rst_objects = $(rst_copied_objects) $(rst_staying:%=restorer/%.rst)
EXTRA_DIST += restorer/cr-restorer.h $(rst_headers) restorer/mem.c restorer/entry-x86_64.S \
	$(rst_copied:%=restorer/%.c) $(rst_staying:%=restorer/%.c) \
	restorer/restorer.ld restorer/preload.ld
$(rst_objects): $(rst_headers) restorer/cr-restorer.h

# Two objects, in which only the interface has names: the host program may have a memset of its own.
RST_LINK = $(LD) -r -z noexecstack
RST_HIDE = $(OBJCOPY) --localize-hidden
restorer/restorer.$(OBJEXT): $(rst_copied_objects) restorer/restorer.ld
	$(AM_V_GEN)$(RST_LINK) -T $(srcdir)/restorer/restorer.ld -o $@-t $(rst_copied_objects) && \
	$(RST_HIDE) --set-section-flags cr_restorer=alloc,load,readonly,code $@-t && \
	mv $@-t $@
restorer/preload.$(OBJEXT): $(rst_staying_objects) restorer/preload.ld
	$(AM_V_GEN)$(RST_LINK) -T $(srcdir)/restorer/preload.ld -o $@-t $(rst_staying_objects) && \
	$(RST_HIDE) --set-section-flags cr_preload=alloc,load,readonly,code $@-t && \
	mv $@-t $@

lib_LIBRARIES += restorer/libcr-restorer.a
restorer_libcr_restorer_a_SOURCES =
restorer_libcr_restorer_a_LIBADD = restorer/restorer.$(OBJEXT) restorer/preload.$(OBJEXT)

# <cr/restorer.h> once it is installed.
crincludedir = $(includedir)/cr
nodist_crinclude_HEADERS = restorer/restorer.h
restorer/restorer.h: restorer/cr-restorer.h
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(srcdir)/restorer/cr-restorer.h $@-t && mv $@-t $@

# The preloader of the tests, as an example: with the header that others have.
exampledir = $(docdir)/examples
nodist_example_DATA = restorer/examples/preloader.c restorer/examples/bare.h
restorer/examples/preloader.c: test/preloader/preloader.c
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	sed 's|"cr-restorer.h"|<cr/restorer.h>|' $(srcdir)/test/preloader/preloader.c >$@-t && mv $@-t $@
restorer/examples/bare.h: test/preloader/bare.h
	$(AM_V_GEN)$(MKDIR_P) $(@D) && cp $(srcdir)/test/preloader/bare.h $@-t && mv $@-t $@

# Filled in here and every time, so that `make install prefix=...` stays true.
pkgconfig_DATA += restorer/cr-restorer.pc
EXTRA_DIST += restorer/cr-restorer.pc.in
.PHONY: rst-always
restorer/cr-restorer.pc: restorer/cr-restorer.pc.in rst-always
	$(AM_V_at)$(MKDIR_P) $(@D) && \
	sed -e 's|@prefix[@]|$(prefix)|' -e 's|@includedir[@]|$(includedir)|' \
		-e 's|@libdir[@]|$(libdir)|' -e 's|@VERSION[@]|$(PACKAGE_VERSION)|' \
		$(srcdir)/restorer/cr-restorer.pc.in >$@-t && mv $@-t $@

# Programs without a libc; not even a libc's start file is linked. A preloader is where no other program is.
preloaders = test/preloader/links test/preloader/preloader
EXTRA_DIST += $(preloaders:%=%.c) test/preloader/bare.h test/unit/restorer-room.h
$(preloaders): test/preloader/bare.h restorer/cr-restorer.h restorer/libcr-restorer.a
PRELOADER_LINK = $(LD) -static -z noexecstack -e _start
test/preloader/links: test/preloader/links.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && \
	$(RST_COMPILE) -c -o $@-o $(srcdir)/test/preloader/links.c && \
	$(PRELOADER_LINK) -o $@ $@-o restorer/libcr-restorer.a
test/preloader/preloader: test/preloader/preloader.c
	$(AM_V_CCLD)$(MKDIR_P) $(@D) && \
	$(RST_COMPILE) -c -o $@-o $(srcdir)/test/preloader/preloader.c && \
	$(PRELOADER_LINK) -Ttext-segment=0x7d400000 -o $@ $@-o restorer/libcr-restorer.a

AM_TESTS_ENVIRONMENT += \
	CC='$(CC)'; export CC; LD='$(LD)'; export LD; OBJCOPY='$(OBJCOPY)'; export OBJCOPY; \
	NM='$(NM)'; export NM; READELF='$(READELF)'; export READELF;
test/restorer-link.log test/installed.log: restorer/libcr-restorer.a
test/preloader/links.log test/preloader/preloader.log: $(preloaders)

CLEANFILES += $(rst_objects) restorer/restorer.$(OBJEXT) restorer/restorer.$(OBJEXT)-t \
	restorer/preload.$(OBJEXT) restorer/preload.$(OBJEXT)-t \
	restorer/cr-restorer.pc restorer/cr-restorer.pc-t \
	restorer/restorer.h restorer/restorer.h-t \
	$(nodist_example_DATA) $(nodist_example_DATA:%=%-t) \
	$(preloaders) $(preloaders:%=%-o)
