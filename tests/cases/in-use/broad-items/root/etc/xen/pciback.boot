route = 8086:15b8@0000:00:1f.6 # carries the default route of eth0
display = 10de:1b80@0000:00:01.0/00.0 # is the boot display
keyboard = 8086:a12f@0000:00:14.0 # has a keyboard
keyboard = 1b21:1242@0000:00:1c.0/00.0 # has a keyboard
