#!/bin/sh
# SPDX-License-Identifier: MIT
# All linters, run in the top folder; a line of TAP for each. A tool that is missing is a failure.
# The checks are called by name, which shellcheck does not see.
# shellcheck disable=SC2317
set -u

sources=$(find src restorer test -name '*.[ch]' | sort)
scripts=$(find . -path ./build -prune -o -path './build-*' ! -path './build-aux*' -prune -o \
	-name '*.sh' -print | sort)
pages=$(find man -name '*.[1-8]' | sort)
texts=$(find src restorer test images man build-aux -type f ! -path 'test/data/*' \
	! -name '*.am' ! -name 'config.*' ! -name compile ! -name depcomp ! -name missing \
	! -name ar-lib ! -name install-sh ! -name 'tap-driver.sh' ! -name test-driver
	ls ./*.md NEWS configure.ac Makefile.am)

count=0
failed=0
run() { # NAME COMMAND...
	name=$1
	shift
	count=$((count + 1))
	if output=$("$@" 2>&1); then
		echo "ok $count - lint: $name"
		return
	fi
	echo "not ok $count - lint: $name"
	echo "$output" | head -n 200 | sed 's/^/#   /'
	failed=1
}

scripts=$(echo "$scripts" | grep -v '/tap-driver\.sh$')

mandoc_lint() {
	# Warnings count, advice does not; the pages of this project refer to each other.
	messages=$(mandoc -T lint -W warning "$@") || :
	[ -z "$messages" ] || { echo "$messages" && return 1; }
}

cppcheck_lint() {
	# shellcheck disable=SC2086 # a list of files
	cppcheck --quiet --error-exitcode=1 --std=c11 --language=c --inline-suppr --platform=unix64 \
		--enable=warning,performance,portability \
		--suppress=missingInclude --suppress=unknownMacro -D__x86_64__ -D_GNU_SOURCE \
		-Isrc -Irestorer -j "$(nproc)" "$@"
}

# shellcheck disable=SC2086,SC2046 # lists of files
{
	run clang-format clang-format --style=file --dry-run -Werror $sources
	run cppcheck cppcheck_lint $(echo "$sources" | grep '\.c$')
	run shellcheck shellcheck -x -e SC2119 $scripts autogen.sh .ci/run
	run mandoc mandoc_lint $pages
	# names of capability sets, macros of man pages
	run codespell codespell --ignore-words-list=inh,nd,fo,dum $texts
}
echo "1..$count"
exit $failed
