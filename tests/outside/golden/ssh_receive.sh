export LC_ALL=C
cd && cd -- ./.cache/launchkit/20260101-120000-abcdef-12345678 2>/dev/null || exit 97
own='./a sweep'"'"'s/.launchkit'
set -e
rm -rf -- './a sweep'"'"'s/3/.launchkit'
new=$(mktemp -d "$PWD/.incoming/XXXXXX")
trap 'rm -rf -- "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
tar -xpf - -C "$new"
base=$PWD
cd -- "$new"
find . -mindepth 1 -type d -exec sh -c 'for each; do mkdir -p -- "$0/$each" || exit; done' "$base" {} +
find . ! -type d -exec sh -c 'for each; do mv -f -- "$each" "$0/$each" || exit; done' "$base" {} +
