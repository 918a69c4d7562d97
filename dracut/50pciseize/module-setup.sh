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
    if ! modinfo -k "${kernel:?}" -n xen-pciback &> /dev/null; then
        dwarn "pciseize: kernel $kernel has no xen-pciback: no dom0 driver will get the devices asked for, but no guest can have them either"
        return 0
    fi
    # In host-only mode dracut leaves out what is not loaded while the image is made.
    hostonly='' instmods xen-pciback
}

install() {
    inst_binary "$program" /usr/sbin/pciseize
    inst_multiple -o /etc/xen/pciback.conf '/etc/xen/pciback.conf.d/*.conf'
    if dracut_module_included systemd; then
        inst_simple "${moddir:?}/pciseize.service" "${systemdsystemunitdir:?}/pciseize.service"
        "${SYSTEMCTL:-systemctl}" -q --root "${initdir:?}" add-wants sysinit.target pciseize.service
    else
        # Some hooks of this stage load drivers. In their order, the name's first character comes before every letter.
        inst_hook cmdline 00 "$moddir/0-pciseize.sh"
    fi
}
