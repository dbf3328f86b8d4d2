#!/usr/bin/env bash
# An sshd on a loopback port, and a client configuration. Usage: ssh.sh up|down|check
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"

readonly DIR=$STATE/ssh
readonly PID=$DIR/pid LOG=$DIR/log CONFIG=$DIR/ssh_config PORT_FILE=$DIR/port
readonly FIRST_PORT=2222 LAST_PORT=2322

check() {
  local alias said
  command -v ssh >/dev/null || give_up "ssh is not installed"
  [ -r "$CONFIG" ] || give_up "there is no $CONFIG"
  for alias in launchkit-testbed launchkit-testbed-root; do
    said=$(timeout 10 ssh -F "$CONFIG" -o BatchMode=yes "$alias" true 2>&1 </dev/null) ||
      give_up "ssh -F $CONFIG $alias does not get in: ${said##*$'\n'}"
  done
}

make_keys() {
  local key
  for key in host_key client_key; do
    [ -s "$DIR/$key" ] || ssh-keygen -q -t ed25519 -N '' -C "launchkit testbed" -f "$DIR/$key"
  done
  cp "$DIR/client_key.pub" "$DIR/authorized_keys"
  # ssh uses no private key of another's: who called sudo runs the tests.
  chown "${SUDO_UID:-0}" "$DIR/client_key"
}

write_server_config() {
  cat >"$DIR/sshd_config" <<END
ListenAddress 127.0.0.1:$1
HostKey $DIR/host_key
AuthorizedKeysFile $DIR/authorized_keys
AllowUsers root $TEST_USER
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PidFile none
LogLevel VERBOSE
# Tests open many connections at once, all from one address.
MaxStartups 200
MaxSessions 200
Subsystem sftp internal-sftp
END
}

# The hosts are one sshd; what differs is the account, the way, or what the client knows of it.
write_client_config() {
  echo "launchkit-testbed $(cut -d ' ' -f 1,2 "$DIR/host_key.pub")" >"$DIR/known_hosts"
  cat >"$CONFIG" <<END
# An unprivileged account.
Host launchkit-testbed
  User $TEST_USER

Host launchkit-testbed-root
  User root

Host launchkit-testbed-jump
  User $TEST_USER
  ProxyJump launchkit-testbed

# Its host key is not known.
Host launchkit-testbed-unknown
  User $TEST_USER
  UserKnownHostsFile /dev/null
  HostKeyAlias launchkit-testbed-unknown

# It lets this account not in.
Host launchkit-testbed-denied
  User nobody

# Nothing listens there.
Host launchkit-testbed-closed
  User $TEST_USER
  Port 1

Host launchkit-testbed*
  HostName 127.0.0.1
  Port $1
  IdentityFile $DIR/client_key
  IdentitiesOnly yes
  IdentityAgent none
  HostKeyAlias launchkit-testbed
  UserKnownHostsFile $DIR/known_hosts
  GlobalKnownHostsFile /dev/null
END
}

# The port of the last time, if it is free, so that addresses stay the same.
free_port() {
  local port
  for port in $(cat "$PORT_FILE" 2>/dev/null) $(seq "$FIRST_PORT" "$LAST_PORT"); do
    listening "$port" || { echo "$port"; return; }
  done
  give_up "all ports from $FIRST_PORT to $LAST_PORT are taken"
}

up() {
  install_packages ssh openssh-client
  install_packages rsync rsync
  if alive "$PID" sshd; then
    check
    return
  fi
  need_root "starting sshd"
  install_packages sshd openssh-server
  make_test_user
  mkdir -p "$DIR" /run/sshd
  make_keys
  local port
  port=$(free_port)
  echo "$port" >"$PORT_FILE"
  write_server_config "$port"
  write_client_config "$port"
  start_daemon "$PID" "$LOG" "$(command -v sshd)" -D -e -f "$DIR/sshd_config"
  wait_until 10 listening "$port" || give_up "sshd does not listen: see $LOG"
  say "started sshd on 127.0.0.1:$port; the client's configuration is $CONFIG"
  check
}

down() {
  stop_daemon "$PID" sshd
}

run_verb "$@"
