cd && cd -- ./.cache/launchkit/20260101-120000-abcdef-12345678 2>/dev/null || exit 97
own='./a sweep'"'"'s/.launchkit'
cd -- "$own" || exit
if mkdir remote/0.begun 2>/dev/null; then
set -- $(stat -c '%d %i' .)
tag=$(printf '%s.%x.%x' 20260101-120000-abcdef "$1" "$2")
export LAUNCHKIT_TAG="$tag"
setsid sh -c 'end_others() { # PID: kills the others in the session that it leads; whether there were any
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
stat=$(cat "/proc/$$/stat")
pid=$$ pack=$1
set -- ${stat##*) }
echo "$pid ${20} $(cat /proc/sys/kernel/random/boot_id)" >"remote/$pack.new"
mv -f "remote/$pack.new" "remote/$pack.pid"
sh "./$0/final_script.sh" "$pack" >"carriers/$pack.log" 2>&1
echo $? >"remote/$pack.new"
end_others "$pid"
mv -f "remote/$pack.new" "remote/$pack.code"
' unpacked 0 </dev/null >/dev/null 2>&1 &
fi
round=0
while [ $round -lt 200 ]; do
  [ -e remote/0.pid ] && exit 0
  round=$((round + 1))
  sleep 0.05 2>/dev/null || sleep 1
done
echo "the host of the jobs does not start" >&2
exit 1
