export LC_ALL=C
cd && cd -- ./.cache/launchkit/20260101-120000-abcdef-12345678 2>/dev/null || exit 97
own='./a sweep'"'"'s/.launchkit'
names=$(mktemp "$PWD/.incoming/XXXXXX") || exit
trap 'rm -f -- "$names"' EXIT
trap 'exit 1' HUP INT TERM PIPE
cat >"$names"
tar -cf - --no-recursion --hard-dereference --ignore-failed-read --null -T "$names" 2>/dev/null
exit 0
