# fish --no-config offered.fish LINE…: prints the words that fish offers at the end of each LINE, a
# word a line with what it means behind a tab, and an empty line behind each answer.

source completions/pciseize.fish
for line in $argv
    complete -C $line
    echo
end
