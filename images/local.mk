# SPDX-License-Identifier: MIT
# proto_names (build-aux/kinds.am): images/*.proto without the ending.

SUFFIXES += .proto .pb-c.c .pb-c.h
EXTRA_DIST += $(proto_files)
CLEANFILES += $(proto_sources) $(proto_headers)
BUILT_SOURCES += $(proto_headers)

.proto.pb-c.c:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && \
	$(PROTOC_C) -I$(srcdir)/images --c_out=images $<

# protoc-c writes both; the header's own time only says that it is not older.
.pb-c.c.pb-c.h:
	@test -f $@ || { rm -f $< && $(MAKE) $(AM_MAKEFLAGS) $<; }
	@touch $@
