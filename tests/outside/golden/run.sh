#!/bin/sh
# Runs a pack of jobs: run.sh PACK
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
launchkit_here=$here launchkit_sweep=$sweep launchkit_pack=$1
export SET='it'"'"'s
a $(value)'
set +u
. /opt/conda/bin/activate env
for launchkit_python in '/first/py thon' python3.X python3 python; do
  if command -v "$launchkit_python" >/dev/null 2>&1; then
    exec "$launchkit_python" "$launchkit_here/bootstrap.py" "$launchkit_sweep" "$launchkit_pack"
  fi
done
echo 'launchkit: image '"'"'img'"'"' has no /first/py thon, python3.X, python3 or python' >&2
exit 88
