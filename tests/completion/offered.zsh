# zsh -f offered.zsh LINE…: prints the words that zsh offers at the end of each LINE, a word a line,
# and an empty line behind each answer.
#
# zsh completes only on a terminal. So a second one runs on a terminal of its own, and reads this
# file too. What its completion adds is written into a pipe, and not read off the screen.

if [[ ! -o interactive ]]; then
    zmodload zsh/zpty
    export ANSWERS=$(mktemp -u)
    mkfifo -m 600 $ANSWERS
    trap 'rm -f $ANSWERS' EXIT
    zpty shell zsh -f -i
    zpty -w shell ". ${(q)0} ${(@q)*}"
    cat $ANSWERS
    zpty -d shell
    return
fi

lines=("$@")
fpath=($PWD/completions $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {
    # With one of these it is only asked which words would fit.
    if (( ! ${@[(I)-[OAD]]} )); then
        local -a words
        builtin compadd -O words "$@"
        (( ! $#words )) || print -rl -- $words >&3
    fi
    builtin compadd "$@"
}
zle-line-init() {
    exec 3>$ANSWERS
    local line
    for line in $lines; do
        BUFFER=$line CURSOR=$#line
        zle complete-word
        print >&3
    done
    exec 3>&-
}
zle -N zle-line-init
