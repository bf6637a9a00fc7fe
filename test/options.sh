#!/bin/sh
# SPDX-License-Identifier: MIT
# Help, man page and completion of each command name the same options; the help fits a screen. Each
# comparison has a case in which it must fail.
# The checks are called by name, which shellcheck does not see; names of files hold no blanks.
# shellcheck disable=SC2317,SC2044
set -u
LC_ALL=C
export LC_ALL

top=${srcdir:-$(dirname "$0")/..}
cr=${CR:-${builddir:-.}/cr}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM

commands="dump restore show check verify"
completion=$top/src/cmd/cr.bash

if ! [ -x "$cr" ]; then
	echo "1..0 # SKIP $cr is not there"
	exit 0
fi

# Each prints option names without dashes, one a line, sorted.
from_help() { # COMMAND or nothing
	# shellcheck disable=SC2086 # nothing is nothing
	"$cr" $1 --help | sed -n 's/^ *--\([a-z][a-z-]*\).*/\1/p' | sort -u
}
from_man() { # FILE
	sed -n 's/^\.It Fl -\([a-z][a-z-]*\).*/\1/p' "$1" | sort -u
}
from_completion() { # FILE COMMAND
	bash -c '. "$1" && _cr_options "$2"' sh "$1" "$2" | tr ' ' '\n' | sed -n 's/^--//p' | sort -u
}

# same A B: prints how two lists differ
same() {
	[ -s "$work/$1" ] || echo "no option found in $1"
	diff "$work/$1" "$work/$2" | sed -n "s/^< /only in $1: --/p; s/^> /only in $2: --/p"
}

# The lines of the help must fit a terminal.
fits() { # COMMAND
	# shellcheck disable=SC2086
	"$cr" $1 --help >"$work/text"
	[ "$(wc -l <"$work/text")" -le 24 ] || echo "more than 24 lines"
	awk 'length($0) > 80 { print "longer than 80: " $0 }' "$work/text"
	tail -n 1 "$work/text" | grep -q 'See cr' || echo "the last line does not name a man page"
}

# Both lists hold the commands?
commands_agree() {
	"$cr" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' | sort -u >"$work/commands-help"
	bash -c '. "$1" && _cr_commands' sh "$completion" | tr ' ' '\n' | sort -u >"$work/commands-completion"
	diff "$work/commands-help" "$work/commands-completion"
	for c in $commands; do
		grep -qx "$c" "$work/commands-help" || echo "$c is not in the help"
	done
}

usage_is_2() { # ARGUMENT...
	"$cr" "$@" >/dev/null 2>"$work/error"
	[ $? -eq 2 ] || echo "the status is not 2"
	grep -q -e '--help' "$work/error" || cat "$work/error"
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

for c in $commands; do
	from_help "$c" >"$work/help"
	from_man "$top/man/cr-$c.1" >"$work/man"
	from_completion "$completion" "$c" >"$work/completion"
	expect good "cr $c: help and man page" same help man
	expect good "cr $c: help and completion" same help completion
	expect good "cr $c: the help fits a screen" fits "$c"
	expect good "cr $c: an unknown option" usage_is_2 "$c" --no-such-option
done
expect good "cr: the help fits a screen" fits ''
expect good "cr: the list of commands" commands_agree
expect good "cr: an unknown command" usage_is_2 no-such-command
expect good "cr: no command" usage_is_2

from_help dump >"$work/help"
sed '/^\.It Fl -force/d' "$top/man/cr-dump.1" >"$work/page"
from_man "$work/page" >"$work/man"
expect bad "must fail: an option that the man page lacks" same help man
sed 's/--no-sync/--no-sink/' "$completion" >"$work/bash"
from_completion "$work/bash" dump >"$work/completion"
expect bad "must fail: an option that the completion misspells" same help completion
: >"$work/help"
expect bad "must fail: no options at all" same help help

echo "1..$count"
exit $failed
