#!/usr/bin/env bash
# A Slurm of one node, without accounting. Usage: slurm.sh up|down|check
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"

readonly DIR=$STATE/slurm CONFIG=/etc/slurm/slurm.conf
readonly MARK='# written by tests/testbed/slurm.sh'
readonly PORT=6817
readonly MUNGE_RUN=/run/munge MUNGE_KEY=/etc/munge/munge.key

# A node is usable when it runs jobs or could.
has_node() {
  local states
  states=$(timeout 5 sinfo --noheader --format %T 2>/dev/null) || return 1
  # A star behind it would say that the node does not respond.
  [[ $states =~ ^(idle|mixed|allocated|completing)($|[[:space:]]) ]]
}

check() {
  command -v sinfo >/dev/null || give_up "Slurm is not installed"
  ! is_down || give_up "slurmctld does not run"
  has_node || give_up "no node is usable: sinfo says $(timeout 5 sinfo 2>&1 | tail -n 1)"
  [ -n "$(timeout 5 sinfo --noheader --partition high 2>/dev/null)" ] ||
    give_up "this Slurm is another's: it has no partition named high"
}

is_ours() {
  grep -q -x "$MARK" "$CONFIG" 2>/dev/null
}

# To tell it at once: a client asks a controller that is not there again and again, for seconds.
is_down() {
  is_ours && ! listening "$PORT"
}

install_slurm() {
  install_packages munged munge
  install_packages slurmctld slurm-wlm
  [ ! -f "$CONFIG" ] || is_ours ||
    give_up "$CONFIG is there and not ours, but its Slurm does not answer"
}

start_munge() {
  ! timeout 5 munge --no-input >/dev/null 2>&1 || return 0
  install -d -o munge -g munge -m 0755 "$MUNGE_RUN"
  install -d -o munge -g munge -m 0700 /var/lib/munge /var/log/munge /etc/munge
  [ -s "$MUNGE_KEY" ] || dd if=/dev/urandom of="$MUNGE_KEY" bs=1024 count=1 status=none
  chown munge:munge "$MUNGE_KEY"
  chmod 0400 "$MUNGE_KEY"
  rm -f "$MUNGE_RUN"/munge.socket.2*
  start_daemon "$DIR/munged.pid" "$DIR/munged.log" \
    setpriv --reuid munge --regid munge --clear-groups "$(command -v munged)" --foreground
  wait_until 10 munge --no-input || give_up "munged does not answer: see $DIR/munged.log"
  say "started munged"
}

# Slurm's defaults wherever benchmarks could feel the difference.
write_config() {
  local memory
  memory=$(awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo)
  mkdir -p "$(dirname "$CONFIG")"
  cat >"$CONFIG.new" <<END
$MARK
ClusterName=launchkit-testbed
SlurmctldHost=localhost
SlurmctldPort=$PORT
SlurmUser=root
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation=$DIR/controller
SlurmdSpoolDir=$DIR/node
SlurmctldPidFile=$DIR/slurmctld.own-pid
SlurmdPidFile=$DIR/slurmd.own-pid
SlurmctldLogFile=$DIR/slurmctld.log
SlurmdLogFile=$DIR/slurmd.log
ReturnToService=2

# Jobs of the partition high preempt those of debug, which are then requeued.
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=5
# A requeued job waits until the credentials of its first start have expired: 120 s by default.
AuthInfo=cred_expire=10

# A job is soon forgotten, as on a busy cluster without accounting.
MinJobAge=2
MaxArraySize=10001
MaxJobCount=20000

NodeName=localhost CPUs=$(nproc) RealMemory=$memory State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 State=UP
END
  mv "$CONFIG.new" "$CONFIG"
}

start_controller() {
  ! alive "$DIR/slurmctld.pid" slurmctld || return 0
  mkdir -p "$DIR/controller"
  write_config
  start_daemon "$DIR/slurmctld.pid" "$DIR/slurmctld.out" "$(command -v slurmctld)" -D
  # A client that comes too early waits for seconds before it tries again.
  wait_until 20 listening "$PORT" || give_up "slurmctld does not listen: see $DIR/slurmctld.log"
  say "started slurmctld"
  # It would start again what a crash has interrupted, and nobody waits for that any more.
  cancel_all
}

start_node() {
  mkdir -p "$DIR/node"
  if ! alive "$DIR/slurmd.pid" slurmd; then
    start_daemon "$DIR/slurmd.pid" "$DIR/slurmd.out" "$(command -v slurmd)" -D
    say "started slurmd"
  fi
  wait_until 30 node_up || give_up "no node came up: see $DIR/slurmctld.log and $DIR/slurmd.log"
}

# A node that died with jobs on it, or that a former boot left drained, waits to be resumed.
node_up() {
  has_node || {
    timeout 5 scontrol update NodeName=localhost State=RESUME
    return 1
  }
}

up() {
  if is_down || ! has_node; then
    need_root "starting Slurm"
    install_slurm
    mkdir -p "$DIR"
    start_munge
    start_controller
    start_node
  fi
  make_test_user
  check
}

cancel_all() {
  ! no_jobs || return 0
  say "cancelling the jobs that are left"
  timeout 10 scancel --state=PENDING 2>/dev/null || true
  timeout 10 scancel --state=RUNNING 2>/dev/null || true
}

down() {
  # Another's Slurm is not ours to empty.
  if is_ours && alive "$DIR/slurmctld.pid" slurmctld; then
    cancel_all
    wait_until 15 no_jobs || say "some jobs do not end"
  fi
  stop_daemon "$DIR/slurmd.pid" slurmd
  stop_daemon "$DIR/slurmctld.pid" slurmctld
  stop_daemon "$DIR/munged.pid" munged
}

no_jobs() {
  [ -z "$(timeout 5 squeue --noheader)" ]
}

run_verb "$@"
