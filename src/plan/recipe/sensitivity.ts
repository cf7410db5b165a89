// How much a tensor minds losing bits, as the published K-quant mixes reveal it, and how few bits they ever give it. A mix that
// has Q6_K for attn_v beside Q4_K for the rest spends as if a parameter of attn_v were worth that much more: each type is the
// right one at some exchange rate of loss for bits on the published curve, and the ratio of two rates is the sensitivity. No figure
// here is ours: the mixes are src/llama-quant.cpp's (attn_v, ffn_down, output; first, last and every third layer), the curve is
// the perplexity README's. Weights of the mixes Q2_K, Q3_K_M, Q4_K_M and Q5_K_M enter by their geometric mean.
import { applyMix, type MixName } from '../../accounting/gguf-mix/index.ts';
import { type GgmlType, ggmlTypes, isQuantized } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { ggmlLoss } from './loss.ts';

/** The mixes that their sizes are named after. */
const revealingMixes = ['q2_k', 'q3_k_m', 'q4_k_m', 'q5_k_m'] as const satisfies readonly MixName[];

/** Mixes that say how few bits a tensor may have; the second list with an importance matrix. */
const plainMixes = [
  'q2_k_s',
  'q2_k',
  'q3_k_s',
  'q3_k_m',
  'q3_k_l',
  'q4_k_s',
  'q4_k_m',
  'q5_k_s',
  'q5_k_m',
  'q6_k',
  'q8_0',
] as const;
const imatrixMixes = [
  'iq1_s',
  'iq1_m',
  'iq2_xxs',
  'iq2_xs',
  'iq2_s',
  'iq2_m',
  'iq3_xxs',
  'iq3_xs',
  'iq3_s',
  'iq3_m',
  'iq4_xs',
] as const;

/** Mixes that a recipe may be compared with. */
export function namedMixes(imatrix: boolean): readonly MixName[] {
  return imatrix ? [...plainMixes, ...imatrixMixes] : plainMixes;
}

/** Sensitivity by tensor name; a tensor that no mix spares has 1. */
export function sensitivities(model: GgufModel): Map<string, number> {
  const probe = probeOf(model);
  const logs = new Map<string, number>();
  for (const mix of revealingMixes) {
    const base = exchangeRate(baseType[mix]);
    for (const { name, type } of applyMix(probe, mix, { rules: 'current' }).tensors) {
      if (!isQuantized(type)) continue;
      logs.set(name, (logs.get(name) ?? 0) + Math.log(base / exchangeRate(type)) / revealingMixes.length);
    }
  }
  return new Map([...logs].map(([name, log]) => [name, Math.exp(log)]));
}

/** Fewest bits per weight that any mix gives each tensor. */
export function leastBits(model: GgufModel, imatrix: boolean): Map<string, number> {
  const probe = probeOf(model);
  const least = new Map<string, number>();
  for (const mix of namedMixes(imatrix)) {
    for (const { name, type } of applyMix(probe, mix, { imatrix, rules: 'current' }).tensors) {
      least.set(name, Math.min(least.get(name) ?? Infinity, bitsOf(type)));
    }
  }
  return least;
}

export function bitsOf(type: GgmlType): number {
  const { block, bytes } = ggmlTypes[type];
  return (bytes * 8) / block;
}

const baseType: Record<(typeof revealingMixes)[number], GgmlType> = {
  q2_k: 'q2_k',
  q3_k_m: 'q3_k',
  q4_k_m: 'q4_k',
  q5_k_m: 'q5_k',
};

/** The model in 16 bits with rows that every type divides: what the mixes say, not what shapes force. */
function probeOf(model: GgufModel): GgufModel {
  const tensors = model.tensors.map(
    (tensor): GgufTensor => ({
      ...tensor,
      ne: [(tensor.ne[0] ?? 1) > 1 ? 256 : 1, ...tensor.ne.slice(1)],
      type: 'f16',
    }),
  );
  return { ...model, tensors };
}

const ladder = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'q8_0', 'f16'] as const satisfies readonly GgmlType[];

/**
 * Loss per bit at which a type is the right one: between what the step up to it saved and what the next one would, their
 * geometric middle; the lowest type has the step up only.
 */
function exchangeRate(type: GgmlType): number {
  const i = ladder.indexOf(type as (typeof ladder)[number]);
  const below = i > 0 ? saving(ladder[i - 1]!, ladder[i]!) : undefined;
  const above = saving(ladder[i]!, ladder[i + 1]!);
  return below === undefined ? above : Math.sqrt(below * above);
}

function saving(from: GgmlType, to: GgmlType): number {
  return (ggmlLoss[from]! - ggmlLoss[to]!) / (bitsOf(to) - bitsOf(from));
}
