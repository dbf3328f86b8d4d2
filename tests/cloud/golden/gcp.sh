#!/bin/bash
# shellcheck disable=SC2034  # not every cloud needs all of it
store=gs://the-bucket
region=''
base=launchkit/20261122-160000-abcdef
name=10-00-00
archive=launchkit/.archives/abababababababababababababababababababababababababababababababab.dar
sha256=abababababababababababababababababababababababababababababababab
first_pack=0
lifetime_min=1440
swap_mb=0
image=python:3.11-slim
uses_gpu=1
unreachable_s=1800
boot='{"store": "gs://the-bucket", "region": "", "base": "launchkit/20261122-160000-abcdef", "name": "10-00-00", "archive": "launchkit/.archives/abababababababababababababababababababababababababababababababab.dar", "sha256": "abababababababababababababababababababababababababababababababab", "batch": "launchkit/20261122-160000-abcdef/.home/batches/0.tar.gz", "first_pack": 0, "image": "python:3.11-slim", "uses_gpu": true, "lifetime_min": 1440, "sync_interval_s": 15.0, "unreachable_min": 30.0, "swap_mb": 0}'
set -u
umask 022
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
began=$(date +%s)
machine='' pack='' tool='' reason='' log=/dev/null root=''

say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*" | tee -a "$log"; }

fail() {
  reason=$*
  exit 70
}

power_off() {
  shutdown -P now || poweroff || systemctl poweroff --force --force
}

if ! shutdown -P "+$lifetime_min"; then
  (
    sleep "$((lifetime_min * 60))"
    end_machine
  ) </dev/null >/dev/null 2>&1 &
fi

at_end() {
  local code=$?
  trap - EXIT
  trap '' HUP INT TERM
  [ -n "$root" ] && [ -e "$root/synced" ] || tell_home "${reason:-the start-up script ended with code $code}"
  say "the machine ends"
  end_machine
}
trap at_end EXIT
trap 'exit 143' HUP INT TERM

tell_home() {
  local refused now
  say "launchkit: $1"
  { [ -n "$pack" ] && [ -n "$tool" ]; } || return
  refused="$name/.launchkit/asks/$pack.refused" now=$(date +%s)
  printf '%s' "$1" | tr -d '\000-\037' | sed 's/[\\"]/\\&/g; s/^/{"error": "MachineFailed", "message": "/; s/$/"}\n/' \
    >"$root/.agent/refused"
  printf 'now %d\npack %d 70 0\nfiles\nf 1 %d %d.0 %d.0 600 ./%s\0end\0' "$now" "$pack" \
    "$(wc -c <"$root/.agent/refused")" "$now" "$now" "$refused" | gzip -n >"$root/.agent/look"
  put "$root/.agent/refused" "$base/$refused"
  put "$log" "$base/.machines/$pack/log"
  put "$root/.agent/look" "$base/.machines/$pack/look"
}

patiently() {
  local until=$((SECONDS + $1)) pause=1
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep "$((pause + RANDOM % (pause + 1)))"
    pause=$((pause < 30 ? pause * 2 : 30))
  done
}

has() { command -v "$1" >/dev/null 2>&1; }

need() {
  has "$1" && return
  say "$1 is not here, and is installed"
  if has dnf; then
    timeout 600 dnf --quiet --assumeyes install "$2" >>"$log" 2>&1
  elif has apt-get; then
    { timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120 update &&
      timeout 600 apt-get -qq -y -o DPkg::Lock::Timeout=300 install "$3"; } >>"$log" 2>&1
  fi
  hash -r
  has "$1" || fail "this machine image has no $1, and it cannot be installed: $(tail -n 1 "$log")"
}

make_swap() {
  local file=$root/.agent/swap
  fallocate -l "${swap_mb}M" "$file" && chmod 600 "$file" && mkswap "$file" >/dev/null &&
    swapon "$file" && return
  rm -f "$file"
  say "no swap space: it cannot be made"
}

get_python() {
  need python3 python3 python3
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 6))' ||
    fail "this machine image has $(python3 -V 2>&1); Python 3.6 is the least that is needed"
}

get_docker() {
  need docker docker docker.io
  docker info >/dev/null 2>&1 || systemctl enable --now docker >>"$log" 2>&1 ||
    service docker start >>"$log" 2>&1
  patiently 60 docker info >/dev/null 2>&1 ||
    fail "Docker does not start on this machine: $(docker info 2>&1 | tail -n 1)"
}

