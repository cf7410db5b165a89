// Dense decoders of the Llama kind: rotary attention, gated feed-forward, a residual around each. One builder per architecture of
// llama.cpp. Law: src/models/llama.cpp, qwen2.cpp, qwen3.cpp.
import { attention, cacheInputs } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  outputHead,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import type { GraphTensor } from './tensor.ts';

/** Norm, attention, residual, norm, feed-forward, residual; the architectures differ in what they do to Q and K. */
export function decoder(b: Build, rotate: (x: Qkv, layer: number, positions: GraphTensor) => Qkv): void {
  let x = inputEmbeddings(b);
  const positions = inputPositions(b);
  const inputs = cacheInputs(b)!;
  const outputs = inputOutputIds(b);
  const layers = b.hp.layers - b.hp.nextnLayers;
  for (let layer = 0; layer < layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const attended = attention(b, { inputs, layer, ...rotate(qkv(b, normed, layer), layer, positions) });
    const [t, residual] = gatherOutputs(b, outputs, layer, attended, x) as [GraphTensor, GraphTensor];
    const sum = b.add(t, residual);
    const network = layerNorm(b, sum, layer, 'ffn_norm');
    const routed = b.layerOptional(layer, 'ffn_gate_inp.weight');
    x = b.add(
      routed
        ? mixture(b, network, { layer, gating: 'softmax', normalize: true })
        : ffn(b, network, { layer, activation: 'silu' }),
      sum,
    );
  }
  outputHead(b, x);
}

const llama: GraphBuilder = (b) =>
  decoder(b, ({ q, k, v }, layer, positions) => {
    const factors = b.copiedWeight(layer, 'rope_freqs.weight');
    return { q: b.rope(q, positions, factors), k: b.rope(k, positions, factors), v };
  });

const qwen2: GraphBuilder = (b) =>
  decoder(b, ({ q, k, v }, _layer, positions) => ({ q: b.rope(q, positions), k: b.rope(k, positions), v }));

const qwen3: GraphBuilder = (b) =>
  decoder(b, ({ q, k, v }, layer, positions) => ({
    q: b.rope(layerNorm(b, q, layer, 'attn_q_norm'), positions),
    k: b.rope(layerNorm(b, k, layer, 'attn_k_norm'), positions),
    v,
  }));

export const denseBuilders: Readonly<Record<string, GraphBuilder>> = { llama, qwen2, qwen3, qwen3moe: qwen3 };
