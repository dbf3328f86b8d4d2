# shellcheck shell=bash
# What the simulated clouds share. Sourced, after common.sh.

# What a simulated machine needs of this one.
need_machines() {
  need_root "a simulated machine"
  install_packages ip iproute2
  install_packages unshare util-linux
  install_packages mount mount
  install_packages curl curl
}

# Print a Python of 3.10 or newer that can make environments; its newest versions may be too new
# for the clouds' own tools.
find_python() {
  local candidate
  for candidate in python3 /usr/bin/python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-3]*/bin/python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  give_up "there is no Python 3.10 or newer with venv"
}

# make_environment DIRECTORY PACKAGE...: once; again when the packages that are wanted are others.
# Copies, not links, of the interpreter: a machine without python3 still has the cloud's tool.
make_environment() {
  local directory=$1 python
  shift
  [ "$(cat "$directory/ready" 2>/dev/null)" != "$*" ] || ! "$directory/bin/python" -c '' 2>/dev/null ||
    return 0
  python=$(find_python)
  say "installing $*"
  rm -rf "$directory"
  mkdir -p "$(dirname "$directory")"
  logged 120 "$python" -m venv --copies "$directory" || give_up "no environment: see $INSTALL_LOG"
  logged 900 "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "$@" ||
    give_up "pip install $* failed: see $INSTALL_LOG"
  echo "$*" >"$directory/ready"
}
