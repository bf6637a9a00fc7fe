#!/bin/sh
# SPDX-License-Identifier: MIT
# What the man pages must have, the table of VmFlags in cr-image(5) against the source, and what the
# completion offers. Each check has a case in which it must fail.
# The checks are called by name, which shellcheck does not see.
# shellcheck disable=SC2317
set -u
LC_ALL=C
export LC_ALL

top=${srcdir:-$(dirname "$0")/..}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

# sections PAGE: which of the sections that every page has are not there
sections() {
	for section in NAME DESCRIPTION 'EXIT STATUS' 'SEE ALSO' LIMITS; do
		grep -qx "\\.Sh $section" "$1" || echo "no section $section"
	done
}

# flags HEADER PAGE: how the two tables of flags differ
flags() {
	sed -n '/^enum vmf {/,/^}/p' "$1" | tr ',' '\n' | sed -n 's/.*VMF_\([a-z][a-z]\)$/\1/p' |
		awk '{ print NR - 1, $1 }' >"$work/header"
	sed -n 's/^\.It \([0-9][0-9]*\) Ta \([a-z][a-z]\) Ta ..*/\1 \2/p' "$2" >"$work/page"
	[ -s "$work/header" ] || echo "no flags in $1"
	diff "$work/header" "$work/page"
}

# fields PAGE PROTO...: how the fields in the page differ from those of the engine's records
fields() {
	page=$1
	shift
	pattern='s/^[[:space:]]*\(\(required\|optional\|repeated\) [^;]*\);.*/\1/p'
	sed -n "$pattern" "$@" | sort >"$work/proto"
	sed -n "$pattern" "$page" | sort >"$work/page"
	[ -s "$work/proto" ] || echo "no fields in $*"
	diff "$work/proto" "$work/page"
}

# kinds PAGE FILE...: tags of kinds that the page does not have, and the other way round
kinds() {
	page=$1
	shift
	sed -n 's/.*\.record = { "\([A-Z]*\)".*/\1/p' "$@" | sort >"$work/tags"
	sed -n 's/^\.It Li \([A-Z][A-Z][A-Z][A-Z]\) Ta .*/\1/p' "$page" | sort >"$work/page"
	[ -s "$work/tags" ] || echo "no tags in $*"
	diff "$work/tags" "$work/page"
}

# offered FILE WORD...: what the completion offers for the last word
offered() {
	bash -c '. "$1" && shift && COMP_WORDS=(cr "$@") COMP_CWORD=$# && _cr &&
		[ ${#COMPREPLY[@]} -gt 0 ] && printf "%s\n" "${COMPREPLY[@]}"' sh "$@"
}

# offers WANTED WORD...: says what is wrong if WANTED is not among what is offered
offers() {
	wanted=$1
	shift
	offered "$top/src/cmd/cr.bash" "$@" >"$work/offered"
	grep -qx -e "$wanted" "$work/offered" || {
		echo "wanted $wanted, got:"
		cat "$work/offered"
	}
}

count=0
failed=0
expect() { # good|bad TEXT COMMAND...
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

for page in cr.1 cr-dump.1 cr-restore.1 cr-show.1 cr-check.1 cr-verify.1 cr-image.5 cr-restorer.3 cr-preload.3; do
	expect good "$page: its sections" sections "$top/man/$page"
done
grep -v '^\.Sh LIMITS' "$top/man/cr.1" >"$work/cr.1"
expect bad "must fail: a page without limits" sections "$work/cr.1"

expect good "VmFlags of cr-image(5)" flags "$top/src/proc/maps.h" "$top/man/cr-image.5"
sed 's/^\.It 5 Ta mw/.It 5 Ta me/' "$top/man/cr-image.5" >"$work/cr-image.5"
expect bad "must fail: another flag" flags "$top/src/proc/maps.h" "$work/cr-image.5"
expect bad "must fail: no flags at all" flags /dev/null /dev/null

images=$top/images
expect good "records of cr-image(5)" fields "$top/man/cr-image.5" "$images/manifest.proto" \
	"$images/process.proto" "$images/files.proto" "$images/mm.proto" \
	"$images/shmem.proto"
expect bad "must fail: another record" fields "$top/man/cr-image.5" "$images/manifest.proto"
expect bad "must fail: no fields at all" fields /dev/null /dev/null

expect good "kinds of cr-image(5)" kinds "$top/man/cr-image.5" "$top"/src/kinds/*.c
grep -v 'It Li EVFD' "$top/man/cr-image.5" >"$work/cr-image.5"
expect bad "must fail: a kind that is not there" kinds "$work/cr-image.5" "$top"/src/kinds/*.c

mkdir "$work/folder"
: >"$work/file"
expect good "completion: a command" offers restore res
expect good "completion: an option" offers --leave-running dump --leave-r
expect good "completion: an option before the command" offers --version --v
expect good "completion: a command behind an option" offers show --log f sh
expect good "completion: help of a command" offers verify help ver
expect good "completion: a pid" offers "$$" dump ''
expect good "completion: a pid to check" offers "$$" check --json ''
expect good "completion: a folder to write" offers "$work/folder" dump 1 "$work/f"
expect good "completion: a folder to read" offers "$work/folder" restore --timeout 5 "$work/f"
expect good "completion: a file" offers "$work/file" restore --pidfile "$work/f"
expect bad "must fail: no file where a folder is meant" offers "$work/file" show "$work/f"
expect bad "must fail: no second operand" offers "$work/folder" show image "$work/f"

echo "1..$count"
exit $failed
