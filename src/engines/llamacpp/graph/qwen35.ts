// Qwen3-Next and Qwen3.5: three layers of gated delta nets, then one of attention whose result is gated; feed-forward networks or
// mixtures of experts with a gated shared one. Law: src/models/qwen35.cpp, qwen35moe.cpp, qwen3next.cpp.
import { attention } from './attention.ts';
import { ffn, inputEmbeddings, inputOutputIds, inputPositions, layerNorm, linear } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { deltaKernels } from './delta-kernels.ts';
import { scales } from './experts.ts';
import { type DeltaVariant, gate, linearAttention, projectApart, sizes } from './gated-delta.ts';
import { draftableHead, gatherUndrafted, hybridInputs, sharedExpert } from './hybrid.ts';
import { mixture } from './mixture.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { type At, rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** What differs between the two. */
interface Variant extends DeltaVariant {
  attend(at: At, x: GraphTensor, inputs: Parameters<typeof attention>[1]['inputs']): GraphTensor;
}

function gatedDecoder(b: Build, builder: GraphBuilder, variant: Variant): void {
  const kernels = deltaKernels(b, builder);
  let x = inputEmbeddings(b);
  const inputs = hybridInputs(b);
  const positions = inputPositions(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers - b.hp.nextnLayers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    b.expand(normed);
    const t = b.hp.recurrent[layer]
      ? linearAttention({ b, layer, inputs: inputs.state, kernels, variant }, normed)
      : variant.attend({ b, layer, positions }, normed, inputs.attention);
    const [rows, residual] = gatherUndrafted(b, { layer, outputs }, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(rows, residual);
    x = b.add(network(b, layerNorm(b, sum, layer, 'post_attention_norm'), layer), sum);
  }
  draftableHead(b, x, outputs);
}

/** A feed-forward network, or a mixture with a gated shared expert. */
export function network(b: Build, x: GraphTensor, layer: number): GraphTensor {
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'silu' });
  const mixed = mixture(b, x, { layer, gating: 'softmax', normalize: true, scaled: scales(b) });
  if (!b.layerOptional(layer, 'ffn_up_shexp.weight')) return mixed;
  const shared = ffn(b, x, { layer, activation: 'silu', ...sharedExpert });
  const gate = b.unary('sigmoid', b.mulMat(b.layerWeight(layer, 'ffn_gate_inp_shexp.weight'), x));
  return b.add(mixed, b.mul(shared, gate));
}

// Attention; Q and a gate for its result come out of one product.

