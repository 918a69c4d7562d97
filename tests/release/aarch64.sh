#!/bin/sh
# aarch64.sh: builds the release program for 64-bit ARM. The result is target/aarch64/pciseize.
#
# The machine's own Rust builds it if it has that target's standard library, and if the machine has
# a cross compiler and that architecture's musl. Otherwise Debian sid builds it: its Rust is new
# enough, and it packages all of these. The first run installs sid into a folder of the cache;
# later runs use that folder as it is, until somebody removes it or the packages below change.

set -eu
cd "$(dirname "$0")/../.."

TARGET=aarch64-unknown-linux-gnu
GCC=aarch64-linux-gnu-gcc
MUSL=/usr/lib/aarch64-linux-musl
PACKAGES=rustc,cargo,libstd-rust-dev:arm64,gcc-aarch64-linux-gnu,gcc,libc6-dev,musl-dev:arm64
PACKAGES=$PACKAGES,make,binutils
CARGO=${CARGO:-cargo}
OUT=$PWD/target/aarch64

# as_root COMMAND…: through sudo, unless we are root already.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# can_build_here: whether this machine has the target, a compiler for it, and its musl.
can_build_here() {
	[ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ] &&
		command -v "$GCC" >/dev/null && [ -f "${PCISEIZE_MUSL_DIR:-$MUSL}/libc.a" ]
}

# sources: lines of a sources.list for sid, from where this machine has its packages.
sources() {
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' 'Architecture: amd64' |
		awk '$2 !~ /-/ { print "deb", $1, "sid", $3 }' | sort -u
}

# install_sid FOLDER SOURCES: sid on this machine's architecture, with the other one beside it.
install_sid() {
	tests/requirements.sh mmdebstrap util-linux
	echo "aarch64: installing Debian sid with Rust into $1: once, some minutes"
	[ -n "$2" ] || {
		echo 'aarch64: apt has no package lists of Debian: run apt-get update' >&2
		return 1
	}
	# Mirrors may lag behind a suite that moves each day. Signatures are checked all the same.
	printf '%s\n' "$2" | as_root mmdebstrap --variant=minbase --architectures=amd64,arm64 \
		--aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="$PACKAGES" sid "$1"
}

# sid: the folder with sid, out of the cache.
sid() {
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/pciseize
	key=$(printf '%s' "$PACKAGES" | sha256sum | cut -c1-16)
	root=$cache/sid-$key
	mkdir -p "$cache"
	exec 9>"$root.lock"
	flock 9
	if [ ! -d "$root" ]; then
		as_root rm -rf --one-file-system "$root.partial"
		install_sid "$root.partial" "$(sources)" >&2
		as_root mv "$root.partial" "$root"
	fi
	exec 9>&-
	echo "$root"
}

# in_sid ROOT COMMAND…: as this user, in this folder, which has the same name there.
in_sid() {
	root=$1
	shift
	as_root mkdir -p "$root$PWD"
	# A name space of its own: the mounts end with the command.
	# shellcheck disable=SC2016 # for the inner shell
	as_root unshare --mount sh -euc '
		root=$1 user=$2
		shift 2
		mount --bind "$PWD" "$root$PWD"
		mount --rbind /dev "$root/dev"
		mount --rbind /proc "$root/proc"
		exec chroot --userspec="$user" "$root" env --chdir="$PWD" "$@"
	' sh "$root" "$(id -u):$(id -g)" "$@"
}

mkdir -p "$OUT"
set -- build --release --locked --bin pciseize --target "$TARGET" --target-dir "$OUT/build"
if can_build_here; then
	echo 'aarch64: building with the Rust of this machine'
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$GCC "$CARGO" "$@"
else
	root=$(sid)
	echo 'aarch64: copying the crates'
	"$CARGO" vendor --quiet --locked --respect-source-config "$OUT/crates" >/dev/null
	echo "aarch64: building with the Rust of $root"
	in_sid "$root" --ignore-environment PATH=/usr/bin:/bin TERM="${TERM:-dumb}" \
		CARGO_HOME="$OUT/cargo" CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER="$GCC" \
		${PCISEIZE_CONFIG+"PCISEIZE_CONFIG=$PCISEIZE_CONFIG"} \
		cargo "$@" --offline --config 'source.crates-io.replace-with="copied"' \
		--config "source.copied.directory=\"$OUT/crates\""
fi
cp "$OUT/build/$TARGET/release/pciseize" "$OUT/pciseize"
echo "aarch64: target/aarch64/pciseize has $(wc -c <"$OUT/pciseize") bytes"
