# SPDX-License-Identifier: MIT
# make check-kernels: the functional tests inside other kernels (KERNELS="bookworm ... sid").
EXTRA_DIST += test/kernels/run.sh test/kernels/debs.sh test/kernels/open.sh test/kernels/open.config \
	test/kernels/init test/kernels/judge.awk

KERNEL_TESTS = $(func_tests) test/preloader/links.sh test/unit/t-restorer-rights test/func/refuse.sh
KERNEL_FILES = $(refuse_programs) test/refuse/m32

.PHONY: check-kernels
check-kernels: cr$(EXEEXT) $(func_tests) test/preloader/links test/unit/t-restorer-rights $(KERNEL_FILES)
	$(AM_V_at)srcdir='$(abs_srcdir)' KERNEL_FILES='$(KERNEL_FILES)' $(SHELL) $(srcdir)/test/kernels/run.sh \
		cr$(EXEEXT) $(KERNEL_TESTS)
