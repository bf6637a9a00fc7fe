#!/bin/sh
# SPDX-License-Identifier: MIT
# Installs what is missing, builds in build/ and runs all tests. For a bare checkout on Debian 12,
# as root.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
sh build-aux/setup.sh --tests
cd build
# Tests wait about half of their time: twice as many as there are processors.
make check -j"$((2 * $(nproc)))" CR_MUST_WORK=1 VERBOSE=1
