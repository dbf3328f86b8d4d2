"""The script that each task of a Slurm array runs, as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from launchkit.job import JobState
from launchkit.outside.asks import ON_SIGNAL, UNFINISHED_CODE

FILE = "array.sh"
NOT_SHARED_CODE = 90
"""The exit code of a task that does not find the sweep's directory."""

SCRIPT = """\
#!/bin/sh
# A task of a Slurm array runs one pack of jobs: array.sh FIRST, the number of the first pack.
# The index of a task counts from 0, and so Slurm's limit of it holds for each array only.
set -u
@SWEEP@
pack=$(($1 + SLURM_ARRAY_TASK_ID))
carriers=$sweep/.launchkit/carriers
if [ ! -d "$carriers" ]; then
  echo "launchkit: $(uname -n) does not see $sweep; it must be on a disk that all nodes share" >&2
  exit @NOT_SHARED@
fi
mask=$(umask)
umask 077
exec >>"$carriers/$pack.log" 2>&1
umask "$mask"
@EXPORTS@

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
if [ -n "$timed" ] && { [ "$code" -eq @UNFINISHED@ ] || [ "$code" -gt 128 ]; }; then
  why=timeout
  (umask 077 && date >>"$carriers/$pack.requeues")
  if [ "$(wc -l <"$carriers/$pack.requeues")" -le @REQUEUES@ ] &&
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"; then
    while [ -z "$told" ]; do sleep 1; done
    exit "$code"
  fi
fi
(umask 077 && echo "$code $why" >"$carriers/$pack.new") &&
  mv -f "$carriers/$pack.new" "$carriers/$pack.exit"
exit "$code"
"""


def array_script(sweep: Path | None, variables: Mapping[str, str], max_requeues: int) -> str:
    """Return the script of a sweep's array.

    Parameters
    ----------
    sweep
        The sweep's directory; None for the directory that the task is started in.
    variables
        Environment variables of the jobs' hosts.
    max_requeues
        How often a task is put back into the queue at its time limit.
    """
    exported = {ON_SIGNAL: JobState.PREEMPTED.value, **variables}
    filled = {
        "@NOT_SHARED@": str(NOT_SHARED_CODE),
        "@EXPORTS@": "\n".join(
            f"export {name}={shlex.quote(value)}" for name, value in exported.items()
        ),
        "@UNFINISHED@": str(UNFINISHED_CODE),
        "@REQUEUES@": str(max_requeues),
        # Last, for a path may have anything in it.
        "@SWEEP@": "sweep=$(pwd)" if sweep is None else f"sweep={shlex.quote(str(sweep))}",
    }
    text = SCRIPT
    for name, value in filled.items():
        text = text.replace(name, value, 1)
    return text
