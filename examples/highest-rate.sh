#!/bin/sh
# How many requests a second each GPU serves before the slowest percent waits too long for its first token.
# Usage: highest-rate.sh MODEL WORKLOAD OBJECTIVE GPU...
#   examples/highest-rate.sh llama-3.1-8b sharegpt 'ttft_p99<1s' l4 l40s a100-80gb h100-sxm
set -eu
model=$1 workload=$2 objective=$3
shift 3

summary='const { result } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const { maxRate, latency, refused } = result;
const rate = maxRate?.requestsPerSecond;
rate == null ? refused?.[0]?.reason ?? "no rate holds" : `${rate.toFixed(2)} requests/s (${latency.uncertainty})`'

for gpu in "$@"; do
  # Exit status 1 says that no rate holds or the model does not fit, which is an answer here.
  found=$(vram simulate --model "$model" --gpu "$gpu" --workload "$workload" --max-model-len 8192 \
    --find-max-rate --slo "$objective" --json) || [ $? -eq 1 ]
  printf '%-12s %s\n' "$gpu" "$(printf '%s' "$found" | node -p "$summary")"
done
