#!/bin/sh
# dist.sh: writes target/pciseize-VERSION.tar.xz, the source with the crates that the program needs.
# All packages build from it without network.
#
# It has the files that git tracks, as they are now, and vendor/. cargo wants every crate of the
# lock file there, also those that only tests need, and they are seven times as large as the whole
# rest. Of those there is the manifest, with a library that says what to do.
#
# The same commit gives the same bytes: names are sorted, no owner and no right comes from this
# machine, and the time is that of the commit, or SOURCE_DATE_EPOCH.

set -eu
cd "$(dirname "$0")/../.."
cargo=${CARGO:-cargo}

git ls-files --error-unmatch Cargo.toml >/dev/null || {
	echo 'dist: the archive has what git tracks: make dist needs a clone of the repository' >&2
	exit 1
}
git diff --quiet HEAD || echo 'dist: the archive has changes that are not committed' >&2

version=$(sed -n '/^version = /{s/.*"\(.*\)"/\1/p;q}' Cargo.toml)
name=pciseize-$version
archive=target/$name.tar.xz
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
work=target/dist
source=$work/$name
rm -rf "$work" target/pciseize-*.tar.xz
mkdir -p "$source"

git ls-files -z >"$work/names"
tar --create --file="$work/tracked.tar" --null --files-from="$work/names"
tar --extract --file="$work/tracked.tar" --directory="$source"

# What cargo prints is a configuration with the path of this folder: below it is without one.
"$cargo" vendor --quiet --locked --versioned-dirs --respect-source-config "$source/vendor" \
	>"$work/configuration"
cat >>"$source/.cargo/config.toml" <<'END'

# The crates are in the folder vendor. It has those that the program needs; for tests, make embed
# and make demo, remove the rest of this file, and cargo downloads all.
[source.crates-io]
replace-with = "pciseize-vendor"

[source.pciseize-vendor]
directory = "vendor"
END

# One line for each crate that the program or its build script needs, on any machine.
"$cargo" tree --locked --edges normal,build --target all --prefix none --no-dedupe --format '{p}' \
	>"$work/tree"
sed -n 's/^\([^ ]*\) v\([^ ]*\).*/\1-\2/p' "$work/tree" >"$work/needed"

for crate in "$source"/vendor/*; do
	! grep -qxF "${crate##*/}" "$work/needed" || continue
	library=$(sed -n '/^\[lib\]/,/^\[/s/^path = "\(.*\)"/\1/p' "$crate/Cargo.toml")
	library=$crate/${library:-src/lib.rs}
	find "$crate" -mindepth 1 -maxdepth 1 ! -name Cargo.toml ! -name .cargo-checksum.json \
		-exec rm -r {} +
	mkdir -p "${library%/*}"
	cat >"$library" <<'END'
compile_error!(
    "this crate is not in the source archive of pciseize: only tests, make embed and make demo \
     need it. Remove the [source] tables at the end of .cargo/config.toml, and cargo downloads it"
);
END
	sed -i 's/"files":{[^}]*}/"files":{}/' "$crate/.cargo-checksum.json"
done

tar --create --file="$work/$name.tar" --directory="$work" --sort=name --format=gnu \
	--mtime="@$time" --mode=u+rwX,go=rX --owner=0 --group=0 --numeric-owner "$name"
xz --threads=1 -6 "$work/$name.tar"
mv "$work/$name.tar.xz" "$archive"
rm -r "$work"
echo "$archive"
