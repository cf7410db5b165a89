// Kimi Linear: three layers of a delta net with a gate for every channel, then one of latent attention without rotation.
// Law: src/models/kimi-linear.cpp.
import { attention, type CacheInputs } from './attention.ts';
import { gatherOutputs, inputEmbeddings, inputOutputIds, layerNorm, norm, outputHead, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { type DeltaKernels, deltaKernels } from './delta-kernels.ts';
import { deltaRule } from './delta-net.ts';
import { leadingDense } from './experts.ts';
import { hybridInputs } from './hybrid.ts';
import { readStates, type StateInputs, sequenceTokens, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

const kimiLinear: GraphBuilder = (b) => {
  const kernels = deltaKernels(b, kimiLinear);
  let x = inputEmbeddings(b);
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    b.expand(normed);
    const t = b.hp.recurrent[layer]
      ? deltaAttention({ b, layer, inputs: inputs.state, kernels }, normed)
      : latentAttention(b, normed, layer, inputs.attention);
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(rows, residual);
    const at = { b, layer, positions: sum };
    x = b.add(leadingDense(at, layerNorm(b, sum, layer, 'ffn_norm')), sum);
  }
  outputHead(b, x);
};

export interface DeltaAt {
  b: Build;
  layer: number;
  inputs: StateInputs;
  kernels: DeltaKernels;
}

function deltaAttention(at: DeltaAt, x: GraphTensor): GraphTensor {
  const { b, layer, inputs, kernels } = at;
  const { tokens, sequences } = b.batch;
  const [size, heads, each] = [b.hp.kda!.headDim, b.hp.heads[0]!, sequenceTokens(b)];
  const weight = (name: string) => b.layerWeight(layer, `${name}.weight`);
  const tails = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  const [q, k, v] = projections(at, x).map((t, i) => convolved(at, tails, t, i)) as [
    GraphTensor,
    GraphTensor,
    GraphTensor,
  ];
  let gate = b.mulMat(weight('ssm_f_b'), b.mulMat(weight('ssm_f_a'), x));
  gate = b.unary('softplus', b.add(gate, b.layerWeight(layer, 'ssm_dt.bias')));
  gate = b.mul(b.reshape(gate, size, heads, tokens), b.reshape(b.layerWeight(layer, 'ssm_a'), 1, heads, 1));
  const g = b.reshape(gate, size, heads, each, sequences);
  const beta = b.unary('sigmoid', b.reshape(b.mulMat(weight('ssm_beta'), x), 1, heads, each, sequences));
  const whole = b.reshape(x, x.ne[0], each, sequences);
  const states = stateTensor(b, inputs, layer, 'state');
  const state = b.reshape(readStates(b, inputs, states), size, size, heads, sequences);
  const l2 = recurrentRules(b)['recurrent.deltaNorm'] === 'l2';
  const unit = (t: GraphTensor) => (l2 ? b.l2Norm(t) : b.scale(b.rmsNorm(t)));
  const result = deltaRule(b, { q: unit(q), k: unit(k), v, g, beta, state }, kernels);
  const output = b.cont(result.output);
  const row = { ne: [states.ne[0] * sequences] };
  b.expand(b.cpy(result.state, b.view(states, row)));
  const flat = b.reshape(whole, whole.ne[0], tokens);
  const outer = b.reshape(b.mulMat(weight('ssm_g_b'), b.mulMat(weight('ssm_g_a'), flat)), size, heads, tokens);
  const normed = norm(b, b.reshape(output, size, heads, tokens), { weight: weight('ssm_norm'), layer });
  const gated = b.cont(b.mul(normed, b.unary('sigmoid', outer)), size * heads, tokens);
  return b.mulMat(weight('attn_output'), gated);
}

/** Q, K and V before their convolutions, tokens in one row each. */
function projections({ b, layer }: DeltaAt, x: GraphTensor): GraphTensor[] {
  const weight = (name: string) => b.layerWeight(layer, `${name}.weight`);
  const fused = b.layerOptional(layer, 'attn_qkv.weight');
  if (!fused) return ['attn_q', 'attn_k', 'attn_v'].map((name) => b.mulMat(weight(name), x));
  const all = b.mulMat(fused, x);
  const width = b.hp.kda!.headDim * b.hp.heads[0]!;
  return [0, 1, 2].map((i) =>
    b.cont(b.view(all, { ne: [width, b.batch.tokens], nb: [all.nb[1]], offset: width * i * 4 })),
  );
}

/** causal_conv1d: Q, K and V have parts of one tail. */
export function convolved(
  { b, layer, inputs }: DeltaAt,
  tails: GraphTensor,
  x: GraphTensor,
  part: number,
): GraphTensor {
  const { tokens, sequences } = b.batch;
  const [size, heads, each] = [b.hp.kda!.headDim, b.hp.heads[0]!, sequenceTokens(b)];
  const [width, length] = [size * heads, b.hp.ssm!.conv - 1];
  const cache = stateTensor(b, inputs, layer, 'conv');
  const place = {
    ne: [length, width, sequences],
    nb: [length * 4, 3 * length * width * 4],
    offset: part * length * width * 4,
  };
  const before = b.view(tails, place);
  const all = b.concat(before, b.transpose(b.reshape(x, width, each, sequences)), 0);
  const last = { ne: [length, width, sequences], nb: [all.nb[1], all.nb[2]], offset: each * all.nb[0] };
  b.expand(b.cpy(b.view(all, last), b.view(cache, place)));
  const kernel = b.layerWeight(layer, `ssm_conv1d_${['q', 'k', 'v'][part]}.weight`);
  const t = b.ssmConv(all, b.reshape(kernel, length + 1, width), recurrentRules(b)['recurrent.cuda']);
  return b.reshape(b.unary('silu', b.reshape(t, width, tokens)), size, heads, each, sequences);
}

// Latent attention.

function latentAttention(b: Build, x: GraphTensor, layer: number, inputs: CacheInputs): GraphTensor {
  const q = b.mulMat(b.layerWeight(layer, 'attn_q.weight'), x);
  const compressed = { q, ...compress(b, x, layer) };
  const isSplit = b.layerOptional(layer, 'attn_k_b.weight') !== undefined;
  return attention(b, { inputs, layer, ...(isSplit ? absorbed : expanded)(b, layer, compressed) });
}

interface Compressed {
  q: GraphTensor;
  normed: GraphTensor;
  shared: GraphTensor;
}

/** What is cached of a token: the latent that all heads have in common, and the part that would be rotated. */
export function compress(b: Build, x: GraphTensor, layer: number): Omit<Compressed, 'q'> {
  const { mla, expandedMla, ropeDim: rope } = b.hp;
  const { tokens } = b.batch;
  const rank = (mla ?? expandedMla)!.kvLoraRank;
  const both = b.mulMat(b.layerWeight(layer, 'attn_kv_a_mqa.weight'), x);
  const row = b.rowSize(both.type, rank + rope);
  const common = b.view(both, { ne: [rank, tokens], nb: [row] });
  const shared = b.view(both, { ne: [rope, 1, tokens], nb: [row, row], offset: b.rowSize(both.type, rank) });
  const normed = norm(b, common, { weight: b.layerWeight(layer, 'attn_kv_a_norm.weight'), layer });
  return { normed, shared };
}

/** Queries multiplied into the latent's space: attention reads the latents as they are cached. */
export function absorbed(b: Build, layer: number, { q, normed, shared }: Compressed) {
  const { mla, ropeDim: rope } = b.hp;
  const { tokens } = b.batch;
  const [rank, key, heads] = [mla!.kvLoraRank, mla!.keyLength, b.hp.heads[layer]!];
  const wide = b.rowSize(q.type, key);
  const part = (size: number, from: number) =>
    b.view(q, { ne: [size, heads, tokens], nb: [wide, wide * heads], offset: b.rowSize(q.type, from) });
  const inCommon = b.mulMat(b.layerWeight(layer, 'attn_k_b.weight'), b.permute(part(key - rope, 0), 0, 2, 1, 3));
  const v = b.reshape(normed, rank, 1, tokens);
  const queries = b.concat(b.permute(inCommon, 0, 2, 1, 3), part(rope, key - rope), 0);
  const latent = { rank, values: b.layerWeight(layer, 'attn_v_b.weight') };
  return { q: queries, k: b.concat(v, shared, 0), v, latent };
}

/** Keys and values of every head, in files without the parts of the second product. */
function expanded(b: Build, layer: number, { q, normed, shared }: Compressed): Qkv {
  const { tokens } = b.batch;
  const heads = b.hp.heads[layer]!;
  const [key, value, rope] = [b.hp.keyLength[layer]!, b.hp.valueLength[layer]!, b.hp.ropeDim];
  const both = b.mulMat(b.layerWeight(layer, 'attn_kv_b.weight'), normed);
  const row = b.rowSize(both.type, key - rope + value);
  const part = (size: number, from: number) =>
    b.view(both, { ne: [size, heads, tokens], nb: [row, row * heads], offset: b.rowSize(both.type, from) });
  const plain = part(key - rope, 0);
  const v = b.cont(part(value, key - rope));
  return {
    q: b.reshape(q, key, heads, tokens),
    k: b.concat(b.repeat(shared, rope, heads, tokens), plain, 0),
    v,
  };
}

export const kimiBuilders: Readonly<Record<string, GraphBuilder>> = { 'kimi-linear': kimiLinear };
