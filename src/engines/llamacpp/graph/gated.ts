// Decoders whose attention is multiplied by a gate before its output projection, a value for each head or for each element.
// Law: src/models/afmoe.cpp, laguna.cpp, step35.cpp.
import { layerNorm, linear, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { byRouter, gathersLast, gatingOf, leadingDense } from './experts.ts';
import { type At, type DecoderParts, flatQkv, ropeFactors, rotated, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Attention without its output projection; then the gate, which reads the same norm as Q, K and V, and the projection. */
const gated = (activation: Gate): DecoderParts => ({
  attend: () => ({ output: null }),
  finishAttention: (at, x, normed) => projected(at, gatedRows(at, x, normed, activation)),
});

type Gate = 'sigmoid' | 'softplus';

const projected = ({ b, layer }: At, x: GraphTensor): GraphTensor => linear(b, layer, 'attn_output', x);

function gatedRows({ b, layer }: At, x: GraphTensor, normed: GraphTensor, activation: Gate): GraphTensor {
  const weight = b.layerOptional(layer, 'attn_gate.weight');
  if (!weight) return x;
  const gate = b.unary(activation, linear(b, layer, 'attn_gate', normed));
  const heads = b.hp.heads[layer]!;
  if (weight.ne[1] !== heads) return b.mul(x, gate);
  const [row, tokens] = x.ne;
  const product = b.mul(b.reshape(x, row / heads, heads, tokens), b.reshape(gate, 1, heads, tokens));
  return b.reshape(product, row, tokens);
}

function perhapsNormed({ b, layer }: At, { q, k, v }: Qkv): Qkv {
  const normed = (t: GraphTensor, name: string) =>
    b.layerOptional(layer, `${name}.weight`) ? layerNorm(b, t, layer, name) : t;
  return { q: normed(q, 'attn_q_norm'), k: normed(k, 'attn_k_norm'), v };
}

/** Norms before and after attention and network; every fourth layer is not rotated. */
const afmoe: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...gated('sigmoid'),
    embed: (_, x) => b.scale(x),
    rotate: (at, x) => ((at.layer + 1) % 4 !== 0 ? rotated(at, perhapsNormed(at, x)) : perhapsNormed(at, x)),
    finishAttention: (at, x, normed) =>
      layerNorm(b, projected(at, gatedRows(at, x, normed, 'sigmoid')), at.layer, 'post_attention_norm'),
    network: (at, x) => leadingDense(at, x, { gating: gatingOf(b, 'sigmoid') }),
    afterNetwork: (at, x) => layerNorm(b, x, at.layer, 'post_ffw_norm'),
  });

const laguna: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...gated('softplus'),
    rotate: (at, x) => rotated(at, perhapsNormed(at, x)),
    network: (at, x) => leadingDense(at, x, { gating: gatingOf(b, 'sigmoid') }),
  });

function headsOf(b: Build, layer: number, { q, k, v }: Qkv): Qkv {
  const { tokens } = b.batch;
  const [key, value, kvHeads] = [b.hp.keyLength[layer]!, b.hp.valueLength[layer]!, b.hp.kvHeads[layer]!];
  return {
    q: b.reshape(q, key, b.hp.heads[layer]!, tokens),
    k: b.reshape(k, key, kvHeads, tokens),
    v: b.reshape(v, value, kvHeads, tokens),
  };
}

/** Step 3.5: the numbers of heads differ by layer, and frequency factors are those of layers that see all. */
const step35: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...gated('sigmoid'),
    project: (at, x) => headsOf(b, at.layer, flatQkv(b, x, at.layer)),
    rotate: (at, x) => rotated(at, perhapsNormed(at, x), b.hp.sliding[at.layer] ? undefined : ropeFactors(at)),
    network: (at, x) => byRouter(at, x, { gating: gatingOf(b, 'sigmoid') }),
    gathersLast: gathersLast(b),
  });

export const gatedBuilders: Readonly<Record<string, GraphBuilder>> = { afmoe, laguna, step35 };
