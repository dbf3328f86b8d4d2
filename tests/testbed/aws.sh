#!/usr/bin/env bash
# A simulated AWS whose machines run their user-data for real. Usage: aws.sh up|down|check
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"
# shellcheck source-path=SCRIPTDIR source=clouds.sh
source "$here/clouds.sh"

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

up() {
  ! answers || return 0
  need_machines
  make_environment "$VENV" "${PACKAGES[@]}"
  mkdir -p "$DIR"
  # One that lives but does not answer keeps the port.
  stop_daemon "$PID" python
  start_daemon "$PID" "$LOG" "$VENV/bin/python" "$here/clouds/aws_daemon.py" "$STATE" "$PORT"
  wait_until 30 answers || give_up "the simulated AWS does not answer: see $LOG"
  say "started the simulated AWS on http://$ADDRESS:$PORT"
  check
}

down() {
  stop_daemon "$PID" python
}

run_verb "$@"
