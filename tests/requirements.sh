#!/bin/sh
# requirements.sh PACKAGE…: names the missing Debian packages and the command that installs them.
# Exit status 1 if one is missing.
# requirements.sh --install PACKAGE…: installs the missing packages with apt.
# Both return quickly if none is missing.

set -eu

install=
if [ "$1" = --install ]; then
	install=yes
	shift
fi

# Other distributions use other package names. There, a missing program is noticed when it is run.
if ! command -v dpkg-query >/dev/null; then
	[ -n "$install" ] || exit 0
	echo "requirements: this is no Debian; install what these packages have: $*" >&2
	exit 1
fi

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

if [ -z "$install" ]; then
	[ -n "$missing" ] || exit 0
	echo "missing packages:$missing; to install all that is needed: make requirements" >&2
	exit 1
fi

# The virtual machines are made from apt's lists, so these are needed even if no package is missing.
if [ -n "$missing" ] ||
	! apt-cache show --no-all-versions xen-hypervisor-4.17-amd64 >/dev/null 2>&1; then
	as_root apt-get update
fi
if [ -n "$missing" ]; then
	echo "requirements: installing$missing"
	# shellcheck disable=SC2086 # a list of words
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends $missing
fi
