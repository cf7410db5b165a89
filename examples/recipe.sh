#!/bin/sh
# Mixed precision by what fits: which tensors of a model get how many bits so that it serves so many sequences on a GPU, as the line that
# llama-quantize takes, and the plan of an ordinary mix beside it.
#   examples/recipe.sh qwen3-32b rtx4090 8192 2
set -eu
model=${1:-qwen3-32b} gpu=${2:-rtx4090} context=${3:-8192} sequences=${4:-1}
vram quantize -m "$model" -g "$gpu" --context "$context" --concurrency "$sequences" --engine llama.cpp --recipe-out -
vram plan --engine llama.cpp -m "$model" -q q4_k_m -g "$gpu" --context "$context" --concurrency "$sequences" -ngl 99 --format github
