#!/bin/sh
# Runs a pack of jobs in a container: final_script.sh PACK
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
quoted() { printf '%s\n' "$1" | sed 's/"/""/g'; }
mkdir -p -- /home/me/results
mkdir -p "$here"/deps/local/code0/data
top=/home/me/project
case "$sweep" in "$top"/*) mkdir -p "$here"/deps/local/code0/"${sweep#"$top"/}" ;; esac
groups=$(for group in $(id -G); do printf " --group-add %s" "$group"; done)
exec docker run --name launchkit-20260101-abc-"$1" \
  --label "launchkit.tag=${LAUNCHKIT_TAG:-}" \
  --rm \
  --hostname "$(uname -n)" \
  --user "${LAUNCHKIT_CONTAINER_USER:-$(id -u):$(id -g)}" $groups \
  --env HOME=/tmp --env "USER=$(id -un)" \
  --env LAUNCHKIT_TAG \
  --env OMP_NUM_THREADS \
  --env OPENBLAS_NUM_THREADS \
  --env MKL_NUM_THREADS \
  --env NUMEXPR_NUM_THREADS \
  --env NUMEXPR_MAX_THREADS \
  --env VECLIB_MAXIMUM_THREADS \
  --env BLIS_NUM_THREADS \
  --env API_KEY \
  --mount "type=bind,\"source=$(quoted "$here"/deps/local/code0)\",\"target=$(quoted /home/me/project)\",readonly" \
  --mount "type=bind,\"source=$(quoted /data/sets)\",\"target=$(quoted /home/me/project/data)\",readonly" \
  --mount "type=bind,\"source=$(quoted /home/me/results)\",\"target=$(quoted /home/me/results)\"" \
  --mount "type=bind,\"source=$(quoted "$sweep")\",\"target=$(quoted "$sweep")\"" \
  --workdir /home/me/project \
  --network=none \
  --volume \
  '/a b:/c' \
  --entrypoint /bin/sh python:3.11-slim \
  -c 'umask "$1"; shift; exec /bin/sh "$@"' sh "$(umask)" "$here/run.sh" "$@"
