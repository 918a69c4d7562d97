# Finishes a manual page that scdoc has made, so that man(1), groff and mandoc have no objection.

function show(line) {
	if (pending && !heading) print ".P"
	pending = 0
	heading = line ~ /^\.(TH|SH|SS)/
	print line
}

# man(1) looks in the first line for the preprocessor that the page needs: t, for tables.
NR == 1 { print "'\\\" t" }

# Checkers want the title in capitals. groff forgets at .TH that hyphenation is off.
/^\.TH / {
	split($0, part, "\"")
	sub(part[2], toupper(part[2]))
	show($0)
	print ".nh"
	next
}

# scdoc also begins a paragraph beside headings, twice, and at the end of an indented part.
/^\.P$/ { pending = 1; next }
/^\.(SH|SS) / { pending = 0 }
/^\.RE/ { print; next }

# With \- an option can be copied into a shell, and no line breaks behind it.
!/^(\.|\\h)/ { gsub(/-/, "\\-") }

# Every cell is a text block, and tbl gives a block its share of the page, not the width it needs.
# Only the columns that expand (lx) have to be blocks: the others become plain cells.
# nokeep: groff writes a page without an end, and tbl would warn where it thinks that one ends.
/^\.TS/ { in_table = is_format = 1; row = ""; show($0); print "nokeep;"; next }
/^\.TE/ { in_table = 0 }
in_table && is_format {
	for (i = 1; i <= NF; i++) expands[i] = $i ~ /x/
	is_format = $0 !~ /\.$/
	print
	next
}
in_table && /^T\{/ { column = 1; text = ""; next }
in_table && /^T\}/ {
	if (expands[column] && text != "") text = "T{\n" text "\nT}"
	row = row (column > 1 ? "\t" : "") text
	text = ""
	column++
	if ($0 == "T}") { print row; row = "" }
	next
}
in_table { text = text (text == "" ? "" : "\n") $0; next }

{ show($0) }
