#!/bin/sh
# why-panic.sh PROGRAM: who calls what the tripwires of static.ld refuse, in a program that was
# linked without them and still has its symbols. Prints each caller with what it calls.

set -eu

objdump --disassemble --demangle=rust --no-show-raw-insn "$1" | awk '
	function is_refused(name) {
		return name ~ /core::panicking|core::option::(unwrap|expect)_failed/ ||
			name ~ /core::result::unwrap_failed|rust_begin_unwind|slice_(start|end)?_?index/ ||
			name ~ /__rust_alloc|__rdl_alloc|^(malloc|calloc|realloc|free)$/
	}
	/^[0-9a-f]+ <.*>:$/ {
		caller = substr($0, index($0, "<") + 1)
		sub(/>:$/, "", caller)
		next
	}
	/[ \t](call|jmp|bl|b)[ \t].*<.*>/ {
		callee = substr($0, index($0, "<") + 1)
		sub(/(\+0x[0-9a-f]+)?>$/, "", callee)
		if (is_refused(callee) && !is_refused(caller) && caller ~ /pciseize|^main$/)
			print caller " calls " callee
	}' | sort -u | sed 's/::h[0-9a-f]\{16\}//g' | {
	found=
	while read -r line; do
		found=yes
		printf '%s\n' "$line"
	done
	[ -n "$found" ] || echo 'No panic path and no allocation: nobody calls what is refused.'
}
