#!/bin/sh
# Sourced by dracut before udev runs, where there is no systemd in the image.
/usr/sbin/pciseize seize || :
