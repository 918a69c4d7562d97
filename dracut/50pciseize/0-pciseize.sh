#!/bin/sh
# Sourced by dracut before udev runs, where there is no systemd in the image.
/usr/sbin/pciseize seize

# 3: not all is as asked, and strict is set. Nothing else stops a boot.
if [ $? -eq 3 ]; then
    emergency_shell -n pciseize "pciseize: strict, and not all is as asked."
fi
