#!/bin/sh
# SPDX-License-Identifier: MIT
# Fetches Debian packages of another suite with apt and unpacks them into a private folder: nothing
# is installed, and the lists and settings of this machine's apt are not touched. The mirrors are
# those that this machine's apt has; the signatures are checked by it as always.
#
#   debs.sh CACHE SUITE kernel FLAVOUR      prints the path of the newest kernel image of the flavour
#   debs.sh CACHE SUITE tree PACKAGE        prints a folder that holds the package and all it needs
#   debs.sh CACHE SUITE source PACKAGE      prints the path of the archive in a linux-source-VERSION
#
# What has been unpacked once is taken as it is; CR_FETCH=1 looks for a newer one.
set -eu
LC_ALL=C
export LC_ALL

die() {
	echo "debs.sh: $*" >&2
	exit 1
}

# mirror PATTERN: the base of the first archive of this machine whose suite matches
mirror() {
	apt-get -o Dir::State::lists="$state/none" update --print-uris 2>/dev/null |
		sed -n "s|^'\\(.*/\\)dists/\\([^/]*\\)/InRelease'.*|\\2 \\1|p" |
		while read -r one base; do
			# shellcheck disable=SC2254 # it is a pattern
			case $one in
			$1) echo "$base" && break ;;
			esac
		done
}

write_sources() {
	main=$(mirror '[a-z]*[!-]')
	[ -n "$main" ] || die "no Debian archive among the sources of this machine's apt"
	options=
	ring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ ! -e $ring ] || options="[signed-by=$ring] "
	echo "deb $options$main $suite main"
	case $suite in
	sid | *-*) return ;;
	esac
	base=$(mirror '*-security')
	[ -z "$base" ] || echo "deb $options$base $suite-security main"
}

apt() {
	tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$state" -o Dir::State::lists="$state/lists" \
		-o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
		-o APT::Sandbox::User=root -o APT::Update::Post-Invoke::= -o APT::Get::Assume-Yes=true \
		-o APT::Install-Recommends=false -o APT::Architecture=amd64 "$@"
}

refresh() {
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/none/partial"
	: >"$state/status"
	write_sources >"$state/sources.list"
	apt apt-get update >"$state/update.log" 2>&1 || {
		cat "$state/update.log" >&2
		die "apt-get update of $suite failed"
	}
}

# depends PACKAGE PATTERN: what it depends on directly and matches
depends() {
	apt apt-cache show --no-all-versions "$1" |
		sed -n 's/^\(Pre-\)*Depends: //p' | tr ',|' '[\n*]' | sed 's/^ *//; s/[ (].*//' |
		grep -e "$2" | head -n 1
}

# The flavour's package leads to the one that holds the kernel in one or two steps.
fetch_kernel() {
	package=linux-image-$1
	while next=$(depends "$package" '^linux-\(image\|binary\)-[0-9]') && [ -n "$next" ]; do
		package=$next
	done
	folder=$state/$package
	if [ ! -e "$folder/image" ]; then
		rm -rf "$folder"
		mkdir -p "$folder"
		(cd "$folder" && apt apt-get download "$package" >&2) || die "cannot download $package"
		dpkg-deb --fsys-tarfile "$folder"/*.deb |
			tar -C "$folder" -xf - --wildcards '*/vmlinuz*' --transform 's|.*/||'
		rm "$folder"/*.deb
		mv "$folder"/vmlinuz* "$folder/image"
	fi
	ln -sfn "$package" "$state/kernel-$1"
}

fetch_tree() {
	rm -rf "$state/tree-$1.new"
	mkdir -p "$state/tree-$1.new"
	apt apt-get install --download-only -o APT::Keep-Downloaded-Packages=true "$1" \
		>"$state/install.log" 2>&1 || {
		cat "$state/install.log" >&2
		die "cannot download $1 of $suite"
	}
	for deb in "$state"/cache/archives/*.deb; do
		dpkg-deb -x "$deb" "$state/tree-$1.new"
		rm "$deb"
	done
	rm -rf "$state/tree-$1"
	mv "$state/tree-$1.new" "$state/tree-$1"
}

fetch_source() {
	folder=$state/$1
	rm -rf "$folder"
	mkdir -p "$folder"
	(cd "$folder" && apt apt-get download "$1" >&2) || die "cannot download $1"
	dpkg-deb --fsys-tarfile "$folder"/*.deb |
		tar -C "$folder" -xf - --wildcards '*/linux-source-*.tar.xz' --transform 's|.*/||'
	rm "$folder"/*.deb
	mv "$folder"/linux-source-*.tar.xz "$folder/source.tar.xz"
	ln -sfn "$1" "$state/source-$1"
}

[ $# = 4 ] || die "usage: debs.sh CACHE SUITE kernel|tree|source NAME"
suite=$2
state=$1/$suite
case $3 in
kernel | tree | source) ;;
*) die "what is '$3'?" ;;
esac
mkdir -p "$state"
state=$(cd "$state" && pwd)
if [ ! -e "$state/$3-$4" ] || [ "${CR_FETCH:-0}" = 1 ]; then
	refresh
	"fetch_$3" "$4"
fi
case $3 in
kernel)
	echo "$state/kernel-$4/image" ;;
tree) echo "$state/tree-$4" ;;
source) echo "$state/source-$4/source.tar.xz" ;;
esac
