export LC_ALL=C
cd || exit 1
where=.cache/launchkit
case "$where" in /*) ;; *) where=$PWD/$where ;; esac
while [ ! -e "$where" ]; do where=${where%/*}; where=${where:-/}; done
if [ -d "$where" ] && [ -w "$where" ] && [ -x "$where" ]; then echo write yes
else echo "write $where"; fi
echo "room $(df -Pk -- "$where" | tail -n 1 | awk '{print $4}')"
for each in gzip rsync; do
  command -v "$each" >/dev/null 2>&1 && echo "has $each"
done
find . -maxdepth 0 -printf '' 2>/dev/null && echo has find-printf
printf './\0' | tar -cf - --no-recursion --hard-dereference --null -T - >/dev/null 2>&1 &&
  echo has tar-null
{ nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null ||
  ls /dev | sed -n 's/^nvidia\([0-9][0-9]*\)$/\1/p'; } | sed 's/^/gpu /'
found=$(sh -c 'echo python' 2>&1 </dev/null)
code=$?
echo "python $code $(printf %s "$found" | tail -n 1)"
