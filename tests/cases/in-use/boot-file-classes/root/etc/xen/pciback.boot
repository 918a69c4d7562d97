8086:a102@0000:00:17.0 # holds /boot
class:storage # may hold /
class:0805 # may hold /
