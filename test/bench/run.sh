#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpacks a criu that is new enough for any kernel (the one of sid, unless CRIU_SUITE says
# otherwise) with its libraries into the cache, and runs the benchmark with it.
#
#   run.sh ARGUMENT...      as bench.py has them
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${CR_KERNEL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cr-kernels}
tree=$("$here/../kernels/debs.sh" "$cache" "${CRIU_SUITE:-sid}" tree criu)
exec python3 "$here/bench.py" --criu "$tree" "$@"
