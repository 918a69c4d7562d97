#!/bin/sh
# requirements.sh: installs with apt what the virtual machines need on the host. Does nothing, quickly, where all is there.

set -eu

packages='e2fsprogs gzip make mmdebstrap mount qemu-system-x86 seabios util-linux xz-utils'

# as_root COMMAND…: through sudo, unless we are root already.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing=
for package in $packages; do
    case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
    installed) ;;
    *) missing="$missing $package" ;;
    esac
done

# The machines are made from these lists too, so they are needed even where no package is missing.
if [ -n "$missing" ] || ! apt-cache show --no-all-versions xen-hypervisor-4.17-amd64 >/dev/null 2>&1; then
    as_root apt-get update
fi
if [ -n "$missing" ]; then
    echo "requirements: installing$missing"
    # shellcheck disable=SC2086 # a list of words
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
fi
