#!/bin/sh
# SPDX-License-Identifier: MIT
# Is the restorer still freestanding? Looks at the library as it was built, builds it with hostile
# flags under each compiler that is there, and has a case for each check in which it must fail.
#
# By hand: test/restorer-link.sh, with builddir=FOLDER if there is a built library to look at, and
# RST_COMPILERS="A B" in place of both.
# The checks are called by name, which shellcheck does not see; flags hold no blanks.
# shellcheck disable=SC2317,SC2013
# shellcheck source=test/tap.sh
. "${srcdir:-$(dirname "$0")/..}/test/tap.sh"

top=${srcdir:-$(dirname "$0")/..}
lib=${builddir:-.}/restorer/libcr-restorer.a
LD=${LD:-ld}
OBJCOPY=${OBJCOPY:-objcopy}
NM=${NM:-nm}
READELF=${READELF:-readelf}
OBJDUMP=${OBJDUMP:-objdump}
compilers=${RST_COMPILERS:-gcc clang}
hostile="-fstack-protector-all -D_FORTIFY_SOURCE=3 -fsanitize=undefined -flto -fPIC --coverage"

# --- the checks: check_NAME ARCHIVE prints what is wrong, and nothing if all is well --------------

# What one object of the archive has from the other is not undefined.
check_undefined() {
	"$NM" -g "$1" | awk 'NF == 3 && $2 != "U" { print "undefined: " $3 }' | sort >"$work/defined"
	"$NM" -u "$1" | sed -n 's/^ *[Uvw] /undefined: /p' | sort -u | comm -23 - "$work/defined"
}

# Exactly the functions that the header declares.
check_interface() {
	sed -n 's/^[a-z].*[ *]\(cr_rst_[a-z_]*\)(.*/\1/p' "$top/restorer/cr-restorer.h" |
		sort >"$work/declared"
	"$NM" -g "$1" | awk 'NF == 3 && $2 != "U" { print $3 }' | sort >"$work/defined"
	[ -s "$work/declared" ] || echo "no declarations found"
	diff "$work/declared" "$work/defined"
}

# Writable data, TLS, constructors, and constants that would stay behind when the code is copied:
# all that is loaded besides the two sections of code.
check_sections() {
	"$READELF" -SW "$1" | sed -n 's/^ *\[ *[0-9]*\] //p' | awk '
		$1 == "cr_restorer" || $1 == "cr_preload" { code[$1]++; if ($7 != "AX") print "flags of " $1 ": " $7; next }
		$7 ~ /[AWT]/ && $5 !~ /^0+$/ { print "section " $1 ", flags " $7 }
		END { if (code["cr_restorer"] != 1) print "no section cr_restorer"
			if (code["cr_preload"] != 1) print "no section cr_preload" }'
}

check_relocations() {
	"$LD" -pie --no-dynamic-linker -z text -e cr_rst_enter --whole-archive \
		-o "$work/alone" "$1" 2>&1 || return
	"$READELF" -rW "$work/alone" | grep -v -e '^$' -e 'There are no relocations'
}

# The state of the floating point unit belongs to the task that is asked or rebuilt.
check_registers() {
	"$OBJDUMP" -d "$1" | grep -e '%[xyz]mm' -e '%mm[0-7]' -e '%st'
}

check_page() {
	"$READELF" -SW "$1" | sed -n 's/^ *\[ *[0-9]*\] cr_restorer *[A-Z]* *[0-9a-f]* [0-9a-f]* //p' |
		while read -r size rest; do
			[ $((0x$size)) -le 4096 ] || echo "more than a page: 0x$size $rest"
		done
}

# As a preloader may have them, and no text relocation comes of it.
check_shared() {
	"$LD" -shared -z text -z defs --whole-archive -o "$work/alone.so" "$1" 2>&1
	"$READELF" -rW "$work/alone.so" 2>&1 | grep -v -e '^$' -e 'There are no relocations'
}

