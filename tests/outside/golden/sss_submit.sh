#!/bin/sh
# Submits the jobs of this sweep to Slurm, from wherever this folder is: sh launchkit_sss.sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
cd -- "$here"
if [ -e .launchkit/submitted ]; then
  echo "launchkit: these jobs were submitted before, see $here/.launchkit/submitted" >&2
  echo "If they have ended, and some have not completed: rm it, and run this again." >&2
  exit 1
fi
if ! command -v sbatch >/dev/null 2>&1; then
  echo "launchkit: there is no sbatch here; run this where jobs can be submitted to Slurm" >&2
  exit 127
fi
if [ ! -d .launchkit/unpacked ]; then
  rm -rf .launchkit/unpacked.partial
  sh .launchkit/archive.dar --quiet --nox11 --nodiskspace --noexec --target .launchkit/unpacked.partial
  mv .launchkit/unpacked.partial .launchkit/unpacked
fi
mkdir -p -m 700 .launchkit/carriers
submit() {
  id=$(sbatch --parsable --chdir="$here" "$@")
  echo "$id" >>.launchkit/submitted
  echo "submitted array $id"
}
submit --job-name=launchkit-x '--account=my lab' --array=0-999%2 .launchkit/array.sh 0
submit --job-name=launchkit-x --array=0-9%2 .launchkit/array.sh 1000
