#!/bin/bash
# Puts pciseize, what it is configured with and xen-pciback into the image. See dracut.modules(7).

program=/usr/sbin/pciseize

check() {
    require_binaries "$program" || return 1
    return 0
}

depends() {
    return 0
}

installkernel() {
    if ! modinfo ${dracutsysrootdir:+-b "$dracutsysrootdir"} -k "${kernel:?}" -n xen-pciback &> /dev/null; then
        dwarn "pciseize: kernel $kernel has no xen-pciback: no dom0 driver will get the devices asked for, but no guest can have them either"
        return 0
    fi
    # In host-only mode dracut leaves out what is not loaded while the image is made.
    hostonly='' instmods xen-pciback
}

install() {
    local root=${dracutsysrootdir-} file line
    inst_binary "$program" /usr/sbin/pciseize
    inst_multiple -o /etc/xen/pciback.conf '/etc/xen/pciback.conf.d/*.conf'
    # A generic image has nothing of /etc/modprobe.d otherwise. /run/modprobe.d is for this boot only, and another /run is mounted over an image's.
    # Not by inst_simple, which would look for the file outside of the sysroot.
    for file in "$root"/etc/modprobe.d/*.conf "$root"/usr/lib/modprobe.d/*.conf; do
        if grep -qs '^[^#]*xen[-_]pciback' "$file"; then
            inst_multiple "${file#"$root"}"
        fi
    done
    if dracut_module_included systemd; then
        inst_simple "${moddir:?}/pciseize.service" "${systemdsystemunitdir:?}/pciseize.service"
        "${SYSTEMCTL:-systemctl}" -q --root "${initdir:?}" add-wants sysinit.target pciseize.service
    else
        # Some hooks of this stage load drivers. In their order, the name's first character comes before every letter.
        inst_hook cmdline 00 "$moddir/0-pciseize.sh"
    fi
    # What this host boots from: a slip in the configuration must not cost the boot of an image that is for this host.
    if [[ ${hostonly-} && -z $root ]]; then
        mkdir -p "$initdir/etc/xen"
        "$program" list --boot > "$initdir/etc/xen/pciback.boot"
        "$program" plan --warnings 2> /dev/null | while read -r line; do
            dwarn "pciseize: $line"
        done
    fi
    # Now there is somebody to read what is wrong. It costs no more than itself, and never the image. The last line only counts.
    "$root$program" ${root:+--root "$root"} check 2>&1 | while read -r line; do
        [[ $line == items:* ]] || dwarn "pciseize: $line"
    done
    return 0
}
