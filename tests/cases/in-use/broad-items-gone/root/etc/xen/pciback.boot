route = 8086:1533@0000:02:00.0 # carried the default route, and is gone
display = 10de:1b80@0000:02:00.0 # was there, and is elsewhere
keyboard = 8086:a12f # has no place
screen = 03:00.0
keyboard = 03:00
