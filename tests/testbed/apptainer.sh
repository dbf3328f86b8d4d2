#!/usr/bin/env bash
# Apptainer (what Singularity is today) and images for it. Usage: apptainer.sh up|down|check
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"
# shellcheck source-path=SCRIPTDIR source=roots.sh
source "$here/roots.sh"

readonly DIR=$STATE/apptainer
readonly PREFIX=$DIR/prefix LINK=/usr/local/bin/apptainer
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# Print the one that is there; fail when none is.
program() {
  command -v apptainer || command -v singularity
}

check() {
  local image said
  program >/dev/null || give_up "neither apptainer nor singularity is installed"
  for image in python-3.11 python-3.11.sif no-python.sif; do
    [ -e "$IMAGES/$image" ] || give_up "the image $IMAGES/$image is missing"
  done
  said=$(runs 2>&1 </dev/null) || give_up "$(program) runs no image: ${said##*$'\n'}"
}

# As the account that has no right, too. Root goes without its privileges, because a machine may
# itself have taken one from root, and Apptainer wants to hand on all.
runs() {
  local command=(timeout 30 "$(program)" --quiet exec)
  local what=("$IMAGES/python-3.11.sif" python3 -c 'import json')
  cd /
  if [ "$(id -u)" -ne 0 ]; then
    "${command[@]}" "${what[@]}"
  else
    "${command[@]}" --no-privs "${what[@]}" &&
      runuser -u "$TEST_USER" -- "${command[@]}" "${what[@]}"
  fi
}

up() {
  program >/dev/null || install_apptainer
  # To make a SIF image, and to mount one without being root.
  install_packages mksquashfs squashfs-tools
  install_packages squashfuse squashfuse fuse3
  [ "$(id -u)" -ne 0 ] || make_test_user
  make_python_root
  make_no_python_root
  make_sif "$PYTHON_ROOT"
  make_sif "$NO_PYTHON_ROOT"
  check
}

down() {
  say "nothing of Apptainer runs"
}

# The system's own package where it has one; else Debian's, which only its unstable suite has.
install_apptainer() {
  need_apt apptainer
  if has_candidate; then
    install_packages apptainer apptainer
    return
  fi
  need_root "linking $LINK"
  works || unpack_apptainer
  # A link of a state directory that is gone.
  rm -f "$LINK"
  ln -s "$PREFIX/usr/bin/apptainer" "$LINK"
  say "linked $LINK to $PREFIX"
}

has_candidate() {
  [[ $(apt-cache policy apptainer 2>/dev/null) =~ Candidate:\ [0-9] ]]
}

works() {
  logged 20 "$PREFIX/usr/bin/apptainer" --version
}

# Its libraries come with it, in a prefix of its own: the system's stay as they are.
unpack_apptainer() {
  local package
  say "unpacking Debian's apptainer below $PREFIX"
  rm -rf "$PREFIX" "$DIR/debs"
  mkdir -p "$PREFIX" "$DIR/debs"
  download_unstable apptainer libc6 libseccomp2 libsqlite3-0
  for package in "$DIR"/debs/*.deb; do
    dpkg-deb --extract "$package" "$PREFIX"
  done
  rm -rf "$DIR/debs"
  bind_to_prefix
  works || give_up "the apptainer below $PREFIX does not start: see $INSTALL_LOG"
}

# download_unstable PACKAGE...: with lists of apt of their own, so that the machine's next
# upgrade knows nothing of that suite.
download_unstable() {
  [ -r "$KEYRING" ] || give_up "$KEYRING is missing: apt-get install debian-archive-keyring"
  local apt=$DIR/apt
  rm -rf "$apt"
  mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial
  echo "deb [signed-by=$KEYRING] $(debian_mirror) unstable main" >"$apt/sources.list"
  local options=(
    -o "Dir::Etc::sourcelist=$apt/sources.list"
    -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$apt/lists"
    -o Dir::State::status=/dev/null
    -o "Dir::Cache=$apt/cache"
    -o APT::Sandbox::User=root
  )
  logged 180 apt-get "${options[@]}" update || give_up "apt-get update failed: see $INSTALL_LOG"
  (cd "$DIR/debs" && logged 300 apt-get "${options[@]}" download "$@") ||
    give_up "the download of $* from Debian unstable failed: see $INSTALL_LOG"
  rm -rf "$apt"
}

# Make the programs use the loader and the libraries they came with, and find what they were
# compiled to find below /etc and /var.
bind_to_prefix() {
  local tools=$DIR/tools loader libraries program
  unpack_package patchelf "$tools"
  loader=$(find "$PREFIX"/usr/lib/*-linux-gnu* -maxdepth 1 -name 'ld-linux*' -print -quit)
  libraries=$(dirname "$loader")
  for program in "$PREFIX/usr/bin/apptainer" "$libraries/apptainer/bin/starter"; do
    logged 60 "$tools/usr/bin/patchelf" --set-interpreter "$loader" --force-rpath \
      --set-rpath "$libraries" "$program" ||
      give_up "patchelf failed on $program: see $INSTALL_LOG"
  done
  rm -rf "$tools"
  ln -s ../etc "$PREFIX/usr/etc"
  ln -s ../var "$PREFIX/usr/var"
  ln -s ../../etc "$PREFIX/usr/lib/etc"
  ln -s ../../var "$PREFIX/usr/lib/var"
}

# make_sif ROOT: the same as one file.
make_sif() {
  local sif=$1.sif
  [ ! -f "$sif" ] || return 0
  say "building $sif"
  rm -f "$sif.new"
  logged 300 "$(program)" build "$sif.new" "$1" || give_up "building $sif failed: see $INSTALL_LOG"
  mv "$sif.new" "$sif"
}

run_verb "$@"
