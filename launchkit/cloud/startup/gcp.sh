# shellcheck shell=bash disable=SC2154,SC2034  # the lines before assign what the machine is told
# The start of a machine of Google Compute Engine: its metadata's startup-script.
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
  # Where there is Ubuntu, it is a snap.
  PATH=$PATH:/snap/bin
  # That is enough for a last word.
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

# gcloud first asks for what is to be written, which a machine may not know of.
put() {
  curl -sSf --max-time 120 -o /dev/null -H @- -H 'Content-Type: application/octet-stream' --data-binary "@$1" \
    "https://storage.googleapis.com/upload/storage/v1/b/${store#gs://}/o?uploadType=media&name=$(encoded "$2")" <<<"$(authorization)"
}

encoded() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n' | sed 's/../%&/g'; }

# The token is nothing for a list of processes: it goes to standard input.
authorization() {
  metadata instance/service-accounts/default/token |
    sed 's/.*"access_token" *: *"\([^"]*\)".*/Authorization: Bearer \1/'
}

leave() {
  curl -sSf --max-time 60 -X DELETE -o /dev/null -H @- \
    "https://compute.googleapis.com/compute/v1/projects/$project/zones/${zone##*/}/instances/$machine" <<<"$(authorization)"
}

# The driver of Google's images for deep learning is installed at their first start.
look_forever() { has nvidia-smi || [ -d /opt/deeplearning ]; }

# A machine that only shuts down is stopped, and its disk is still paid for.
end_machine() {
  [ -z "$machine" ] || patiently 60 leave
  # The machine's end is to wait for nothing.
  trap - HUP INT TERM
  sleep 30
  power_off
  sleep 60
  echo o >/proc/sysrq-trigger
}

zone='' project=''
run_pack
