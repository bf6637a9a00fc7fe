#!/bin/sh
# SPDX-License-Identifier: MIT
# The shape of the tree: each room includes only what lies below it, every source is built, no .c
# file has conditional compilation outside arch/ and restorer/. Each check has a case in which it
# must fail.
# The checks are called by name, which shellcheck does not see; names of files hold no blanks.
# shellcheck disable=SC2317,SC2044
set -u
LC_ALL=C
export LC_ALL

top=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

rooms="base tree proc image plan arch remote kinds dump restore cmd"

# allowed FILE: what it may include, as patterns of case. Records (*.pb-c.h) lie below everything
# but base.
allowed() {
	case $1 in
	src/base/*) echo 'base/*' ;;
	src/tree/*) echo 'base/* tree/*' ;;
	src/proc/*) echo 'base/* proc/*' ;;
	src/image/*) echo 'base/* image/* manifest.pb-c.h' ;;
	src/plan/*) echo 'base/* plan/* cr-restorer.h' ;;
	src/arch/*) echo 'base/* plan/* arch/*' ;;
	src/remote/*) echo 'base/* proc/* plan/* arch/* remote/* cr-restorer.h' ;;
	src/kind.[ch]) echo 'base/* proc/* image/* plan/* remote/held.h kind.h kinds.inc *.pb-c.h' ;;
	src/kinds/*)
		# arch is the processor's context; of the engines a kind sees the calls it may make
		echo 'base/* proc/* image/* plan/* arch/* kind.h dump/api.h restore/api.h restore/host.h *.pb-c.h'
		;;
	src/dump/*) echo 'base/* tree/* proc/* image/* plan/* arch/* remote/* kind.h dump/* *.pb-c.h' ;;
	# no remote: nothing of a restore uses ptrace
	src/restore/*) echo 'base/* tree/* proc/* image/* plan/* arch/* kind.h restore/* *.pb-c.h cr-restorer.h' ;;
	src/cmd/*) echo 'base/* proc/* image/* plan/* kind.h dump/* restore/* cmd/* *.pb-c.h' ;;
	src/cr.c) echo 'base/* cmd/*' ;;
	restorer/*) echo '*' ;;
	esac
}

# includes FILE: sets own and system to the names in its include lines
includes() {
	own=
	system=
	while read -r mark name rest; do
		case $mark in
		'#') mark="#$name" name=$rest ;;
		esac
		case $mark$name in
		'#include"'*) name=${name#\"} own="$own ${name%%\"*}" ;;
		'#include<'*) name=${name#<} system="$system ${name%%>*}" ;;
		esac
	done <<-END
		$(grep '^[[:space:]]*#[[:space:]]*include' "$1")
	END
}

# matches NAME PATTERN...
matches() {
	name=$1
	shift
	for pattern; do
		# shellcheck disable=SC2254 # it is a pattern
		case $name in
		$pattern) return 0 ;;
		esac
	done
	return 1
}

# check_kind_records FILE, after includes: a kind's own records. A kind never looks into another's; what all share is named
# here: the tree's and the memory's records.
check_kind_records() {
	for name in $own; do
		case $name in
		process.pb-c.h | files.pb-c.h | mm.pb-c.h | "$(basename "$1" .c).pb-c.h") ;;
		*.pb-c.h) echo "$1 includes $name, which is another kind's" ;;
		esac
	done
}

# check_file FILE, relative to the current folder; prints what is wrong
check_file() {
	file=$1
	includes "$file"
	may=$(allowed "$file")
	set -f
	for name in $own; do
		# shellcheck disable=SC2086 # a list of patterns
		matches "$name" $may || echo "$file includes $name"
	done
	set +f
	case $file in
	src/kinds/*) check_kind_records "$file" ;;
	restorer/*)
		for name in $own; do
			[ -e "restorer/$name" ] || echo "$file includes $name"
		done
		for name in $system; do
			matches "$name" 'asm/*' 'linux/*' stdint.h stddef.h || echo "$file includes <$name>"
		done
		;;
	esac
}

files_of() {
	find "$@" -name '*.[chS]' -type f | sort
}

check_room() {
	for file in $(files_of "$1"); do
		check_file "$file"
	done
}

check_top() {
	for file in src/kind.c src/kind.h src/cr.c; do
		[ ! -e "$file" ] || check_file "$file"
	done
}

# Files of the tree that autogen.sh has not listed.
check_listed() {
	cat build-aux/sources.am build-aux/kinds.am build-aux/tests.am 2>/dev/null |
		tr -cs 'a-zA-Z0-9_./-' '\n' | sort -u >"$work/listed"
	{
		find src -name '*.[ch]' ! -path src/cr.c -o -name '*.bash'
		find images -name '*.proto'
		find test/unit -name 't-*.c'
		find test/func -name '*.[ch]'
	} 2>/dev/null | sort -u | comm -23 - "$work/listed" | sed 's/$/ is not built: run autogen.sh/'
}

check_conditionals() {
	find src -name '*.c' -type f ! -path 'src/arch/*' \
		-exec grep -l '^[[:space:]]*#[[:space:]]*if' {} + | sed 's/$/ has an #if/'
}

# In the first three lines.
check_licence() {
	find src restorer images test man -type f \
		\( -name '*.[chS]' -o -name '*.proto' -o -name '*.sh' -o -name '*.[1-8]' \) -exec awk '
		FNR == 1 { good[FILENAME] = 0 }
		FNR <= 3 && /SPDX-License-Identifier: MIT/ { good[FILENAME] = 1 }
		END { for (file in good) if (!good[file]) print file " has no SPDX line" }' {} +
}

count=0
failed=0

# expect GOOD|BAD TEXT COMMAND...: the command must print nothing, or something
expect() {
	want=$1
	text=$2
	shift 2
	found=$("$@")
	count=$((count + 1))
	if { [ "$want" = good ] && [ -z "$found" ]; } || { [ "$want" = bad ] && [ -n "$found" ]; }; then
		echo "ok $count - $text"
		return
	fi
	echo "not ok $count - $text"
	echo "${found:-nothing was found}" | sed 's/^/#   /'
	failed=1
}

# wrong FILE LINE CHECK...: a tree of one file with one line, which the check must object to
wrong() {
	rm -rf "$work/tree"
	mkdir -p "$work/tree/$(dirname "$1")" "$work/tree/build-aux" "$work/tree/restorer" "$work/tree/src" \
		"$work/tree/images" "$work/tree/test" "$work/tree/man"
	for list in sources kinds tests; do
		: >"$work/tree/build-aux/$list.am"
	done
	printf '%s\n' "$2" >"$work/tree/$1"
	file=$1
	line=$2
	shift 2
	cd "$work/tree" || exit 99
	expect bad "must fail: $file with '$line'" "$@"
	cd "$here" || exit 99
}

cd "$top" || exit 99
here=$(pwd)

for room in $rooms; do
	expect good "src/$room looks only down" check_room "src/$room"
done
expect good "kind.c, kind.h, cr.c look only down" check_top
expect good "the restorer includes only its own and the kernel's headers" check_room restorer
expect good "every source is built" check_listed
expect good "no #if in .c outside arch" check_conditionals
expect good "every file names its licence" check_licence

wrong src/base/x.c '#include "proc/maps.h"' check_room src/base
wrong src/tree/x.c '#include "proc/maps.h"' check_room src/tree
wrong src/proc/x.h '# include "image/image.h"' check_room src/proc
wrong src/image/x.c '#include "eventfd.pb-c.h"' check_room src/image
wrong src/plan/x.c '#include "kind.h"' check_room src/plan
wrong src/arch/x86_64/x.c '#include "remote/trace.h"' check_room src/arch
wrong src/remote/x.c '#include "dump/dump.h"' check_room src/remote
wrong src/kinds/pipe.c '#include "eventfd.pb-c.h"' check_room src/kinds
wrong src/kinds/pipe.c '#include "dump/internal.h"' check_room src/kinds
wrong src/kinds/pipe.c '#include "cr-restorer.h"' check_room src/kinds
wrong src/dump/x.c '#include "restore/api.h"' check_room src/dump
wrong src/restore/x.c '#include "remote/trace.h"' check_room src/restore
wrong src/cmd/x.c '#include "remote/trace.h"' check_room src/cmd
wrong src/cr.c '#include "image/image.h"' check_top
wrong restorer/x.c '#include <string.h>' check_room restorer
wrong restorer/x.h '#include "base/error.h"' check_room restorer
wrong src/base/x.c 'int x;' check_listed
wrong images/x.proto 'message X' check_listed
wrong test/unit/t-x.c 'int x;' check_listed
wrong src/base/x.c '#ifdef X' check_conditionals
wrong src/base/x.c 'int x;' check_licence

echo "1..$count"
exit $failed
