# SPDX-License-Identifier: MIT
EXTRA_DIST += build-aux/lint.sh build-aux/setup.sh build-aux/demo.sh build-aux/check.sh build-aux/run-test.pl

.PHONY: lint
lint:
	$(AM_V_at)cd $(srcdir) && $(SHELL) build-aux/lint.sh
