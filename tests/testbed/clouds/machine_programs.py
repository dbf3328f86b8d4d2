"""The programs of a simulated machine that cannot be this machine's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

TOLD = "/run/simulated-machine"
"""Where a machine and its runner write what the other has to know."""

_SHUTDOWN = """\
#!/bin/sh
# shutdown [-P|-h|-H|-r|-k] [now|+MINUTES|-c]
when=+1
for word in "$@"; do
  case $word in
    -c) rm -f {told}/shutdown; exit 0 ;;
    now) when=+0 ;;
    +[0-9]*) when=$word ;;
    -r | --reboot) echo "a simulated machine cannot reboot" >&2; exit 1 ;;
    -*) ;;
    [0-9]*:[0-9]*) echo "a simulated machine knows no time of day" >&2; exit 1 ;;
  esac
done
echo "$(date +%s.%N) ${{when#+}}" | awk '{{ printf "%.3f\\n", $1 + $2 * {minute} }}' \\
  >{told}/shutdown.new
mv {told}/shutdown.new {told}/shutdown
[ "$when" = +0 ] || echo "Shutdown scheduled, use 'shutdown -c' to cancel." >&2
"""

_POWEROFF = """\
#!/bin/sh
exec shutdown -P now
"""

_SYSTEMCTL = """\
#!/bin/sh
verb='' unit='' quiet=''
for word in "$@"; do
  case $word in
    -q | --quiet) quiet=yes ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else unit=${word%.service}; fi ;;
  esac
done
say() { [ -n "$quiet" ] || echo "$1"; }
case $verb in
  poweroff | halt) exec shutdown -P now ;;
  is-system-running) say running; exit 0 ;;
  daemon-reload | list-units | status | '') [ -n "$unit" ] || exit 0 ;;
esac
if [ "$unit" != docker ] || ! command -v docker >/dev/null; then
  echo "Failed to $verb $unit.service: Unit $unit.service not found." >&2
  [ "$verb" = is-active ] && exit 3
  exit 5
fi
case $verb in
  is-active)
    if docker version >/dev/null 2>&1; then say active; exit 0; fi
    say inactive
    exit 3
    ;;
  stop | disable) exit 0 ;;
  *) docker version >/dev/null ;;
esac
"""

_SERVICE = """\
#!/bin/sh
exec systemctl "$2" "$1"
"""

# Swap space would be this machine's; a file of its size would be in memory.
_NOTHING = """\
#!/bin/sh
echo "$(basename "$0") $*" >>{told}/swap
"""

_FALLOCATE = """\
#!/bin/sh
for path in "$@"; do :; done
[ -e "$path" ] || : >"$path"
"""

# What it may install is there already, under another name.
_PACKAGES = """\
#!/bin/sh
name=$(basename "$0")
installing='' code=0
for word in "$@"; do
  case $word in
    -*) continue ;;
    install | reinstall) installing=yes; continue ;;
    update | upgrade | makecache | clean | check-update)
      [ -n "$installing" ] && continue
      [ -n "$(ls {told}/install 2>/dev/null)" ] && exit 0
      echo "$name: no repository can be reached" >&2
      exit 1
      ;;
  esac
  [ -n "$installing" ] || continue
  case $word in
    docker* | moby*) program=docker ;;
    aws*) program=aws ;;
    python3*) program=python3 ;;
    google-cloud*) program=gsutil ;;
    *) program=$word ;;
  esac
  if [ -e {told}/install/"$program" ]; then
    cp -P {told}/install/"$program"* /usr/local/bin/
  elif ! command -v "$program" >/dev/null; then
    echo "$name: no match for argument: $word; no repository can be reached" >&2
    code=1
  fi
done
[ -n "$installing" ] || {{ echo "$name: not on a simulated machine" >&2; exit 1; }}
exit $code
"""


def all_of(programs: Mapping[str, Path | str], minute_s: float) -> dict[str, dict[str, str]]:
    """Return what is put over a machine's own programs: the text or the target, by name."""
    texts = {
        "shutdown": _SHUTDOWN.format(told=TOLD, minute=minute_s),
        **dict.fromkeys(("poweroff", "halt"), _POWEROFF),
        "systemctl": _SYSTEMCTL,
        "service": _SERVICE,
        **dict.fromkeys(("swapon", "swapoff", "mkswap"), _NOTHING.format(told=TOLD)),
        "fallocate": _FALLOCATE,
        **dict.fromkeys(("dnf", "yum", "microdnf", "apt", "apt-get"), _PACKAGES.format(told=TOLD)),
    }
    made = {name: {"text": text} for name, text in texts.items()}
    for name, value in programs.items():
        made[name] = {"link": str(value)} if isinstance(value, Path) else {"text": value}
    return made