find_gpus() {
  if look_forever; then patiently 600 nvidia-smi >/dev/null 2>&1; fi
  nvidia-smi >/dev/null 2>&1 ||
    fail "use_gpu is set, and nvidia-smi does not run here: take a machine type with GPUs, and an image with their driver"
  [ -z "$image" ] || docker info --format '{{json .Runtimes}}' 2>/dev/null | grep -q '"nvidia"' ||
    fail "use_gpu is set, and Docker here knows no runtime 'nvidia': take an image with the NVIDIA container toolkit"
}

said=''
get_archive() {
  said=$(get "$archive" "$root/.agent/archive" 2>&1) || return
  [ "$(sha256sum <"$root/.agent/archive")" = "$sha256  -" ] || {
    said="it is not whole"
    return 1
  }
}

get_archive_now() {
  get_archive || case $said in *404* | *403* | *Denied* | *NoSuch* | *NotFound* | *'not exist'* | *'matched no'*) return 1 ;; *)
    patiently "$unreachable_s" get_archive ;;
  esac
}

unpack() {
  local target="$root/$name/.launchkit/unpacked"
  patiently 120 get_archive_now || fail "the archive $store/$archive cannot be fetched: $(tail -n 1 <<<"$said")"
  said=$(sh "$root/.agent/archive" --quiet --nox11 --nodiskspace --noexec --target "$target" 2>&1 </dev/null) &&
    [ -e "$target/agent.py" ] || fail "the archive cannot be unpacked: $(tail -n 1 <<<"$said")"
  rm -f "$root/.agent/archive"
}

run_pack() {
  patiently 300 identify || fail "the machine's metadata service does not answer"
  root=/var/lib/launchkit/$machine
  mkdir -p "$root/.agent" "$root/$name/.launchkit"
  chmod 700 "$root"
  : >"$root/.agent/log"
  log=$root/.agent/log
  export HOME="${HOME:-$root/.agent}"
  cd "$root" || fail "$root cannot be used"
  say "machine $machine, pack $pack"
  get_tool
  [ "$swap_mb" -eq 0 ] || make_swap
  get_python
  [ -z "$image" ] || get_docker
  [ "$uses_gpu" -eq 0 ] || find_gpus
  unpack
  printf '%s, "pack": %d, "machine": "%s", "root": "%s", "ends": %d}\n' "${boot%\}}" \
    "$pack" "$machine" "$root" "$((began + lifetime_min * 60))" >"$root/machine.json"
  python3 -E -S "$root/$name/.launchkit/unpacked/agent.py" "$root/machine.json"
  local code=$?
  [ -e "$root/synced" ] || fail "the agent ended with code $code before its work was over"
}
export CLOUDSDK_CORE_DISABLE_PROMPTS=1 CLOUDSDK_CORE_DISABLE_USAGE_REPORTING=1
export CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK=1
export CLOUDSDK_STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED=False

metadata() {
  curl -sf --noproxy '*' --max-time 5 -H 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/$1"
}

identify() {
  machine=$(metadata instance/name) && pack=$(metadata instance/attributes/launchkit-pack) &&
    zone=$(metadata instance/zone) && project=$(metadata project/project-id) &&
    [[ $pack =~ ^[0-9]+$ ]]
}

get_tool() {
  PATH=$PATH:/snap/bin
  tool=curl
  export CLOUDSDK_CONFIG="$root/.agent/gcloud"
  if has gcloud; then
    tool=gcloud
  elif has gsutil; then
    tool=gsutil
  else
    fail "this machine image has neither gcloud nor gsutil; take one of Google's"
  fi
}

get() {
  if [ "$tool" = gcloud ]; then
    timeout 900 gcloud storage cp --no-user-output-enabled "$store/$1" "$2"
  else
    timeout 900 gsutil -q cp "$store/$1" "$2"
  fi
}

put() {
  curl -sSf --max-time 120 -o /dev/null -H @- -H 'Content-Type: application/octet-stream' --data-binary "@$1" \
    "https://storage.googleapis.com/upload/storage/v1/b/${store#gs://}/o?uploadType=media&name=$(encoded "$2")" <<<"$(authorization)"
}

encoded() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'; }

authorization() {
  metadata instance/service-accounts/default/token |
    sed 's/.*"access_token" *: *"\([^"]*\)".*/Authorization: Bearer \1/'
}

leave() {
  curl -sSf --max-time 60 -X DELETE -o /dev/null -H @- \
    "https://compute.googleapis.com/compute/v1/projects/$project/zones/${zone##*/}/instances/$machine" <<<"$(authorization)"
}

look_forever() { has nvidia-smi || [ -d /opt/deeplearning ]; }

end_machine() {
  [ -z "$machine" ] || patiently 60 leave
  trap - HUP INT TERM
  sleep 30
  power_off
  sleep 60
  echo o >/proc/sysrq-trigger
}

zone='' project=''
run_pack
