// A gated delta net as Qwen3-Next and Qwen3.5 have it: projections, a convolution, the delta rule, a gated norm.
// Law: src/models/qwen35.cpp, qwen3next.cpp (build_layer_attn_linear).
import { linear, norm } from './blocks.ts';
import type { Build } from './build.ts';
import type { DeltaKernels } from './delta-kernels.ts';
import { convolutionInput, deltaNet } from './delta-net.ts';
import { readStates, type StateInputs, sequenceTokens, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

/** What the two do differently. */
export interface DeltaVariant {
  /** The delta net's gates of a layer, 1 x heads x tokens x sequences. */
  gates(b: Build, x: GraphTensor, layer: number): { g: GraphTensor; beta: GraphTensor };
  /** Q or K with as many heads as V, unless the operation repeats them. */
  spread(b: Build, x: GraphTensor, kernels: DeltaKernels): GraphTensor;
  /** Q, K and V together, and the gate of the result. */
  project(b: Build, x: GraphTensor, layer: number): { mixed: GraphTensor; z: GraphTensor };
}

export interface LinearAt {
  b: Build;
  layer: number;
  inputs: StateInputs;
  kernels: DeltaKernels;
  variant: DeltaVariant;
}

/** Sizes of the delta net; the file gives them the names of a state space's. */
export function sizes(b: Build) {
  const { inner, state: key, groups: keyHeads, timeStepRank: valueHeads } = b.hp.ssm!;
  const { sequences } = b.batch;
  return { key, keyHeads, valueHeads, value: inner / valueHeads, tokens: sequenceTokens(b), sequences };
}

/** A layer's delta net and the gate of its result (build_layer_attn_linear). */
export function linearAttention({ b, layer, inputs, kernels, variant }: LinearAt, x: GraphTensor): GraphTensor {
  const { key, keyHeads, value, valueHeads, tokens, sequences } = sizes(b);
  const { mixed, z } = variant.project(b, x, layer);
  const { g, beta } = variant.gates(b, x, layer);
  const all = convolutionInput(b, inputs, layer, mixed);
  const states = stateTensor(b, inputs, layer, 'state');
  const state = b.reshape(readStates(b, inputs, states), value, value, valueHeads, sequences);
  const convolved = b.unary('silu', b.ssmConv(all, b.layerWeight(layer, 'ssm_conv1d.weight')));
  const row = b.rowSize(convolved.type, key * keyHeads * 2 + value * valueHeads);
  const part = (size: number, heads: number, from: number) =>
    b.view(convolved, {
      ne: [size, heads, tokens, sequences],
      nb: [b.rowSize(convolved.type, size), row, row * tokens],
      offset: b.rowSize(convolved.type, from),
    });
  const l2 = recurrentRules(b)['recurrent.deltaNorm'] === 'l2';
  const unit = (t: GraphTensor) => (l2 ? b.l2Norm(t) : b.scale(b.rmsNorm(t)));
  const normed = (from: number) => variant.spread(b, unit(part(key, keyHeads, from)), kernels);
  const [q, k] = [normed(0), normed(key * keyHeads)];
  const v = part(value, valueHeads, 2 * key * keyHeads);
  const output = deltaNet(b, { q, k, v, g, beta, state }, states, kernels);
  const gate = b.reshape(z, value, valueHeads, tokens, sequences);
  const scaled = norm(b, output, { weight: b.layerWeight(layer, 'ssm_norm.weight'), layer });
  const gated = b.mul(scaled, b.unary('silu', gate));
  const t = linear(b, layer, 'ssm_out', b.reshape(gated, value * valueHeads, tokens, sequences));
  return b.reshape(t, b.hp.embd, tokens * sequences);
}

/** Q, K and V together, and the gate of the result. */
export function projectApart(b: Build, x: GraphTensor, layer: number): { mixed: GraphTensor; z: GraphTensor } {
  const { tokens, sequences } = sizes(b);
  const mixed = linear(b, layer, 'attn_qkv', x);
  return { mixed: b.reshape(mixed, mixed.ne[0], tokens, sequences), z: linear(b, layer, 'attn_gate', x) };
}

/** Decay and rate from what a step size's bias and scale make of alpha. */
export function gate(b: Build, alpha: GraphTensor, layer: number): GraphTensor {
  const { valueHeads, tokens, sequences } = sizes(b);
  const biased = b.add(alpha, b.layerWeight(layer, 'ssm_dt.bias'));
  const t = b.mul(b.unary('softplus', biased), b.layerWeight(layer, 'ssm_a'));
  return b.reshape(t, 1, valueHeads, tokens, sequences);
}
