# shellcheck shell=bash
# The root file systems that Docker and Apptainer images are made of: no registry is needed, a
# Debian mirror is enough. Each is a folder of $IMAGES, made once. Sourced, after common.sh.

readonly IMAGES=$STATE/images
readonly PYTHON_ROOT=$IMAGES/python-3.11
readonly NO_PYTHON_ROOT=$IMAGES/no-python

make_python_root() {
  make_debian_root "$PYTHON_ROOT" bookworm
}

# make_debian_root ROOT RELEASE: its Python and what that needs, and nothing else.
make_debian_root() {
  local root=$1 release=$2 new=$1.new
  [ ! -d "$root" ] || return 0
  need_root "making an image"
  install_packages debootstrap debootstrap
  say "making $root with debootstrap, in about a minute"
  rm -rf "$new"
  mkdir -p "$IMAGES"
  logged 600 debootstrap --variant=minbase --include=python3 "$release" "$new" "$(debian_mirror)" ||
    give_up "debootstrap failed: see $INSTALL_LOG"
  slim "$new"
  # The official images have it there, too.
  ln -s /usr/bin/python3 "$new/usr/local/bin/python"
  mv "$new" "$root"
}

# Print the mirror that this machine itself uses.
debian_mirror() {
  local mirror
  # shellcheck disable=SC2016  # apt fills it in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null |
    grep -v -e security | head -n 1) || true
  echo "${mirror:-http://deb.debian.org/debian}"
}

# slim ROOT: without what no container needs, and without devices, which a container brings.
slim() {
  local root=${1:?}
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* "${root:?}"/dev/* \
    "$root"/usr/share/{doc,man,locale,info}/*
  # They name this machine.
  : >"$root/etc/hostname"
  : >"$root/etc/resolv.conf"
}

# make_no_python_root: a shell and the usual programs, 2 MB.
make_no_python_root() {
  [ ! -d "$NO_PYTHON_ROOT" ] || return 0
  say "making $NO_PYTHON_ROOT of busybox"
  local new=$NO_PYTHON_ROOT.new package=$IMAGES/busybox applet
  rm -rf "$new"
  unpack_package busybox-static "$package"
  mkdir -p "$new"/{bin,dev,etc,home,proc,root,run,sys,tmp,usr/bin,var/tmp}
  chmod 1777 "$new/tmp" "$new/var/tmp"
  find "$package" -type f -path '*bin/busybox' -exec mv {} "$new/bin/busybox" \;
  rm -rf "$package"
  for applet in $("$new/bin/busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "$new/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$new/etc/passwd"
  echo 'root:x:0:' >"$new/etc/group"
  touch "$new/etc/hosts" "$new/etc/localtime" "$new/etc/resolv.conf"
  mv "$new" "$NO_PYTHON_ROOT"
}

# Print "3.13 PREFIX" for each Python of this machine that launchkit supports and that is not
# of the version of $PYTHON_ROOT; a system's own is spread too wide to be copied.
other_pythons() {
  local minor candidate prefix pyenv=${PYENV_ROOT:-${HOME:-/root}/.pyenv}
  for minor in 13 12 10; do
    for candidate in "python3.$minor" "$pyenv/versions/3.$minor".*/bin/python3; do
      # An interpreter that cannot start (a shim with nothing behind it) is none.
      prefix=$(prefix_of "$candidate" "$minor") || continue
      case $prefix in
        /usr | /usr/local) continue ;;
      esac
      echo "3.$minor $prefix"
      break
    done
  done
}

# prefix_of PYTHON MINOR: fail unless it starts and is of that version.
prefix_of() {
  "$1" -c "import sys; assert sys.version_info[:2] == (3, $2); print(sys.base_prefix)" 2>/dev/null
}

# make_other_root VERSION PREFIX: the same Debian, with that Python in place of its own.
make_other_root() {
  local version=$1 prefix=$2 root=$IMAGES/python-$1
  [ ! -d "$root" ] || return 0
  make_python_root
  say "making $root with the Python of $prefix"
  local new=$root.new
  rm -rf "$new"
  cp -a "$PYTHON_ROOT" "$new"
  purge_python "$new"
  install -m 755 "$prefix/bin/python$version" "$new/usr/local/bin/"
  tar -C "$prefix" --exclude=__pycache__ --exclude=test --exclude='config-*' \
    -c "lib/python$version" | tar -C "$new/usr/local" --no-same-owner -x
  rm -rf "$new/usr/local/lib/python$version/site-packages"/*
  ln -s "python$version" "$new/usr/local/bin/python3"
  ln -s python3 "$new/usr/local/bin/python"
  copy_libraries "$new"
  logged 60 chroot "$new" python3 -c 'import bz2, ctypes, hashlib, lzma, sqlite3, ssl, zlib' ||
    give_up "the Python of $prefix does not run in $new: see $INSTALL_LOG"
  mv "$new" "$root"
}

purge_python() {
  local packages
  # shellcheck disable=SC2016  # dpkg fills it in
  mapfile -t packages < <(chroot "$1" dpkg-query --show --showformat '${Package}\n' |
    grep -E '^(lib)?python3')
  logged 120 chroot "$1" dpkg --purge --force-depends "${packages[@]}" ||
    give_up "Python could not be taken out of $1: see $INSTALL_LOG"
  rm -rf "$1"/usr/lib/python3* "$1/usr/local/bin/python"
}

# copy_libraries ROOT: the shared libraries of this machine that its Python needs and it lacks.
copy_libraries() {
  local library
  find "$1/usr/local" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec ldd {} + 2>/dev/null |
    sed -n 's/.*=> \(\/[^ ]*\) (.*/\1/p' | sort -u |
    while read -r library; do
      [ -e "$1$library" ] || install -D -m 644 "$library" "$1$library"
    done
}