checks="undefined interface sections relocations registers page shared"

# --- building ------------------------------------------------------------------------------------

# The flags that configure probes, those of them that this compiler takes.
flags_for() {
	for flag in $(sed -n '/CR_CC_FLAGS(\[RST_CFLAGS\]/,/\])/p' "$top/configure.ac" |
		sed 's/.*RST_CFLAGS\],//; s/[][()]//g'); do
		echo 'int x;' >"$work/probe.c"
		# shellcheck disable=SC2086
		$1 -Werror "$flag" -c -o "$work/probe.o" "$work/probe.c" 2>/dev/null && echo "$flag"
	done
}

# object NAME SECTION COMPILER FLAGS SOURCE...: one of the two objects of $out. What the library's own sources
# give with the same flags is kept for the next.
object() {
	name=$1
	section=$2
	compiler=$3
	flags=$4
	shift 4
	kept=$work/kept-$(echo "$compiler $flags" | cksum | tr ' ' -)
	mkdir -p "$kept"
	objects=
	for source; do
		object=${source##*/}
		object=$kept/$name-${object%.*}.rst
		case $source in "$work"/*) rm -f "$object" ;; esac
		# shellcheck disable=SC2086
		[ -e "$object" ] || $compiler $flags -I"$top/restorer" -c -o "$object" "$source" || return 1
		objects="$objects $object"
	done
	# shellcheck disable=SC2086
	"$LD" -r -z noexecstack -T "$top/restorer/$name.ld" -o "$out/$name.o" $objects &&
		"$OBJCOPY" --localize-hidden \
			--set-section-flags "$section=alloc,load,readonly,code" "$out/$name.o"
}

# sources VARIABLE: the files that restorer/local.mk names so
sources() {
	for word in $(sed -n "s/^$1 = //p" "$top/restorer/local.mk"); do
		echo "$top/restorer/$word.c"
	done
}

# archive NAME COMPILER FLAGS LAST-FLAGS [EXTRA-SOURCE [STAYING-SOURCE]]: as restorer/local.mk does
archive() {
	out=$work/$1
	mkdir -p "$out"
	user=$(echo " $3 " | sed 's/ --coverage / /; s/ -fprofile-arcs / /; s/ -pg / /')
	all="$user -std=gnu11 -Os $rst_flags $4"
	# shellcheck disable=SC2046
	object restorer cr_restorer "$2" "$all" $(sources rst_copied) "$top/restorer/mem.c" \
		"$top/restorer/entry-x86_64.S" ${5:+"$5"} &&
		object preload cr_preload "$2" "$all" $(sources rst_staying) "$top/restorer/mem.c" \
			${6:+"$6"} &&
		rm -f "$out/lib.a" && ar cr "$out/lib.a" "$out/restorer.o" "$out/preload.o"
}

# check ARCHIVE CHECK...: 0 if nothing is wrong
check() {
	subject=$1
	shift
	wrong=0
	for one; do
		"check_$one" "$subject" >"$work/wrong" 2>&1
		if [ -s "$work/wrong" ]; then
			sed "s/^/# $one: /; 8q" "$work/wrong"
			wrong=1
		fi
	done
	return $wrong
}

good() { # good NAME COMPILER FLAGS LAST-FLAGS CHECK...: all checks find nothing
	name=$1
	if ! archive case "$2" "$3" "$4" >"$work/out" 2>&1; then
		sed 's/^/# /' "$work/out"
		say 1 "$name"
		return
	fi
	shift 4
	check "$work/case/lib.a" "$@"
	say $? "$name"
}

bad() { # bad CHECK NAME [staying], an extra source on standard input: this one check finds something
	cat >"$work/extra.c"
	in_copied=$work/extra.c
	in_staying=
	[ "${3:-}" != staying ] || {
		in_copied=
		in_staying=$work/extra.c
	}
	if ! archive bad "$cc" "" "" "$in_copied" "$in_staying" >"$work/out" 2>&1; then
		sed 's/^/# /' "$work/out"
		say 1 "$1 must fail: $2 (does not build)"
		return
	fi
	"check_$1" "$work/bad/lib.a" >"$work/wrong" 2>&1
	[ -s "$work/wrong" ]
	say $? "$1 must fail: $2"
}

# --- the cases -----------------------------------------------------------------------------------

if [ -e "$lib" ]; then
	# shellcheck disable=SC2086
	check "$lib" $checks
	say $? "the library as it was built"
else
	skip "the library as it was built" "there is none in ${builddir:-.}"
fi

# Unoptimized code may be longer than a page.
for cc in $compilers; do
	if ! command -v "$cc" >/dev/null; then
		skip "$cc" "not installed"
		continue
	fi
	rst_flags=$(flags_for "$cc" | tr '\n' ' ')
	# shellcheck disable=SC2086
	good "$cc, no flags" "$cc" "" "" $checks
	for level in -O0 -O2; do
		# shellcheck disable=SC2086
		good "$cc, $level, hostile flags" "$cc" "$hostile" "$level" ${checks% page*} shared
	done
done

cc=${CC:-cc}
rst_flags=$(flags_for "$cc" | tr '\n' ' ')

bad undefined "a function of libc" <<'END'
int puts(const char *text);
int extra(void);
int extra(void) { return puts(""); }
END
bad undefined "a function of libc, in what is not copied" staying <<'END'
int puts(const char *text);
int extra(void);
int extra(void) { return puts(""); }
END
bad interface "a global name" <<'END'
__attribute__((visibility("default"))) int leak(void);
int leak(void) { return 0; }
END
bad interface "a function missing in the header" <<'END'
__attribute__((visibility("default"))) int cr_rst_more(void);
int cr_rst_more(void) { return 0; }
END
bad sections "a static counter" <<'END'
int extra(void);
int extra(void) { static volatile int n = 1; return n++; }
END
bad sections "a static counter, in what is not copied" staying <<'END'
int extra(void);
int extra(void) { static volatile int n = 1; return n++; }
END
bad sections "a static variable of zeros" <<'END'
int extra(void);
int extra(void) { static volatile int n; return n++; }
END
bad sections "a thread's variable" <<'END'
int extra(void);
static __thread volatile int n;
int extra(void) { return n++; }
END
bad sections "a constructor" <<'END'
__attribute__((constructor)) static void extra(void) { __asm__("nop"); }
END
# In assembler: clang makes a table of distances of one in C, which needs no relocation.
bad relocations "a table of addresses" <<'END'
__asm__(".section .rodata\n.quad cr_rst_run, cr_rst_enter\n.text");
END
bad relocations "a table of addresses, in what is not copied" staying <<'END'
__asm__(".section .rodata\n.quad cr_rst_mappings\n.text");
END
bad registers "SSE, in what is not copied" staying <<'END'
void extra(void);
void extra(void) { __asm__ volatile("xorps %xmm0, %xmm0"); }
END
bad registers "SSE" <<'END'
void extra(void);
void extra(void) { __asm__ volatile("xorps %xmm0, %xmm0"); }
END
bad page "too much code" <<'END'
__asm__(".text\n.skip 4096, 0x90");
END
bad shared "an absolute address in the code" <<'END'
__asm__(".text\n.quad cr_rst_run");
END

# Without the own flags the hostile ones must show: else nothing was tried above.
rst_flags="-ffreestanding -fvisibility=hidden"
# shellcheck disable=SC2086
if archive case "$cc" "-fstack-protector-all -fsanitize=undefined" "-O0" >"$work/out" 2>&1; then
	check_undefined "$work/case/lib.a" >"$work/wrong"
	[ -s "$work/wrong" ]
	say $? "undefined must fail: hostile flags alone"
else
	sed 's/^/# /' "$work/out"
	say 1 "undefined must fail: hostile flags alone (does not build)"
fi

finish_test
