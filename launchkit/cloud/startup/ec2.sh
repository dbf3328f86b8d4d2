# shellcheck shell=bash disable=SC2154,SC2034  # the lines before assign what the machine is told
# The start of a machine of EC2, which its user-data is.
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

# Amazon's own program, where the distribution is not Amazon's.
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

# The instance is terminated when it shuts down: it was asked for so.
end_machine() {
  power_off
  # The machine's end is to wait for nothing.
  trap - HUP INT TERM
  sleep 60
  leave
  sleep 60
  echo o >/proc/sysrq-trigger
}

token='' home=''
run_pack
