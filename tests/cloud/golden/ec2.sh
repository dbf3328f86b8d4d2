#!/bin/bash
# shellcheck disable=SC2034  # not every cloud needs all of it
store=s3://the-bucket
region=eu-west-1
base=launchkit/20261122-160000-abcdef
name=10-00-00
archive=launchkit/.archives/abababababababababababababababababababababababababababababababab.dar
sha256=abababababababababababababababababababababababababababababababab
first_pack=0
lifetime_min=1440
swap_mb=4096
image=python:3.11-slim
uses_gpu=0
unreachable_s=1800
boot='{"store": "s3://the-bucket", "region": "eu-west-1", "base": "launchkit/20261122-160000-abcdef", "name": "10-00-00", "archive": "launchkit/.archives/abababababababababababababababababababababababababababababababab.dar", "sha256": "abababababababababababababababababababababababababababababababab", "batch": "launchkit/20261122-160000-abcdef/.home/batches/0.tar.gz", "first_pack": 0, "image": "python:3.11-slim", "uses_gpu": false, "lifetime_min": 1440, "sync_interval_s": 15.0, "unreachable_min": 30.0, "swap_mb": 4096}'
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
export AWS_MAX_ATTEMPTS=6 AWS_RETRY_MODE=standard AWS_PAGER=
export AWS_METADATA_SERVICE_TIMEOUT=5 AWS_METADATA_SERVICE_NUM_ATTEMPTS=5

metadata() {
  curl -sf --noproxy '*' --max-time 5 -H "X-aws-ec2-metadata-token: $token" "http://169.254.169.254/latest/meta-data/$1"
}

identify() {
  local index
  token=$(curl -sf --noproxy '*' --max-time 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 3600' http://169.254.169.254/latest/api/token) &&
    machine=$(metadata instance-id) && index=$(metadata ami-launch-index) &&
    home=$(metadata placement/region) || return
  pack=$((first_pack + index))
  export AWS_DEFAULT_REGION="${region:-$home}"
}

get_tool() {
  has aws || get_bundle
  need aws awscli-2 awscli
  tool=aws
}

get_bundle() {
  ! has dnf || return
  need unzip unzip unzip
  curl -sSf --connect-timeout 10 --max-time 300 -o "$root/.agent/aws.zip" \
    "https://awscli.amazonaws.com/awscli-exe-linux-$(uname -m).zip" >>"$log" 2>&1 &&
    unzip -q -o "$root/.agent/aws.zip" -d "$root/.agent" >>"$log" 2>&1 &&
    "$root/.agent/aws/install" >>"$log" 2>&1
  rm -rf "$root/.agent/aws.zip" "$root/.agent/aws"
  hash -r
}

get() { timeout 900 aws s3 cp --cli-connect-timeout 10 --cli-read-timeout 30 --only-show-errors "$store/$1" "$2"; }

put() { timeout 120 aws s3 cp --cli-connect-timeout 10 --cli-read-timeout 30 --only-show-errors --sse AES256 --no-guess-mime-type "$1" "$store/$2"; }

leave() { timeout 60 aws ec2 terminate-instances --region "$home" --instance-ids "$machine" >/dev/null; }

look_forever() { has nvidia-smi; }

end_machine() {
  power_off
  trap - HUP INT TERM
  sleep 60
  leave
  sleep 60
  echo o >/proc/sysrq-trigger
}

token='' home=''
run_pack
