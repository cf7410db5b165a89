#!/bin/sh
# The cheapest GPUs that hold a load, for one card and for several: MODEL, tokens of a sequence, sequences at once.
#   examples/which-gpu.sh qwen3-32b 8192 16
#   examples/which-gpu.sh llama-3.1-8b 16384 32 -q fp8-dynamic --price h100-sxm=2.10
set -eu
model=$1 context=$2 concurrency=$3
shift 3
vram compare --model "$model" --gpu all --tp 1,2,4,8 \
  --max-model-len "$context" --context "$context" --concurrency "$concurrency" \
  --filter 'fits and price > 0' --sort cost,price --group-by tp --top 3 \
  --columns gpu,gpus,tokens,seqs,price,cost,output,tpot "$@"
