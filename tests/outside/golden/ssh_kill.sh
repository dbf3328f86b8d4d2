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
end_tagged() { # kills the processes of the sweep; whether there were any
  found=
  for each in $(grep -lsF -e "LAUNCHKIT_TAG=$tag" /proc/[0-9]*/environ /proc/[0-9]*/maps); do
    each=${each#/proc/} each=${each%%/*}
    stat=$(cat "/proc/$each/stat" 2>/dev/null) || continue
    case "${stat##*) }" in [ZX]*) continue ;; esac
    found=1
    kill -9 "$each" 2>/dev/null
  done
  [ -n "$found" ]
}
until_none() { # COMMAND...: runs it until it finds nothing; fails if it always does
  round=0
  while [ $round -lt 50 ]; do
    "$@" || return 0
    round=$((round + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  return 1
}
set -- $(stat -c '%d %i' .)
tag=$(printf '%s.%x.%x' 20260101-120000-abcdef "$1" "$2")
for file in remote/*.pid; do
  read -r pid start boot <"$file" 2>/dev/null || continue
  alive "$pid" "$start" "$boot" || continue
  kill -STOP "$pid"
  until_none end_others "$pid"
  kill -9 "$pid"
done
until_none end_tagged && exit 0
echo "processes of the sweep do not end" >&2
exit 1
