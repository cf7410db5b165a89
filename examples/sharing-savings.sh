#!/bin/sh
# What sharing of KV blocks saves (Figure 15 and section 6.3 of the PagedAttention paper, Kwon et al., SOSP 2023): blocks saved over
# blocks without sharing, for 2, 4 and 6 parallel samples or beams. The paper: parallel sampling 6.1-9.8 % (Alpaca) and 16.2-30.5 %
# (ShareGPT), beam search 37.6-55.2 % and 44.3-66.3 %.
# Usage: sharing-savings.sh [further options of vram simulate]
#
# Server: as in paged-attention-figure-2.sh, with as much swap space as KV cache (the paper's bound). Load: 8,000 Alpaca-like and 2,000
# ShareGPT-like requests, seed 0, 128 unfinished at a time, so that somebody always waits. Lengths are lognormal with the paper's means;
# sigma is 0.75 for ShareGPT (the paper's own reserved share) and 1.0 for Alpaca. All samples of a prompt are as long as the request.
# Beams: each continues with a next-token distribution of its own, and the best `width` of all continuations survive; how sure the model
# is comes from Holtzman et al. 2020 (src/sim/v0/predictability.ts), not from the savings. Samples lie
# in the paper's ranges within 0.3 points, beams of width 2 and 4 too; beams of width 6 share 3-4 points more than the paper measured.
set -eu
saving() {
  vram simulate --model opt-13b --gpu a100-40gb-sxm --engine vllm@0.6.3 --max-model-len 2048 --num-gpu-blocks 984 \
    --swap-space 12 --policy v0 --seed 0 --concurrency 128 --no-advice --workload "$@" |
    sed -n 's/.*saves \([0-9.]* %\).*/\1/p'
}
alpaca='alpaca:requests=8000,input=lognormal(19.31,1),output=lognormal(58.45,1)'
sharegpt='sharegpt:requests=2000'
for load in "$alpaca" "$sharegpt"; do
  for kind in samples beam-width; do
    printf '%-9s %-10s' "${load%%:*}" "$kind"
    for width in 2 4 6; do printf ' %8s' "$(saving "$load" "--$kind" "$width" "$@")"; done
    printf '\n'
  done
done
