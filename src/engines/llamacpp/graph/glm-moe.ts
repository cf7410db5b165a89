// GLM 4.5 to 4.7: biases of Q, K and V, perhaps norms of Q and K, dense layers before the mixtures of experts, which share one expert.
// Law: src/models/glm4-moe.cpp.
import { layerNorm, type Qkv } from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import { leadingDense } from './experts.ts';
import { type At, rotated, serialDecoder } from './serial.ts';

/** Norms of Q and K where the model has them, then rotations. */
export function perhapsNormed(at: At, x: Qkv): Qkv {
  const { b, layer } = at;
  const normed = (t: Qkv['q'], name: string) =>
    b.layerOptional(layer, `${name}.weight`) ? layerNorm(b, t, layer, name) : t;
  return rotated(at, { q: normed(x.q, 'attn_q_norm'), k: normed(x.k, 'attn_k_norm'), v: x.v });
}

const glm4moe: GraphBuilder = (b) =>
  serialDecoder(b, {
    rotate: perhapsNormed,
    networkNorm: 'post_attention_norm',
    network: (at, x) => leadingDense(at, x),
  });

export const glmMoeBuilders: Readonly<Record<string, GraphBuilder>> = { glm4moe };
