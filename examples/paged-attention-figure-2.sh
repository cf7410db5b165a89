#!/bin/sh
# Where KV memory goes when requests reserve contiguous pieces, and when they take blocks: Figure 2 of the PagedAttention paper
# (Kwon et al., SOSP 2023). Token states are 20.4 % (Orca Max), 26.8 % (Orca Pow2), 38.2 % (Orca Oracle) and 96.3 % (vLLM) there.
# Usage: paged-attention-figure-2.sh [further options of vram simulate]
#
# Server: OPT-13B on an A100-40GB, 12 GiB of KV cache = 15,728 slots = 983 blocks of 16, and the null block that the option counts.
# Load: 10,000 requests with ShareGPT's mean lengths, seed 0, 128 unfinished at a time, so that somebody always waits.
# v0 is the scheduler of the paper's vLLM: prefill first, 1 % of the blocks kept free on admission, recompute.
set -eu
vram simulate --model opt-13b --gpu a100-40gb-sxm --engine vllm@0.6.3 --max-model-len 2048 --num-gpu-blocks 984 \
  --workload sharegpt:requests=10000 --seed 0 --concurrency 128 \
  --policy orca-max,orca-pow2,orca-oracle,v0 --no-advice "$@"
