#!/bin/sh
# Runs a pack of jobs in a container: final_script.sh PACK
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
sweep=$(CDPATH= cd -- "$here/../.." && pwd)
quoted() { printf '%s\n' "$1" | sed 's/"/""/g'; }
gpus=${CUDA_VISIBLE_DEVICES:+\"device=$CUDA_VISIBLE_DEVICES\"}
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
  --mount "type=bind,\"source=$(quoted "$sweep")\",\"target=$(quoted "$sweep")\"" \
  --workdir /tmp \
  ${gpus:+--gpus "$gpus"} \
  --entrypoint /bin/sh img \
  -c 'umask "$1"; shift; exec /bin/sh "$@"' sh "$(umask)" "$here/run.sh" "$@"
