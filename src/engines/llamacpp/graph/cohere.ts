// Command R and its successors: attention and feed-forward network read the same norm, and logits are scaled; Cohere 2 has sliding
// layers, which alone are rotated. Law: src/models/command-r.cpp, cohere2.cpp.
import { layerNorm } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { dense, gathersLast, gatingOf, routed, shared } from './experts.ts';
import { type At, type DecoderParts, parallelDecoder, ropeFactors, rotated, type Summands, states } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const parts = {
  kind: 'layer',
  sum: (b: Build, x: Summands) => b.add(b.add(x.network, x.residual), x.attended),
  finish: (b: Build, logits: GraphTensor) => (states(b, 'logit_scale') ? b.scale(logits) : logits),
} satisfies DecoderParts & { sum: unknown };

/** Larger models have norms of Q and K. */
function perhapsNormed({ b, layer }: At, t: GraphTensor, name: string): GraphTensor {
  if (!b.layerOptional(layer, `${name}.weight`)) return t;
  if (b.input.rules['dense.commandViews'] !== true) return layerNorm(b, t, layer, name, 'layer');
  const [size, heads, tokens] = t.ne;
  const view = b.view(t.src[0]!, { ne: [size, heads, tokens], nb: [4 * size, 4 * size * heads] });
  return b.reshape(layerNorm(b, view, layer, name, 'layer'), size, heads, tokens);
}

const commandR: GraphBuilder = (b) =>
  parallelDecoder(b, {
    ...parts,
    rotate: (at, { q, k, v }) =>
      rotated(at, { q: perhapsNormed(at, q, 'attn_q_norm'), k: perhapsNormed(at, k, 'attn_k_norm'), v }),
  });

const cohere2: GraphBuilder = (b) =>
  parallelDecoder(b, {
    ...parts,
    rotate: (at, x) => (b.hp.sliding[at.layer] ? rotated(at, x, ropeFactors(at)) : x),
  });

/** Half of what experts and shared experts add up to. */
function halvedMixture(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return dense(at, x);
  const mixed = routed(at, x, { gating: gatingOf(b, 'sigmoid') });
  const all = shared(at, x);
  return all ? b.scale(b.add(mixed, all)) : mixed;
}

/** Leading dense layers are rotated as well, though they see all. */
const cohere2moe: GraphBuilder = (b) =>
  parallelDecoder(b, {
    ...parts,
    kind: states(b, 'attention.layer_norm_rms_epsilon') ? 'rms' : 'layer',
    rotate: (at, x) =>
      b.hp.sliding[at.layer] || at.layer < b.hp.experts!.leadingDense ? rotated(at, x, ropeFactors(at)) : x,
    network: halvedMixture,
    gathersLast: gathersLast(b),
  });

export const cohereBuilders: Readonly<Record<string, GraphBuilder>> = { 'command-r': commandR, cohere2, cohere2moe };
