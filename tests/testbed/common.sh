# shellcheck shell=bash
# What the component scripts share. Sourced by them, never run by itself.
set -euo pipefail

# The components are the machine's, and unprivileged accounts must reach them too: root keeps
# them outside its home. testbed.py knows the same rule.
default_state() {
  if [ "$(id -u)" -eq 0 ]; then
    echo /var/cache/launchkit-testbed
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/launchkit-testbed"
  fi
}

STATE=$(realpath --canonicalize-missing "${LAUNCHKIT_TESTBED:-$(default_state)}")
readonly STATE
readonly INSTALL_LOG=$STATE/install.log
readonly TEST_USER=launchkit-test
export DEBIAN_FRONTEND=noninteractive
# Where daemons live: an unprivileged shell does not look there.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022

say() {
  echo "  $*"
}

# give_up REASON: its last line is what `up` shows.
give_up() {
  echo "$*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" -eq 0 ] || give_up "$1 needs root: run this as root"
}

# logged SECONDS COMMAND...: with a time limit and nothing to read; its output goes to a log.
logged() {
  local limit=$1
  shift
  timeout --kill-after=10 "$limit" "$@" </dev/null >>"$INSTALL_LOG" 2>&1
}

# install_packages PROGRAM PACKAGE...: install the packages unless the program is there.
install_packages() {
  local program=$1
  shift
  ! command -v "$program" >/dev/null || return 0
  need_root "$program is not installed, and installing it"
  need_apt "$program"
  say "installing $*"
  refresh_apt
  logged 600 apt-get install --yes --quiet --no-install-recommends "$@" ||
    give_up "apt-get install $* failed: see $INSTALL_LOG"
}

need_apt() {
  command -v apt-get >/dev/null ||
    give_up "$1 is not here, and there is no apt-get to get it: install it by hand"
}

# Lists that are missing or old name packages that the mirror no longer has. Once a run is enough.
refresh_apt() {
  [ -z "${apt_is_fresh:-}" ] || return 0
  logged 180 apt-get update --quiet || give_up "apt-get update failed: see $INSTALL_LOG"
  apt_is_fresh=yes
}

# unpack_package PACKAGE DIRECTORY: the files of a Debian package, without installing it.
unpack_package() {
  need_apt "$1"
  refresh_apt
  rm -rf "$2"
  mkdir -p "$2.deb"
  (cd "$2.deb" && logged 180 apt-get download -o APT::Sandbox::User=root "$1") ||
    give_up "apt-get download $1 failed: see $INSTALL_LOG"
  dpkg-deb --extract "$2.deb"/*.deb "$2"
  rm -rf "$2.deb"
}

# wait_until SECONDS COMMAND...: until it succeeds; fails when the time is over.
wait_until() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# listening PORT: whether something on this machine does.
listening() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# start_daemon PID_FILE LOG COMMAND...: detached from this shell, its terminal and its files; from
# its directories, which may be gone soon; and from signals it ignores, which jobs would inherit.
start_daemon() {
  local pid_file=$1 log=$2
  shift 2
  rm -f "$pid_file"
  (
    cd /
    unset TMPDIR
    close_inherited
    # The number is written by the process that becomes the daemon: nothing has to be guessed.
    # shellcheck disable=SC2016  # the inner shell fills it in
    exec env --default-signal setsid --fork bash -c 'echo "$$" >"$0"; exec "$@"' "$pid_file" "$@" \
      </dev/null >>"$log" 2>&1
  )
  wait_until 10 has_become_daemon "$pid_file" || give_up "$1 did not start: see $log"
}

has_become_daemon() {
  local pid
  pid=$(cat "$1") && [ -n "$pid" ] || return 1
  case $(cat "/proc/$pid/comm" || echo gone) in
    bash | setpriv) return 1 ;;
  esac
}

# Who runs `up` may wait for the end of a pipe or a lock that a daemon would keep open.
close_inherited() {
  local entry
  for entry in "/proc/$BASHPID/fd/"*; do
    entry=${entry##*/}
    [ "$entry" -le 2 ] || eval "exec $entry>&-"
  done
}

# alive PID_FILE PROGRAM: whether the file names a running process of that program. A zombie is
# none, nor is a stranger that was given the number after a reboot.
alive() {
  local pid status
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
  status=$(head -n 3 "/proc/$pid/status" 2>/dev/null) || return 1
  [[ $status == "Name:	$2"$'\n'* && $status != *$'\nState:\t'[ZX]* ]]
}

gone() {
  ! alive "$1" "$2"
}

# stop_daemon PID_FILE PROGRAM: end it if it is ours; kill it if it does not end in 20 s.
stop_daemon() {
  local pid
  if alive "$1" "$2"; then
    pid=$(cat "$1")
    kill "$pid" 2>/dev/null || true
    wait_until 20 gone "$1" "$2" || kill -KILL "$pid" 2>/dev/null || true
    say "stopped $2"
  fi
  rm -f "$1"
}

# An account without any right, for what must not need root.
make_test_user() {
  ! id "$TEST_USER" >/dev/null 2>&1 || return 0
  need_root "making the account $TEST_USER"
  # A locked password ("!") would lock out ssh keys as well.
  useradd --create-home --shell /bin/bash --password '*' "$TEST_USER"
  say "made the account $TEST_USER"
}

# run_verb VERB: the only words that a component script takes. A check writes nothing.
run_verb() {
  case ${1:-} in
    check) ;;
    up | down) wait_for_turn ;;
    *) give_up "usage: $0 up|down|check" ;;
  esac
  "$1"
}

# Two at once would make the same files. The lock goes with this process.
wait_for_turn() {
  { mkdir -p "$STATE" && exec {turn}>"$STATE/lock"; } 2>/dev/null ||
    give_up "$STATE cannot be written: set LAUNCHKIT_TESTBED to a directory that can"
  flock --timeout 1200 "$turn" || give_up "another run of the testbed does not end: see $STATE/lock"
}
