#!/bin/bash
# What runs when a machine of Google Compute Engine is taken away or stopped: its agent is
# told, and has what is left of the 30 seconds for the jobs to stop and their files to go.
name=$(curl -sf --noproxy '*' --max-time 2 -H 'Metadata-Flavor: Google' \
  http://metadata.google.internal/computeMetadata/v1/instance/name) || exit 0
root=/var/lib/launchkit/$name
read -r pid 2>/dev/null <"$root/agent.pid" && kill -TERM "$pid" 2>/dev/null || exit 0
for _ in {1..250}; do
  [ ! -e "$root/synced" ] && [ -d "/proc/$pid" ] || exit 0
  sleep 0.1
done
