#!/bin/sh
# Runs a pack of jobs on this machine: final_script.sh PACK
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
exec "$here/run.sh" "$@"
