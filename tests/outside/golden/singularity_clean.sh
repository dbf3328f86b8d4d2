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
[ -z "${LAUNCHKIT_TAG+set}" ] || export APPTAINERENV_LAUNCHKIT_TAG="$LAUNCHKIT_TAG" SINGULARITYENV_LAUNCHKIT_TAG="$LAUNCHKIT_TAG"
[ -z "${OMP_NUM_THREADS+set}" ] || export APPTAINERENV_OMP_NUM_THREADS="$OMP_NUM_THREADS" SINGULARITYENV_OMP_NUM_THREADS="$OMP_NUM_THREADS"
[ -z "${OPENBLAS_NUM_THREADS+set}" ] || export APPTAINERENV_OPENBLAS_NUM_THREADS="$OPENBLAS_NUM_THREADS" SINGULARITYENV_OPENBLAS_NUM_THREADS="$OPENBLAS_NUM_THREADS"
[ -z "${MKL_NUM_THREADS+set}" ] || export APPTAINERENV_MKL_NUM_THREADS="$MKL_NUM_THREADS" SINGULARITYENV_MKL_NUM_THREADS="$MKL_NUM_THREADS"
[ -z "${NUMEXPR_NUM_THREADS+set}" ] || export APPTAINERENV_NUMEXPR_NUM_THREADS="$NUMEXPR_NUM_THREADS" SINGULARITYENV_NUMEXPR_NUM_THREADS="$NUMEXPR_NUM_THREADS"
[ -z "${NUMEXPR_MAX_THREADS+set}" ] || export APPTAINERENV_NUMEXPR_MAX_THREADS="$NUMEXPR_MAX_THREADS" SINGULARITYENV_NUMEXPR_MAX_THREADS="$NUMEXPR_MAX_THREADS"
[ -z "${VECLIB_MAXIMUM_THREADS+set}" ] || export APPTAINERENV_VECLIB_MAXIMUM_THREADS="$VECLIB_MAXIMUM_THREADS" SINGULARITYENV_VECLIB_MAXIMUM_THREADS="$VECLIB_MAXIMUM_THREADS"
[ -z "${BLIS_NUM_THREADS+set}" ] || export APPTAINERENV_BLIS_NUM_THREADS="$BLIS_NUM_THREADS" SINGULARITYENV_BLIS_NUM_THREADS="$BLIS_NUM_THREADS"
[ -z "${API_KEY+set}" ] || export APPTAINERENV_API_KEY="$API_KEY" SINGULARITYENV_API_KEY="$API_KEY"
[ -z "${CUDA_VISIBLE_DEVICES+set}" ] || export APPTAINERENV_CUDA_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES" SINGULARITYENV_CUDA_VISIBLE_DEVICES="$CUDA_VISIBLE_DEVICES"
[ -z "${PYTHONNOUSERSITE+set}" ] || export APPTAINERENV_PYTHONNOUSERSITE="$PYTHONNOUSERSITE" SINGULARITYENV_PYTHONNOUSERSITE="$PYTHONNOUSERSITE"
set -- "$@" --no-eval
[ "$real" = "$sweep" ] || { bind "$real" "$real"; set -- "$@" "$flag" "$spec"; }
bind "$real" "$sweep"; set -- "$@" "$flag" "$spec"
set -- "$@" --pwd /tmp --cleanenv --userns
image=/i.sif
cd /
exec "$program" --quiet --nocolor exec "$@" "$image" /bin/sh "$here/run.sh" "$pack"
