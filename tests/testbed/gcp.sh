#!/usr/bin/env bash
# A simulated Google Cloud whose machines run their start-up scripts for real.
# Usage: gcp.sh up|down|check
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"
# shellcheck source-path=SCRIPTDIR source=clouds.sh
source "$here/clouds.sh"

readonly DIR=$STATE/clouds/gcp VENV=$STATE/clouds/venv-gcp
readonly PID=$DIR/daemon.pid LOG=$DIR/log
# testbed.py knows them too.
readonly ADDRESS=10.213.0.1 PORT=24571
readonly -a PACKAGES=("gsutil>=5.27,<6" "google-api-python-client>=2.150,<3" "google-crc32c>=1.5,<2")

answers() {
  local reply
  exec 3<>"/dev/tcp/$ADDRESS/$PORT" || return 1
  printf 'GET /_testbed/health HTTP/1.0\r\n\r\n' >&3
  reply=$(timeout 5 cat <&3)
  exec 3>&-
  [[ $reply == *'"ready"'* ]]
} 2>/dev/null

check() {
  answers || give_up "nothing answers on $ADDRESS:$PORT"
}

up() {
  ! answers || return 0
  need_machines
  make_environment "$VENV" "${PACKAGES[@]}"
  mkdir -p "$DIR"
  stop_daemon "$PID" python
  start_daemon "$PID" "$LOG" "$VENV/bin/python" "$here/clouds/gcp_daemon.py" "$DIR" "$PORT"
  wait_until 30 answers || give_up "the simulated Google Cloud does not answer: see $LOG"
  say "started the simulated Google Cloud on http://$ADDRESS:$PORT"
}

down() {
  stop_daemon "$PID" python
}

run_verb "$@"
