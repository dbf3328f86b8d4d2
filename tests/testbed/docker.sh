#!/usr/bin/env bash
# A Docker engine and its images. Usage: docker.sh up|down|check
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"
# shellcheck source-path=SCRIPTDIR source=roots.sh
source "$here/roots.sh"

readonly DIR=$STATE/docker RUN=/run/launchkit-testbed-docker
readonly PID=$DIR/pid LOG=$DIR/log WORKED=$DIR/flags
# The stock image that the documentation uses, and two kinds that no registry has.
readonly PYTHON_IMAGE=python:3.11-slim
readonly NO_PYTHON_IMAGE=launchkit-test/no-python:latest
readonly OTHER_IMAGES=launchkit-test/python
readonly CONTAINER_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# The flags that the engine is tried with, in turn: not every machine lets it filter packets. The
# storage driver it chooses itself.
readonly -a ATTEMPTS=("" "--iptables=false --bridge=none")

answers() {
  timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Print what the client says when none answers.
refusal() {
  command -v docker >/dev/null || return 0
  timeout 10 docker version 2>&1 >/dev/null | tail -n 1 || true
}

has_image() {
  [ -n "$(timeout 10 docker image ls --quiet "$1" 2>/dev/null)" ]
}

check() {
  local image
  command -v docker >/dev/null || give_up "docker is not installed"
  answers || give_up "$(refusal)"
  for image in "$PYTHON_IMAGE" "$NO_PYTHON_IMAGE" "$OTHER_IMAGES"; do
    has_image "$image" || give_up "the image $image is missing"
  done
}

up() {
  answers || start_engine "$(refusal)"
  make_images
  check
}

down() {
  stop_daemon "$PID" dockerd
}

# start_engine REFUSAL
start_engine() {
  need_root "no Docker engine answers${1:+ ($1)}, and starting one"
  install_packages dockerd docker.io iptables ca-certificates
  # The Debian package leaves the client out where it is a package of its own.
  install_packages docker docker-cli
  # On some systems the package has started the engine.
  ! answers || return 0
  mkdir -p "$DIR"
  forget_the_dead
  local flags attempts=("${ATTEMPTS[@]}")
  [ ! -f "$WORKED" ] || attempts=("$(<"$WORKED")" "${ATTEMPTS[@]}")
  for flags in "${attempts[@]}"; do
    if try_engine "$flags"; then
      echo "$flags" >"$WORKED"
      say "started dockerd${flags:+ with $flags}, storage driver $(storage_driver)"
      return 0
    fi
    say "dockerd${flags:+ with $flags} did not come up"
  done
  give_up "dockerd does not start: see $LOG"
}

storage_driver() {
  timeout 10 docker info --format '{{.Driver}}'
}

# The engine takes a number in an old file for itself, or for its containerd, whatever process
# has it by now.
forget_the_dead() {
  alive "$PID" dockerd || rm -f "$PID" "$DIR/own-pid"
  alive "$RUN/containerd/containerd.pid" containerd || rm -f "$RUN/containerd/containerd.pid"
}

# try_engine FLAGS
try_engine() {
  local flags
  read -ra flags <<<"$1"
  start_daemon "$PID" "$LOG" dockerd --data-root "$DIR/data" --exec-root "$RUN" \
    --pidfile "$DIR/own-pid" --host unix:///var/run/docker.sock "${flags[@]}"
  wait_until 40 has_settled || true
  answers || {
    stop_daemon "$PID" dockerd
    return 1
  }
}

has_settled() {
  answers || gone "$PID" dockerd
}

make_images() {
  local version prefix
  make_image "$PYTHON_IMAGE" "$PYTHON_IMAGE" python3 "$PYTHON_ROOT" make_python_root
  make_image "$NO_PYTHON_IMAGE" busybox:latest sh "$NO_PYTHON_ROOT" make_no_python_root
  while read -r version prefix; do
    make_other_image "$version" make_other_root "$version" "$prefix"
  done < <(other_pythons)
  # Debian 13 has a Python of its own that is another.
  has_image "$OTHER_IMAGES" ||
    make_other_image 3.13 make_debian_root "$IMAGES/python-3.13" trixie
}

# make_other_image VERSION MAKE_ROOT...
make_other_image() {
  local version=$1
  shift
  make_image "$OTHER_IMAGES:$version" "python:$version-slim" python3 "$IMAGES/python-$version" "$@"
}

# make_image NAME PUBLIC_NAME COMMAND ROOT MAKE_ROOT...: from the registry; where there is none
# to reach, from a root file system of our own.
make_image() {
  local name=$1 public=$2 command=$3 root=$4
  shift 4
  ! has_image "$name" || return 0
  ! pull "$public" "$name" || return 0
  "$@"
  say "importing $name"
  tar -C "$root" --numeric-owner -c . |
    timeout 300 docker import --change "ENV PATH=$CONTAINER_PATH LANG=C.UTF-8" \
      --change "CMD [\"$command\"]" - "$name" >>"$INSTALL_LOG" 2>&1 ||
    give_up "docker import of $name failed: see $INSTALL_LOG"
}

# pull PUBLIC_NAME NAME: fails at once when an earlier one has failed.
pull() {
  [ "${registry:-}" != none ] || return 1
  if ! logged 120 docker pull --quiet "$1"; then
    say "no registry answers: images are made here"
    registry=none
    return 1
  fi
  say "pulled $1"
  [ "$1" = "$2" ] || docker tag "$1" "$2"
}

run_verb "$@"
