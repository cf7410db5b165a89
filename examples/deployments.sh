#!/bin/sh
# Plans complete deployments (vram list deployments) on a GPU of your choice: which of them run there, and how many sequences they hold.
#   examples/deployments.sh l40s llama-2-7b-chat-awq qwen3-4b gpt-oss-20b
set -eu
gpu=$1
shift
for deployment in "$@"; do
  # Exit code 1 says that it does not fit: that is an answer too.
  { vram plan --deployment "$deployment" --gpu "$gpu" --json || true; } |
    node -e '
      const { result } = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const { verdict, workload, deployment } = result;
      const holds = workload ? `${workload.maxConcurrencyAtContext} of ${workload.concurrency} x ${workload.context} tokens` : "";
      console.log(`${deployment.id}: ${verdict.fits ? holds : verdict.reason}`);
    '
done
