#!/usr/bin/env bash
# A simulated AWS whose machines run their user-data for real. Usage: aws.sh up|down|check
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"

readonly DIR=$STATE/clouds/aws VENV=$STATE/clouds/venv-aws
readonly PID=$DIR/daemon.pid LOG=$DIR/log
# testbed.py knows them too.
readonly ADDRESS=10.213.0.1 PORT=24570
readonly -a PACKAGES=("moto[server]>=5.1,<6" "awscli>=1.40,<2")

answers() {
  [ -n "$(ask)" ]
}

# ask: print what the daemon says of itself, one line.
ask() {
  local reply
  exec 3<>"/dev/tcp/$ADDRESS/$PORT" || return 1
  printf 'GET /_testbed/ HTTP/1.0\r\n\r\n' >&3
  reply=$(timeout 5 cat <&3)
  exec 3>&-
  [[ $reply == *'"endpoint"'* ]] && echo "${reply##*$'\n'}"
} 2>/dev/null

check() {
  answers || give_up "nothing answers on $ADDRESS:$PORT"
}

# A Python of 3.10 or newer that can make environments.
python() {
  local candidate
  for candidate in python3 /usr/bin/python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-3]*/bin/python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  give_up "there is no Python 3.10 or newer with venv"
}

# Copies, not links, of the interpreter: a machine without python3 still has aws.
make_environment() {
  [ ! -f "$VENV/ready" ] || "$VENV/bin/python" -c '' 2>/dev/null || rm -f "$VENV/ready"
  [ ! -f "$VENV/ready" ] || return 0
  local python
  python=$(python)
  say "installing moto and awscli"
  rm -rf "$VENV"
  mkdir -p "$(dirname "$VENV")"
  logged 120 "$python" -m venv --copies "$VENV" || give_up "no environment: see $INSTALL_LOG"
  logged 900 "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    "${PACKAGES[@]}" || give_up "pip install moto awscli failed: see $INSTALL_LOG"
  touch "$VENV/ready"
}

up() {
  ! answers || return 0
  need_root "a simulated machine"
  install_packages ip iproute2
  install_packages unshare util-linux
  install_packages mount mount
  install_packages curl curl
  make_environment
  mkdir -p "$DIR"
  ! gone "$PID" python || rm -f "$PID"
  start_daemon "$PID" "$LOG" "$VENV/bin/python" "$here/clouds/aws_daemon.py" "$STATE" "$PORT"
  wait_until 30 answers || give_up "the simulated AWS does not answer: see $LOG"
  say "started the simulated AWS on http://$ADDRESS:$PORT"
  check
}

down() {
  stop_daemon "$PID" python
}

run_verb "$@"
