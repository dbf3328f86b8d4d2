"""What is done on a host that is reached by ssh: small scripts of ``sh``, as text.

A sweep has a directory of its own there. In it is a copy of the sweep's directory, under the
same name, so that jobs in it and beside it are where the sweep's files say they are.

The scripts need what every Linux has: a POSIX shell, GNU find and tar, gzip, setsid.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from launchkit.doodad import archive
from launchkit.outside.containers import LABEL
from launchkit.outside.scripts import UNPACKED
from launchkit.sweep import TAG

NOT_THERE_CODE = 97
"""The exit code of a script where the sweep's directory is not there, or not any more."""

INCOMING = ".incoming"
"""Where files are below the sweep's directory there until they are whole."""

KILL_ROUNDS = 50
START_ROUNDS = 200

ALIVE = """\
alive() { # PID START BOOT: whether this very process runs
  [ "$(cat /proc/sys/kernel/random/boot_id)" = "$3" ] || return 1
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- "$2" ${stat##*) }
  [ "$1" = "${21}" ] && [ "$2" != Z ]
}
"""

END_OTHERS = """\
end_others() { # PID: kills the others in the session that it leads; whether there were any
  others=
  for each in /proc/[0-9]*/stat; do
    { read -r line <"$each"; } 2>/dev/null || continue
    each=${each#/proc/} each=${each%%/*}
    set -- "$1" ${line##*) }
    [ "$5" != "$1" ] || [ "$each" = "$1" ] || [ "$2" = Z ] || {
      others=1
      kill -9 "$each" 2>/dev/null
    }
  done
  [ -n "$others" ]
}
"""

END_TAGGED = f"""\
end_tagged() {{ # kills the processes of the sweep; whether there were any
  found=
  for each in $(grep -lsF -e "{TAG}=$tag" /proc/[0-9]*/environ /proc/[0-9]*/maps); do
    each=${{each#/proc/}} each=${{each%%/*}}
    stat=$(cat "/proc/$each/stat" 2>/dev/null) || continue
    case "${{stat##*) }}" in [ZX]*) continue ;; esac
    found=1
    kill -9 "$each" 2>/dev/null
  done
  [ -n "$found" ]
}}
"""

UNTIL_NONE = f"""\
until_none() {{ # COMMAND...: runs it until it finds nothing; fails if it always does
  round=0
  while [ $round -lt {KILL_ROUNDS} ]; do
    "$@" || return 0
    round=$((round + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  return 1
}}
"""

HOST = (
    END_OTHERS
    + """\
stat=$(cat "/proc/$$/stat")
pid=$$ pack=$1
set -- ${stat##*) }
echo "$pid ${20} $(cat /proc/sys/kernel/random/boot_id)" >"remote/$pack.new"
mv -f "remote/$pack.new" "remote/$pack.pid"
sh "./$0/final_script.sh" "$pack" >"carriers/$pack.log" 2>&1
echo $? >"remote/$pack.new"
end_others "$pid"
mv -f "remote/$pack.new" "remote/$pack.code"
"""
)
"""Runs a pack, and keeps its exit code; it leads a session that no connection's end disturbs.

A container that was killed leaves the program there that has mounted its image.
"""


