#!/bin/sh
# width.sh: fails if a line of the project has more than 100 columns, and names the line. Tables of
# Markdown may be wider, and so may data: cases, machines, seeds, pictures and their logs, licences.

set -eu
cd "$(dirname "$0")/.."

# A checkout from an archive has no git: there is nothing to ask for the project's own files then.
files=$(git ls-files -- . ':!tests/cases/*' ':!tests/machines/*' ':!fuzz/seeds/*' \
	':!*.lock' ':!*.regressions' ':!docs/*.svg' ':!docs/*.log' ':!docs/*.tsv' ':!docs/*.txt' \
	':!LICENSE-*')
cases=$(git ls-files -- 'tests/cases/*/run' 'tests/cases/*/prepare')

# shellcheck disable=SC2086 # one name a word: no file of the project has a blank in its name
wide=$(LC_ALL=C.UTF-8 grep -HnE '^.{101,}' $files $cases |
	grep -vE '^[^:]*\.(md|rs):[0-9]+:(//! )?\|' | grep -vE '^tests/cases/[^:]*:[0-9]+:[^#]' || true)
[ -z "$wide" ] || {
	printf '%s\n' "$wide" | cut -c1-160 >&2
	echo 'These lines have more than 100 columns.' >&2
	exit 1
}
