#!/bin/sh
# llama.cpp on a card that is too small: how many layers of a model fit at each context, and how fast it then decodes (an estimate).
#   examples/how-many-layers.sh llama-3.3-70b q4_k_m rtx4090 4096 8192 16384
set -eu
model=$1 mix=$2 gpu=$3
shift 3
for context in "$@"; do
  vram plan --engine llama.cpp -m "$model" -q "$mix" -g "$gpu" -c "$context" -np 1 --json |
    node -e '
      const { result } = JSON.parse(require("fs").readFileSync(0, "utf8"));
      const { mostGpuLayers, layers } = result.offload;
      const { tokensPerSecond, lowTokensPerSecond, highTokensPerSecond } = result.speed.decode;
      const range = [lowTokensPerSecond, highTokensPerSecond].map((n) => n.toFixed(1)).join(" to ");
      console.log(`${process.argv[1]} tokens: ${mostGpuLayers} of ${layers} layers, about ${tokensPerSecond.toFixed(1)} tokens/s (${range})`);
    ' "$context"
done