function jointQuery(b: Build, x: GraphTensor, layer: number) {
  const { tokens } = b.batch;
  const [size, heads, kvHeads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  const both = linear(b, layer, 'attn_q', x);
  const k = linear(b, layer, 'attn_k', x);
  const v = linear(b, layer, 'attn_v', x);
  const part = (of: GraphTensor, from: number) =>
    b.view(of, { ne: [size, heads, tokens], nb: [size * 2 * 4, size * 2 * heads * 4], offset: from * 4 });
  return {
    both,
    part,
    size,
    k: b.reshape(k, size, kvHeads, tokens),
    v: b.reshape(v, b.hp.valueLength[layer]!, kvHeads, tokens),
    flat: [size * heads, tokens] as const,
  };
}

/** Attention whose result is gated by what comes out of the same product as Q. */
export function gatedAttention(
  at: At,
  x: GraphTensor,
  inputs: Parameters<typeof attention>[1]['inputs'],
  reshaped: boolean,
): GraphTensor {
  const { b, layer } = at;
  const { both, part, size, k, v, flat } = jointQuery(b, x, layer);
  const source = reshaped ? b.reshape(both, size * 2, flat[0] / size, flat[1], 1) : both;
  const q = layerNorm(b, part(source, 0), layer, 'attn_q_norm');
  const normedK = layerNorm(b, k, layer, 'attn_k_norm');
  const copied = b.cont(part(source, size), ...flat);
  const gate = reshaped && recurrentRules(b)['recurrent.reshapesGate'] ? b.reshape(copied, ...flat) : copied;
  const t = attention(b, { inputs, layer, output: null, ...rotated(at, { q, k: normedK, v }) });
  return linear(b, layer, 'attn_output', b.mul(t, b.unary('sigmoid', gate)));
}

const qwen35Variant: Variant = {
  project: projectApart,
  gates: (b, x, layer) => {
    const { valueHeads, tokens, sequences } = sizes(b);
    const beta = b.reshape(linear(b, layer, 'ssm_beta', x), 1, valueHeads, tokens, sequences);
    const alpha = b.reshape(linear(b, layer, 'ssm_alpha', x), valueHeads, tokens, sequences);
    return { beta: b.unary('sigmoid', beta), g: gate(b, alpha, layer) };
  },
  spread: (b, x, { single, chunked }) => {
    const { key, keyHeads, valueHeads, tokens, sequences } = sizes(b);
    if (keyHeads === valueHeads || (single && chunked)) return x;
    return b.repeat(x, key, valueHeads, tokens, sequences);
  },
  attend: (at, x, inputs) => gatedAttention(at, x, inputs, false),
};

const qwen3nextVariant: Variant = {
  project: (b, x, layer) =>
    b.layerOptional(layer, 'attn_qkv.weight') ? projectApart(b, x, layer) : projectTogether(b, x, layer),
  gates: (b, x, layer) => {
    const { keyHeads, valueHeads, tokens, sequences } = sizes(b);
    const group = valueHeads / keyHeads;
    const both = b.reshape(linear(b, layer, 'ssm_ba', x), 2 * group, keyHeads, tokens, sequences);
    const half = (offset: number) =>
      b.view(both, { ne: [group, keyHeads, tokens, sequences], nb: [both.nb[1], both.nb[2], both.nb[3]], offset });
    const beta = b.unary('sigmoid', b.cont(half(0)));
    const alpha = b.cont(half(group * 4), valueHeads, tokens, sequences);
    return { g: gate(b, alpha, layer), beta: b.reshape(beta, 1, valueHeads, tokens, sequences) };
  },
  spread: (b, x) => {
    const { key, keyHeads, valueHeads, tokens, sequences } = sizes(b);
    if (keyHeads === valueHeads) return x;
    const rest = tokens * sequences;
    const outer = recurrentRules(b)['recurrent.spreadsTogether'] ? [keyHeads * rest] : [keyHeads, rest];
    const repeated = b.repeat(b.reshape(x, key, 1, ...outer), key, valueHeads / keyHeads, ...outer);
    return b.reshape(repeated, key, valueHeads, tokens, sequences);
  },
  attend: (at, x, inputs) => gatedAttention(at, x, inputs, true),
};

/** Files of the first converter: all four in one matrix, the parts of one key head beside each other. */
function projectTogether(b: Build, x: GraphTensor, layer: number): { mixed: GraphTensor; z: GraphTensor } {
  const { key, keyHeads, value, valueHeads, tokens, sequences } = sizes(b);
  const values = (value * valueHeads) / keyHeads;
  const all = b.reshape(linear(b, layer, 'ssm_in', x), 2 * key + 2 * values, keyHeads, tokens, sequences);
  const part = (width: number, from: number) =>
    b.view(all, { ne: [width, keyHeads, tokens, sequences], nb: [all.nb[1], all.nb[2], all.nb[3]], offset: from * 4 });
  const z = b.cont(part(values, 2 * key + values));
  const flat = (width: number, from: number) => b.cont(part(width, from), width * keyHeads, tokens, sequences);
  const keys = b.concat(flat(key, 0), flat(key, key), 0);
  return { mixed: b.concat(keys, flat(values, 2 * key), 0), z };
}

const qwen35: GraphBuilder = (b) => gatedDecoder(b, qwen35, qwen35Variant);
const qwen3next: GraphBuilder = (b) => gatedDecoder(b, qwen3next, qwen3nextVariant);

export const qwen35Builders: Readonly<Record<string, GraphBuilder>> = { qwen35, qwen35moe: qwen35, qwen3next };
