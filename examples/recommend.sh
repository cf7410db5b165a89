#!/bin/sh
# What a scenario recommends, planned on its own and put under the scenario's load: does it start, and are requests preempted?
# llama.cpp is simulated as what it is to its cache: slots of the whole context, and steps as long as estimated.
#   examples/recommend.sh                                   all scenarios (vram list scenarios)
#   examples/recommend.sh "single consumer GPU"             one of them
#   examples/recommend.sh throughput -m qwen3-32b -g l40s,h100-sxm --concurrency 32
set -eu
if [ $# -eq 0 ]; then
  for scenario in low-latency throughput single-consumer-gpu long-context multi-tenant; do
    "$0" "$scenario"
  done
  exit
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# The first deployment: what plans it, what simulates it, and a workload of four times as many requests as run at once.
prepare='
const { readFileSync, writeFileSync } = require("node:fs");
const { scenario } = JSON.parse(readFileSync(0, "utf8")).result;
const { id, load, model, claim, holds, deployments: [best] } = scenario;
if (!best) throw new Error("nothing meets the conditions");
const write = (name, text) => writeFileSync(`${process.argv[1]}/${name}`, text);
const requests = Math.max(20, 4 * load.concurrency);
write("load.yaml", `arrivals: constant
rate: 1000000
requests: ${requests}
input: ${load.promptTokens}
output: ${load.outputTokens}
`);
const { kvCache, speed } = best.row;
const slots = `vram simulate --kv-group full --policy slots --num-gpu-blocks ${kvCache.tokens / 16 + 1}` +
  ` --max-model-len ${kvCache.maxModelLen} --step-time ${speed.loadedTpotSeconds} --concurrency ${load.concurrency}`;
write("plan.sh", `${best.plan} --json`);
write("simulate.sh", `${best.simulate ?? slots} --workload "$1" --no-advice --json`);
console.log(`${id}: ${model} on ${best.words}`);
console.log(`  ${claim}: ${holds ? "as the usual table says" : "not here"}`);'
planned='
const { verdict, workload } = JSON.parse(require("node:fs").readFileSync(0, "utf8")).result;
const { maxConcurrencyAtContext: room, concurrency } = workload;
console.log(`  plan: ${verdict.fits && workload.fits ? "fits" : "does not fit"}, room for ${room}, asked for ${concurrency}`);'
simulated='
const { requests, preemptions, throughput } = JSON.parse(require("node:fs").readFileSync(0, "utf8")).result;
const { finished, total, rejected } = requests;
const again = preemptions.recompute + preemptions.swap;
const speed = Math.round(throughput.outputTokensPerSecond);
console.log(`  simulate: ${finished} of ${total} served, ${rejected} refused, ${again} preempted, ${speed} tokens/s`);'

vram compare --for "$@" --json | node -e "$prepare" "$folder"
sh "$folder/plan.sh" 2>/dev/null | node -e "$planned"
sh "$folder/simulate.sh" "$folder/load.yaml" 2>/dev/null | node -e "$simulated"
