#!/bin/sh
# SPDX-License-Identifier: MIT
# Writes the lists of files into build-aux/*.am, then runs autoreconf. To be run again when a
# file was added or removed; a list that did not change is left alone.
set -eu
cd "$(dirname "$0")"
LC_ALL=C
export LC_ALL

# find_files FOLDER PATTERN... : the files below FOLDER, sorted
find_files() {
	folder=$1
	shift
	[ -d "$folder" ] || return 0
	for pattern; do
		find "$folder" -type f -name "$pattern"
	done | sort
}

# variable NAME: makes a list of the lines of standard input
variable() {
	printf '%s =' "$1"
	while read -r word; do
		printf ' \\\n\t%s' "$word"
	done
	printf '\n'
}

# put FILE: replaces it by standard input if that differs
put() {
	cat >"$1.new"
	if cmp -s "$1.new" "$1"; then
		rm "$1.new"
	else
		mv "$1.new" "$1"
	fi
}

# program VARIABLE FILE...: adds the lines that make a program of each file
program() {
	kind=$1
	shift
	for file; do
		[ -e "$file" ] || continue
		name=${file%.c}
		var=$(echo "$name" | tr '/-' '__')
		echo "${var}_SOURCES = $file"
		case $kind in
		unit)
			echo "${var}_CPPFLAGS = \$(UNIT_CPPFLAGS)"
			echo "${var}_LDADD = \$(UNIT_LIBS)"
			;;
		fuzz)
			echo "${var}_CPPFLAGS = \$(TARGET_CPPFLAGS)"
			echo "${var}_LDFLAGS = \$(TARGET_LINK)"
			echo "${var}_LDADD = \$(TARGET_LIBS)"
			;;
		func)
			echo "${var}_CFLAGS = \$(FUNC_CFLAGS)"
			echo "${var}_LDFLAGS = -pthread"
			echo "${var}_LDADD = libsubject.a"
			;;
		esac
	done
}

{
	echo '# written by autogen.sh'
	find_files src '*.[ch]' | grep -v -e '^src/arch/[^/]*/' -e '^src/cr\.c$' | variable src_files
	for arch in src/arch/*/; do
		[ -d "$arch" ] || continue
		name=$(basename "$arch")
		find_files "src/arch/$name" '*.[chS]' | variable "src_arch_${name}_files"
	done
	find_files src/cmd '*.bash' | variable completion_files
	find_files man '*.[1-8]' | variable man_files
} | put build-aux/sources.am

{
	echo '# written by autogen.sh'
	find_files src/kinds '*.c' | sed 's|.*/||; s|\.c$||' | variable kind_names
	find_files images '*.proto' | variable proto_files
	find_files images '*.proto' | sed 's|proto$|pb-c.c|' | variable proto_sources
	find_files images '*.proto' | sed 's|proto$|pb-c.h|' | variable proto_headers
} | put build-aux/kinds.am

{
	echo '# written by autogen.sh'
	find_files test/unit 't-*.c' | sed 's|\.c$||' | variable unit_tests
	program unit test/unit/t-*.c
	find_files test/unit 't-*.c' |
		sed "s|[/-]|_|g; s|\\(.*\\)\\.c\$|\$(\\1_OBJECTS)|" |
		variable unit_objects
	find_files test/unit '*.h' | variable unit_headers
	find_files test/fuzz 'f-*.c' | sed 's|\.c$||' | variable fuzz_programs
	program fuzz test/fuzz/f-*.c
	find_files test/fuzz '*.[ch]' | grep -v -e '/f-[^/]*$' -e '/main\.c$' -e '/subject\.c$' | variable hostile_files
	find_files test/func 'f-*.c' | sed 's|\.c$||' | variable func_tests
	program func test/func/f-*.c
	find_files test/func '*.[ch]' | grep -v '/f-[^/]*$' | variable subject_files
	find_files test '*.sh' | grep -E '^test/(func/|preloader/)?[^/]*$' | grep -v -e '/lib\.sh$' -e '/tap\.sh$' -e '/faults\.sh$' | variable test_scripts
	find_files test lib.sh tap.sh | variable test_libraries
	find_files test/data '*' | variable test_data_files
} | put build-aux/tests.am

exec autoreconf -i
