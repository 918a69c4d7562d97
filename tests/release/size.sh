#!/bin/sh
# size.sh WITH-SYMBOLS PROGRAM: what takes the place in a program. The first file is the program
# with its symbols, the second as it is installed. A line for each room, for the libraries, and for
# the C library.

set -eu

nm --demangle --print-size "$1" | awk '
	function room(name) {
		if (match(name, /pciseize::[a-z0-9_]+/))
			return substr(name, RSTART + 10, RLENGTH - 10)
		if (name ~ /(core|std|nix|ufmt|heapless)::/)
			return "libraries"
		return name == "main" ? "main" : "musl"
	}
	# Without a size: a name for a place, like those of the linker script.
	NF < 4 || $3 !~ /^[tTwWrRdDvV]$/ { next }
	{
		name = $4
		for (i = 5; i <= NF; i++)
			name = name " " $i
		bytes = 0
		for (i = 1; i <= length($2); i++)
			bytes = bytes * 16 + index("0123456789abcdef", substr($2, i, 1)) - 1
		sizes[room(name)] += bytes
	}
	END {
		for (name in sizes)
			printf "%8d %s\n", sizes[name], name
	}' | sort -rn
printf '%8d all of it, with constants, headers and the embedded configuration\n' \
	"$(($(wc -c <"$2")))"