@dataclass(frozen=True)
class Remote:
    """The directory of a sweep on a host.

    Parameters
    ----------
    base
        Where it is; if it is not absolute, below the home directory.
    name
        The name of the copy of the sweep's own directory in it.
    """

    base: str
    name: str

    @property
    def own(self) -> str:
        """Where the sweep's own files are, below the base."""
        return f"./{self.name}/.launchkit"

    def _begin(self, *, plain: bool = True) -> str:
        # What is read from programs is to be as they say it in no language; jobs have their own.
        return (
            f"{'export LC_ALL=C' if plain else ''}\n".lstrip("\n")
            + f"cd && cd -- {shlex.quote(self.base)} 2>/dev/null || exit {NOT_THERE_CODE}\n"
            f"own={shlex.quote(self.own)}\n"
        )

    def make(self) -> str:
        """Make the directory, empty but for what the other scripts need, for its owner only."""
        base = shlex.quote(self.base)
        return (
            f"set -eu\ncd\n{_remove(self.base)}"
            f"mkdir -p -- {base}\nchmod 700 -- {base}\ncd -- {base}\n"
            f"mkdir -p -- {INCOMING} {shlex.quote(self.own)}\n"
            f"cd -- {shlex.quote(self.own)}\nmkdir -p remote carriers asks\n"
        )

    def receive(self, wiped: Iterable[str] = ()) -> str:
        """Unpack a tar archive from standard input; a file has its name once it is whole.

        Parameters
        ----------
        wiped
            Directories to remove first, below the base.
        """
        return (
            f"{self._begin()}set -e\n"
            + "".join(f"rm -rf -- {shlex.quote(f'./{name}')}\n" for name in wiped)
            + f'new=$(mktemp -d "$PWD/{INCOMING}/XXXXXX")\n'
            "trap 'rm -rf -- \"$new\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n"
            'tar -xpf - -C "$new"\n'
            'base=$PWD\ncd -- "$new"\n'
            "find . -mindepth 1 -type d -exec sh -c '"
            'for each; do mkdir -p -- "$0/$each" || exit; done\' "$base" {} +\n'
            "find . ! -type d -exec sh -c '"
            'for each; do mv -f -- "$each" "$0/$each" || exit; done\' "$base" {} +\n'
        )

    def wipe(self, names: Iterable[str]) -> str:
        """Remove directories below the base."""
        return self._begin() + "".join(f"rm -rf -- {shlex.quote(f'./{name}')}\n" for name in names)

    def unpack(self, archive_name: str) -> str:
        """Unpack the archive of the sweep, if it is not."""
        command = shlex.join(archive.unpack_command(f"./{archive_name}", "./unpacking"))
        return (
            f'{self._begin()}cd -- "$own" || exit\n'
            f"[ -d {UNPACKED} ] && exit 0\n"
            "rm -rf unpacking\n"
            f"{command} </dev/null >/dev/null &&\n"
            # What jobs wrote there would be lost: it is to fail instead.
            "  if [ -d unpacking/deps ]; then chmod -R a-w unpacking/deps; fi &&\n"
            f"  mv unpacking {UNPACKED} || {{\n"
            '    echo "the archive cannot be unpacked; free there, in kB:"'
            " $(df -Pk . | tail -n 1 | awk '{print $4}') >&2\n"
            "    exit 1\n  }\n"
        )

    def start(self, pack: int, sweep_id: str) -> str:
        """Start the host of a pack, unless that has been done."""
        return (
            f'{self._begin(plain=False)}cd -- "$own" || exit\n'
            f"if mkdir remote/{pack}.begun 2>/dev/null; then\n"
            f'{_tag(sweep_id, ".")}export {TAG}="$tag"\n'
            f"setsid sh -c {shlex.quote(HOST)} {UNPACKED} {pack} </dev/null >/dev/null 2>&1 &\n"
            "fi\n"
            f"round=0\nwhile [ $round -lt {START_ROUNDS} ]; do\n"
            f"  [ -e remote/{pack}.pid ] && exit 0\n"
            "  round=$((round + 1))\n"
            "  sleep 0.05 2>/dev/null || sleep 1\n"
            "done\n"
            'echo "the host of the jobs does not start" >&2\nexit 1\n'
        )

    def look(self, packs: Mapping[int, int]) -> str:
        """Say how things stand: the hosts, what they told, and each file; compressed.

        Parameters
        ----------
        packs
            How many bytes of what the host of a pack tells are known, by the pack's number.
        """
        lines = [self._begin(), ALIVE]
        lines.append(f'look=$(mktemp -d "$PWD/{INCOMING}/XXXXXX") || exit\n')
        lines.append("trap 'rm -rf -- \"$look\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n")
        lines.append('{\necho "now $(date +%s)"\n')
        lines += [_pack(num, known) for num, known in packs.items()]
        lines.append(
            "echo files\n"
            + _find(". -mindepth 1", f"-path ./{INCOMING} -o -path {_pattern(self.own)}")
            + _find('"$own/carriers" "$own/asks"', "", _SAID)
            + "printf 'end\\0'\n"
            "} | gzip -1\n"
        )
        return "".join(lines)

    def send(self) -> str:
        """Pack the files whose names are on standard input, each with a NUL after it."""
        return (
            f'{self._begin()}names=$(mktemp "$PWD/{INCOMING}/XXXXXX") || exit\n'
            "trap 'rm -f -- \"$names\"' EXIT\ntrap 'exit 1' HUP INT TERM PIPE\n"
            'cat >"$names"\n'
            "tar -cf - --no-recursion --hard-dereference --ignore-failed-read --null"
            ' -T "$names" 2>/dev/null\n'
            # What has vanished or grown meanwhile is seen at the next look.
            "exit 0\n"
        )

    def kill(self, sweep_id: str, *, containers: bool = False) -> str:
        """End all processes of the sweep, and its containers, and see them gone."""
        remove = (
            f'left=$(docker ps --all --quiet --filter "label={LABEL}=$tag") &&\n'
            '  [ -z "$left" ] || docker rm --force $left >/dev/null || exit\n'
        )
        return (
            f'{self._begin()}cd -- "$own" || exit {NOT_THERE_CODE}\n'
            f"{ALIVE}{END_OTHERS}{END_TAGGED}{UNTIL_NONE}{_tag(sweep_id, '.')}"
            "for file in remote/*.pid; do\n"
            '  read -r pid start boot <"$file" 2>/dev/null || continue\n'
            '  alive "$pid" "$start" "$boot" || continue\n'
            # Its id stands for its session only as long as it is there.
            '  kill -STOP "$pid"\n  until_none end_others "$pid"\n  kill -9 "$pid"\n'
            "done\n"
            f"{remove if containers else ''}"
            "until_none end_tagged && exit 0\n"
            'echo "processes of the sweep do not end" >&2\nexit 1\n'
        )

    def remove(self) -> str:
        """Remove the directory."""
        return f"cd || exit\n{_remove(self.base)}"


