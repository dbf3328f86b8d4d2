#!/bin/sh
# Runs a pack of jobs in a container: final_script.sh PACK
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
pack=$1
real=$(cd -- "$sweep" && pwd -P)
program=$(command -v apptainer || command -v singularity) || { echo "launchkit: there is neither apptainer nor singularity on PATH on $(uname -n)" >&2; exit 85; }
: "${APPTAINER_TMPDIR:=${SINGULARITY_TMPDIR:-$here/tmp}}"
mkdir -p -- "$APPTAINER_TMPDIR"
export APPTAINER_TMPDIR SINGULARITY_TMPDIR="$APPTAINER_TMPDIR"
quoted() { printf '%s\n' "$1" | sed 's/"/""/g'; }
bind() {
  case "$1$2" in
    *[,:\"\\]*)
      flag=--mount
      spec="type=bind,\"source=$(quoted "$1")\",\"destination=$(quoted "$2")\"${3:+,$3}" ;;
    *) flag=--bind spec="$1:$2${3:+:$3}" ;;
  esac
}
set --
unset PYTHONHOME PYTHONPATH PYTHONPLATLIBDIR PYTHONEXECUTABLE
export PYTHONNOUSERSITE=1
[ "$(id -u)" != 0 ] || set -- "$@" --no-privs
[ -z "${CUDA_VISIBLE_DEVICES-all}" ] || set -- "$@" --nv
[ "$real" = "$sweep" ] || { bind "$real" "$real"; set -- "$@" "$flag" "$spec"; }
bind "$real" "$sweep"; set -- "$@" "$flag" "$spec"
set -- "$@" --pwd /tmp
image="$sweep/.launchkit/image.sif"
[ -e "$image" ] || image=docker://python:3.11
cd /
exec "$program" --quiet --nocolor exec "$@" "$image" /bin/sh "$here/run.sh" "$pack"
