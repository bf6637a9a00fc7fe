#!/bin/sh
# SPDX-License-Identifier: MIT
# The restorer library inside a program without a libc: a plan that fails where it must, and the
# exe link by each of the three ways, each forced once.
# shellcheck source=test/tap.sh
. "${srcdir:-$(dirname "$0")/../..}/test/tap.sh"

preloader=${builddir:-.}/test/preloader/links

# try STATUS OUTPUT TEXT WORD...: what the command must end with and print
try() {
	wanted=$1
	text=$2
	shift 2
	name=$1
	shift
	output=$("$@")
	status=$?
	[ "$status" = "$wanted" ] && [ "$output" = "$text" ]
	good=$?
	[ $good -eq 0 ] || echo "# status $status, not $wanted; printed '$output', not '$text'"
	say $good "$name"
}

[ -x "$preloader" ] || {
	echo "Bail out! there is no $preloader"
	exit 99
}
other=$(readlink -f "$(command -v env)")

try 0 "" "a plan without a libc fails at its third operation" "$preloader"

# Kernels up to 7.2 answer EBUSY as long as the old executable is mapped.
output=$("$preloader" 1 "$other")
status=$?
if [ $status -eq 0 ]; then
	[ "$output" = "way 1" ]
	say $? "plainly: this kernel has no restriction"
elif [ "$(id -u)" -eq 0 ]; then
	[ $status -eq 30 ] && [ "$output" = "error -16" ]
	say $? "plainly: EBUSY, as long as the own executable is mapped"
else
	[ $status -eq 31 ] && [ "$output" = "error -1" ]
	say $? "plainly: EPERM without a privilege"
fi

"$preloader" 2 "$other" >/dev/null
if [ $? -eq 24 ]; then
	skip "through a detached mount" "open_tree needs CAP_SYS_ADMIN"
else
	try 0 "way 2" "through a detached mount" "$preloader" 2 "$other"
fi

if [ "$(id -u)" -eq 0 ]; then
	try 0 "way 4" "by anonymous copies" "$preloader" 4 "$other"
	try 32 "error -13" "a file that may not be executed is refused" "$preloader" 4 /etc/passwd
	"$preloader" 0 "$other" >/dev/null
	say $? "by whatever way helps"
else
	skip "by anonymous copies" "not root"
	skip "a file that may not be executed is refused" "not root"
	skip "by whatever way helps" "not root"
fi

if unshare -Ur true 2>/dev/null; then
	try 0 "way 4" "by anonymous copies in a user namespace" \
		unshare -Ur "$preloader" 4 "$other"
else
	skip "by anonymous copies in a user namespace" "no user namespaces here"
fi

finish_test
