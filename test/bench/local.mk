# SPDX-License-Identifier: MIT
# make bench: times and system calls beside criu's. BENCH="--rounds 50 sleep threads-100" chooses.
EXTRA_DIST += test/bench/bench.py test/bench/memory.py test/bench/run.sh BENCHMARKS.md

EXTRA_PROGRAMS = test/bench/sleeper test/bench/count test/bench/plain
CLEANFILES += $(EXTRA_PROGRAMS)
test_bench_sleeper_SOURCES = test/bench/sleeper.c
test_bench_sleeper_LDFLAGS = -pthread
test_bench_sleeper_CFLAGS = $(FUNC_CFLAGS)
test_bench_count_SOURCES = test/bench/count.c
test_bench_count_CFLAGS = $(FUNC_CFLAGS)

test_bench_plain_SOURCES = test/bench/plain.c
test_bench_plain_LDFLAGS = -pthread
test_bench_plain_CFLAGS = $(FUNC_CFLAGS)

.PHONY: bench
bench: cr$(EXEEXT) $(EXTRA_PROGRAMS)
	$(AM_V_at)$(SHELL) $(srcdir)/test/bench/run.sh --cr cr$(EXEEXT) --tools test/bench $(BENCH)
