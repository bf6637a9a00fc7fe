#!/bin/sh
# SPDX-License-Identifier: MIT
# The restorer library as somebody has it who does not know this tree: installed to a folder, found by pkg-config
# alone, compiled by each compiler that is there, as C and as C++, with a libc and without one.
# shellcheck source=test/tap.sh
. "${srcdir:-$(dirname "$0")/..}/test/tap.sh"

top=$(cd "${srcdir:-$(dirname "$0")/..}" && pwd) || exit 99
make=${MAKE:-make}

command -v pkg-config >/dev/null || {
	skip "the installed library" "pkg-config is not there"
	finish_test
}
[ -e "${builddir:-.}/Makefile" ] || {
	echo "Bail out! there is no build folder"
	exit 99
}

# Only what belongs to the library; nothing of the make that runs this.
env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u DESTDIR "$make" -s -C "${builddir:-.}" prefix="$work/prefix" \
	exec_prefix="$work/prefix" libdir="$work/prefix/lib" includedir="$work/prefix/include" \
	docdir="$work/prefix/doc" install-libLIBRARIES install-nodist_crincludeHEADERS install-pkgconfigDATA \
	install-nodist_exampleDATA >"$work/out" 2>&1
say $? "installed"
PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig
export PKG_CONFIG_PATH
[ "$(cd "$work/prefix" && find . -type f | sort | tr '\n' ' ')" = \
	"./doc/examples/bare.h ./doc/examples/preloader.c ./include/cr/restorer.h ./lib/libcr-restorer.a ./lib/pkgconfig/cr-restorer.pc " ]
say $? "a library, a header, a description, an example, and nothing else"
flags=$(pkg-config --cflags --libs cr-restorer 2>"$work/out")
say $? "found by pkg-config"
# The description tells where it was installed, whatever configure was told.
case $flags in *"-I$work/prefix/include"*"-L$work/prefix/lib"*) true ;; *) false ;; esac
say $? "with its own places"

# --- programs outside of the tree --------------------------------------------------------------------------
mkdir "$work/outside"
cd "$work/outside" || exit 99
for page in cr-restorer.3 cr-preload.3; do
	awk -v name="${page%.3}" '/^\.Bd -literal/ { n++; inside = 1; next } /^\.Ed/ { inside = 0 }
		inside { gsub(/\\e/, "\\"); gsub(/\\-/, "-"); print >(name "-" n ".c") }' "$top/man/$page"
done
cp "$work/prefix/doc/examples/"* .
sed 's|"cr-restorer.h"|<cr/restorer.h>|' "$top/test/preloader/links.c" >links.c

# Sizes and places as other programs have them compiled in.
cat >pinned.c <<'END'
#include <cr/restorer.h>
#define SIZE(type, n) char size_of_##type[sizeof(struct type) == (n) ? 1 : -1]
#define PLACE(type, field, n) char place_of_##type##_##field[offsetof(struct type, field) == (n) ? 1 : -1]
SIZE(cr_rst_op, 64);
PLACE(cr_rst_op, how, 2);
PLACE(cr_rst_op, nr, 4);
PLACE(cr_rst_op, arg, 8);
PLACE(cr_rst_op, want, 56);
SIZE(cr_rst_plan, 56);
PLACE(cr_rst_plan, n_ops, 8);
PLACE(cr_rst_plan, ops, 16);
PLACE(cr_rst_plan, results, 24);
PLACE(cr_rst_plan, data, 32);
PLACE(cr_rst_plan, stack_top, 40);
PLACE(cr_rst_plan, report, 48);
SIZE(cr_rst_report, 24);
PLACE(cr_rst_report, result, 16);
SIZE(cr_rst_plan_file, 32);
PLACE(cr_rst_plan_file, size, 16);
PLACE(cr_rst_plan_file, sum, 24);
SIZE(cr_rst_mm_map, 104);
PLACE(cr_rst_mm_map, exe_fd, 100);
SIZE(cr_rst_range, 32);
PLACE(cr_rst_range, prot, 24);
SIZE(cr_rst_told, 40);
PLACE(cr_rst_told, plain, 8);
PLACE(cr_rst_told, exe_file, 32);
SIZE(cr_rst_mapping, 64);
PLACE(cr_rst_mapping, dev, 24);
PLACE(cr_rst_mapping, name, 48);
SIZE(cr_rst_segment, 40);
PLACE(cr_rst_segment, prot, 32);
SIZE(cr_rst_elf, 1320);
PLACE(cr_rst_elf, brk, 80);
PLACE(cr_rst_elf, fixed, 88);
PLACE(cr_rst_elf, interpreter, 104);
PLACE(cr_rst_elf, segment, 360);
int main(void)
{
	return !(CR_RST_ABI == 2 && cr_rst_abi() == 2);
}
END

