# What the host of this image boots from.
8086:a102@0000:00:17.0 # holds /; holds /boot
8086:a102@0000:00:1f.2 # another machine has that there
10de:1b80@0000:00:01.0/00.0
