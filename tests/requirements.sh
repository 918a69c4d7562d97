#!/bin/sh
# requirements.sh PACKAGE…: installs with apt those that are missing. Does nothing, quickly, where all are there.

set -eu

# as_root COMMAND…: through sudo, unless we are root already.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

missing=
for package; do
	case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
	installed) ;;
	*) missing="$missing $package" ;;
	esac
done

# The virtual machines are made from apt's lists too, so they are needed even where no package is missing.
if [ -n "$missing" ] || ! apt-cache show --no-all-versions xen-hypervisor-4.17-amd64 >/dev/null 2>&1; then
	as_root apt-get update
fi
if [ -n "$missing" ]; then
	echo "requirements: installing$missing"
	# shellcheck disable=SC2086 # a list of words
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $missing
fi
