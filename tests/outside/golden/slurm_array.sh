#!/bin/sh
# A task of a Slurm array runs one pack of jobs: array.sh FIRST, the number of the first pack.
# The index of a task counts from 0, and so Slurm's limit of it holds for each array only.
set -u
sweep='/data/it'"'"'s a sweep/@EXPORTS@ $(1)'
pack=$(($1 + SLURM_ARRAY_TASK_ID))
carriers=$sweep/.launchkit/carriers
if [ ! -d "$carriers" ]; then
  echo "launchkit: $(uname -n) does not see $sweep; it must be on a disk that all nodes share" >&2
  exit 90
fi
mask=$(umask)
umask 077
exec >>"$carriers/$pack.log" 2>&1
umask "$mask"
export LAUNCHKIT_ON_SIGNAL=preempted
export LAUNCHKIT_TAG=20261122-a.1.2

# Slurm sends TERM to all processes of a task that it takes the machine from, this one too, which
# waits for the others; and USR1, to this one alone, a while before the time limit.
told= timed= host=
trap 'told=1' TERM
trap 'timed=1; [ -z "$host" ] || kill -TERM "$host"' USR1
"$sweep/.launchkit/unpacked/final_script.sh" "$pack" &
host=$!
code=0
wait "$host" || code=$?
while [ "$code" -gt 128 ] && kill -0 "$host" 2>/dev/null; do
  code=0
  wait "$host" || code=$?
done

# Whether a task that was told to end comes back, Slurm knows.
[ -z "$told" ] || exit "$code"
why=ended
if [ -n "$timed" ] && { [ "$code" -eq 75 ] || [ "$code" -gt 128 ]; }; then
  why=timeout
  (umask 077 && date >>"$carriers/$pack.requeues")
  if [ "$(wc -l <"$carriers/$pack.requeues")" -le 10 ] &&
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; then
    while [ -z "$told" ]; do sleep 1; done
    exit "$code"
  fi
fi
(umask 077 && echo "$code $why" >"$carriers/$pack.new") &&
  mv -f "$carriers/$pack.new" "$carriers/$pack.exit"
exit "$code"
