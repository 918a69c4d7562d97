#!/bin/sh
# summary.sh PART...: makes each part of `make check` in turn and keeps its output in
# target/check/PART.log. At the end it prints one line for each part, and last the number of all
# tests. It stops at the first part that fails, and then exits with status 1.

set -eu
cd "$(dirname "$0")/.."
logs=target/check
mkdir -p "$logs"

# count WORD LOG: adds up the numbers before WORD in the results of all test targets.
count() {
	sed -n "s/^test result: .* \([0-9][0-9]*\) $1;.*/\1/p" "$2" |
		awk '{ sum += $1 } END { print sum + 0 }'
}

summary=
all_passed=0
all_failed=0
for part; do
	if [ "$all_failed" -ne 0 ]; then
		summary="$summary$(printf '%-12s not run' "$part")
"
		continue
	fi

	# A pipe returns the status of its last command, so the status of make goes through a file.
	start=$(date +%s)
	rm -f "$logs/status"
	{
		status=0
		make --no-print-directory "$part" || status=$?
		echo "$status" >"$logs/status"
	} 2>&1 | tee "$logs/$part.log"
	seconds=$(($(date +%s) - start))
	status=$(cat "$logs/status")

	# A part without cargo's tests, like the fuzzing, counts as one test; so does a compiler error.
	passed=$(count passed "$logs/$part.log")
	failed=$(count failed "$logs/$part.log")
	if [ "$status" -ne 0 ]; then
		result=failed
		[ "$failed" -ne 0 ] || failed=1
	else
		result=passed
		[ "$passed" -ne 0 ] || passed=1
	fi
	all_passed=$((all_passed + passed))
	all_failed=$((all_failed + failed))
	summary="$summary$(printf '%-12s %s %6d passed, %d failed %6d s' \
		"$part" "$result" "$passed" "$failed" "$seconds")
"
done

printf '\n%s%d passed, %d failed\n' "$summary" "$all_passed" "$all_failed"
[ "$all_failed" -eq 0 ]
