#!/bin/sh
# What an upgrade of vLLM does to a deployment: KV cache, sequences and verdict of one command line in several releases.
# Usage: compare-releases.sh GPU "vllm serve ..." RELEASE...
set -eu
gpu=$1 line=$2
shift 2

summary='const { result } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const { bytes, tokens, maxConcurrency } = result.kvCache;
const size = (bytes / 2 ** 30).toFixed(2);
`${size} GiB, ${tokens} tokens, ${maxConcurrency.toFixed(2)}x, ${result.verdict.fits ? "fits" : result.verdict.reason}`'

for release in "$@"; do
  # Exit status 1 says that it does not fit, which is an answer here.
  plan=$(vram plan --gpu "$gpu" --engine "vllm@$release" --from-command "$line" --json) || [ $? -eq 1 ]
  printf '%-10s %s\n' "$release" "$(printf '%s' "$plan" | node -p "$summary")"
done
