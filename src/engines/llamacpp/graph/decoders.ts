// Dense decoders that differ from each other in little: kinds of norms, what has a norm, activations, biases.
// Law: src/models/glm4.cpp, olmo2.cpp, starcoder2.cpp.
import { layerNorm, type NormKind, type Qkv } from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import { type At, flatQkv, freeNorm, rotated, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const glm4: GraphBuilder = (b) =>
  serialDecoder(b, {
    activation: 'swiglu',
    rotate: rotated,
    afterAttention: ({ layer }, x) => layerNorm(b, x, layer, 'post_attention_norm'),
    afterNetwork: ({ layer }, x) => layerNorm(b, x, layer, 'post_ffw_norm'),
  });

/** Norms over all heads of Q and of K. */
function normedAcrossHeads({ b, layer }: At, x: GraphTensor, kind?: NormKind): Qkv {
  const { tokens } = b.batch;
  const { q, k, v } = flatQkv(b, x, layer);
  const [heads, kvHeads] = [b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  return {
    q: b.reshape(layerNorm(b, q, layer, 'attn_q_norm', kind), b.hp.keyLength[layer]!, heads, tokens),
    k: b.reshape(layerNorm(b, k, layer, 'attn_k_norm', kind), b.hp.keyLength[layer]!, kvHeads, tokens),
    v: b.reshape(v, b.hp.valueLength[layer]!, kvHeads, tokens),
  };
}

const olmo2: GraphBuilder = (b) =>
  serialDecoder(b, {
    attentionNorm: null,
    project: normedAcrossHeads,
    rotate: rotated,
    afterAttention: ({ layer }, x) => layerNorm(b, x, layer, 'post_attention_norm'),
    networkNorm: null,
    afterNetwork: (at, x) => freeNorm(at, x, 'post_ffw_norm'),
  });

const starcoder2: GraphBuilder = (b) => serialDecoder(b, { kind: 'layer', activation: 'gelu', rotate: rotated });

export const decoderBuilders: Readonly<Record<string, GraphBuilder>> = { glm4, olmo2, starcoder2 };
