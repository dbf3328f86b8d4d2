export LC_ALL=C
cd && cd -- ./.cache/launchkit/20260101-120000-abcdef-12345678 2>/dev/null || exit 97
own='./a sweep'"'"'s/.launchkit'
cd -- "$own" || exit 97
alive() { # PID START BOOT: whether this very process runs
  [ "$(cat /proc/sys/kernel/random/boot_id)" = "$3" ] || return 1
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- "$2" ${stat##*) }
  [ "$1" = "${21}" ] && [ "$2" != Z ]
}
end_others() { # PID: kills the others in the session that it leads; whether there were any
  others=
  for each in /proc/[0-9]*/stat; do
    { read -r line <"$each"; } 2>/dev/null || continue
    each=${each#/proc/} each=${each%%/*}
    set -- "$1" ${line##*) }
    [ "$5" != "$1" ] || [ "$each" = "$1" ] || [ "$2" = Z ] || {
      others=1
      kill -9 "$each" 2>/dev/null
    }
  done
  [ -n "$others" ]
}
set -- $(stat -c '%d %i' .)
tag=$(printf '%s.%x.%x' 20260101-120000-abcdef "$1" "$2")
for file in remote/*.pid; do
  read -r pid start boot <"$file" 2>/dev/null || continue
  alive "$pid" "$start" "$boot" || continue
  kill -STOP "$pid"
  round=0
  while [ $round -lt 50 ] && end_others "$pid"; do
    round=$((round + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  kill -9 "$pid"
done
left=$(docker ps --all --quiet --filter "label=launchkit.tag=$tag") &&
  [ -z "$left" ] || docker rm --force $left >/dev/null || exit
round=0
while [ $round -lt 50 ]; do
  round=$((round + 1)) found=
  for each in $(grep -lsF -e "LAUNCHKIT_TAG=$tag" /proc/[0-9]*/environ /proc/[0-9]*/maps); do
    pid=${each#/proc/} pid=${pid%%/*}
    stat=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
    case "${stat##*) }" in [ZX]*) continue ;; esac
    found=1
    kill -9 "$pid" 2>/dev/null
  done
  [ -n "$found" ] || exit 0
  sleep 0.1 2>/dev/null || sleep 1
done
echo "processes of the sweep do not end" >&2
exit 1