# build COMPILER OUTPUT SOURCE FLAG...
build() {
	compiler=$1
	out=$2
	source=$3
	shift 3
	# shellcheck disable=SC2086 # flags
	"$compiler" -Wall -Wextra -Werror -O2 "$@" -o "$out" "$source" $flags >"$work/out" 2>&1
}

# says WORD PROGRAM ARGUMENT...: whether it prints a line that begins so
says() {
	want=$1
	shift
	"$@" >said 2>"$work/out" || return 1
	case $(cat said) in "$want"*) ;; *) return 1 ;; esac
}
other=$(readlink -f "$(command -v env)")

for cc in gcc clang; do
	command -v "$cc" >/dev/null || {
		skip "$cc" "not installed"
		continue
	}
	for source in cr-*.c; do
		build "$cc" "${source%.c}" "$source"
		say $? "$cc: ${source%.c} of the manual"
	done
	rm -f plan
	says ELF ./cr-restorer-1 && ./cr-restorer-1 plan && says ELF ./cr-restorer-2 plan
	say $? "$cc: a plan is run, kept in a file, and run from there"
	! ./cr-restorer-1 plan
	say $? "$cc: and nothing that is there is written over"
	printf x | dd of=plan bs=1 seek=200 conv=notrunc 2>/dev/null
	! ./cr-restorer-2 plan 2>"$work/out" && grep -qx "Bad message" "$work/out"
	say $? "$cc: and not if that was damaged"
	./cr-preload-2 "$other" >said 2>"$work/out" && grep -q "^started by /" said
	say $? "$cc: what of a file would be mapped"
	if [ "$(id -u)" -eq 0 ]; then
		says "way " ./cr-restorer-3 "$other" && grep -qx "way [124]: $other" said
		say $? "$cc: another file is the executable"
		says "way " ./cr-preload-1 "$other" && grep -qx "way [124]: $other" said
		say $? "$cc: and its name is shown"
	else
		skip "$cc: another file is the executable" "not root"
		skip "$cc: and its name is shown" "not root"
	fi
	build "$cc" pinned pinned.c && ./pinned
	say $? "$cc: sizes, places and the ABI number"
	build "$cc" pinned-static pinned.c -static && ./pinned-static
	say $? "$cc: with a static libc"
	build "$cc" links links.c -nostdlib -static && ./links
	say $? "$cc: a plan without a libc"
	build "$cc" preloader preloader.c -nostdlib -static -Wl,-Ttext-segment=0x7d400000 &&
		./preloader --reserve 10000-20000 /bin/echo from a preloader >said 2>"$work/out" &&
		[ "$(cat said)" = "from a preloader" ]
	say $? "$cc: a preloader without a libc"
done
for cxx in g++ clang++; do
	command -v "$cxx" >/dev/null || {
		skip "$cxx" "not installed"
		continue
	}
	build "$cxx" pinned-cxx pinned.c -x c++ && ./pinned-cxx
	say $? "$cxx"
done

# It must fail: another layout, another number.
sed 's/cr_rst_op, 64/cr_rst_op, 72/' pinned.c >other.c
! build "${CC:-cc}" other other.c
say $? "must fail: another size"
sed 's/== 2 && cr_rst_abi/== 3 \&\& cr_rst_abi/' pinned.c >other.c
build "${CC:-cc}" other other.c && ! ./other
say $? "must fail: another ABI number"

finish_test