_FACTS = "%y %i %s %T@ %C@ %m %p\\0"
_SAID = "-type f \\( -name '*.log' -o -name '*.refused' \\) "


def _find(where: str, pruned: str, wanted: str = "\\( -type f -o -type d -o -type l \\) ") -> str:
    without = f"\\( {pruned} \\) -prune -o " if pruned else ""
    return f"find {where} {without}{wanted}-printf '{_FACTS}' 2>/dev/null\n"


def _pattern(path: str) -> str:
    """Return a pattern for ``find -path`` that only this path matches, quoted."""
    return shlex.quote("".join(f"\\{each}" if each in "*?[]\\" else each for each in path))


def _pack(num: int, known: int) -> str:
    return (
        f'said="$own/asks/{num}.ended"\n'
        f'if read -r pid start boot 2>/dev/null <"$own/remote/{num}.pid" &&\n'
        '  alive "$pid" "$start" "$boot"; then\n'
        f'  how=alive\n  : >"$own/asks/{num}.lease"\n'
        f'elif [ -e "$own/remote/{num}.code" ]; then how=$(cat "$own/remote/{num}.code")\n'
        "else how=gone; fi\n"
        f': >"$look/said"\n[ ! -e "$said" ] || tail -c +{known + 1} "$said" >"$look/said"\n'
        f'echo "pack {num} $how $(wc -c <"$look/said")"\n'
        'cat "$look/said"\n'
    )


def _remove(path: str) -> str:
    """Return lines that remove a directory, the copies of code in it that nobody may write to."""
    where = shlex.quote(path)
    return f"[ ! -d {where} ] || chmod -R u+w -- {where} 2>/dev/null || :\nrm -rf -- {where}\n"


def _tag(sweep_id: str, own: str) -> str:
    """Return lines that set `tag` to what `Sweep.tag` is there."""
    return (
        f"set -- $(stat -c '%d %i' {own})\n"
        f'tag=$(printf \'%s.%x.%x\' {shlex.quote(sweep_id)} "$1" "$2")\n'
    )


def probe(directory: str, python: str, programs: Sequence[str]) -> str:
    """Return the script that says what there is on a host, and leaves nothing there.

    It prints a line ``key value`` each: ``room`` in kB and ``write`` for the directory, or the
    one it would be made in, ``has`` for each program that is there, ``gpu`` for each GPU, and
    ``python`` with what `python`, a script, prints.

    Parameters
    ----------
    directory
        The directory that sweeps are in there.
    python
        The script that looks for Python, or an image; empty to look for none.
    programs
        Programs to look for.
    """
    return (
        "export LC_ALL=C\ncd || exit 1\n"
        f"where={shlex.quote(directory)}\n"
        'case "$where" in /*) ;; *) where=$PWD/$where ;; esac\n'
        'while [ ! -e "$where" ]; do where=${where%/*}; where=${where:-/}; done\n'
        'if [ -d "$where" ] && [ -w "$where" ] && [ -x "$where" ]; then echo write yes\n'
        'else echo "write $where"; fi\n'
        'echo "room $(df -Pk -- "$where" | tail -n 1 | awk \'{print $4}\')"\n'
        f"for each in {shlex.join(programs)}; do\n"
        '  command -v "$each" >/dev/null 2>&1 && echo "has $each"\n'
        "done\n"
        "find . -maxdepth 0 -printf '' 2>/dev/null && echo has find-printf\n"
        "printf './\\0' | tar -cf - --no-recursion --hard-dereference --null -T - >/dev/null 2>&1"
        " &&\n  echo has tar-null\n"
        "{ nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null ||\n"
        "  ls /dev | sed -n 's/^nvidia\\([0-9][0-9]*\\)$/\\1/p'; } | sed 's/^/gpu /'\n"
        + (
            f"found=$(sh -c {shlex.quote(python)} 2>&1 </dev/null)\n"
            'code=$?\necho "python $code $(printf %s "$found" | tail -n 1)"\n'
            if python
            else ""
        )
    )
