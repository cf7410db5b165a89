// The changes of shape that the converter makes beyond renaming. Shapes of checkpoints are [out, in], GGUF counts the row first.
import { assert } from '../../assert.ts';
import type { TensorGroup } from '../types.ts';
import type { Context, Transform } from './types.ts';

export function numberOf(context: Context, key: string, fallback?: number): number {
  const value = context.config[key];
  if (typeof value === 'number') return value;
  assert(fallback !== undefined, `${context.spec.id} has no ${key}`);
  return fallback;
}

function rows(group: TensorGroup): { out: number; rest: readonly number[] } {
  const [out = 1, ...rest] = group.shape;
  return { out, rest };
}

/** Cut along the rows: [name, rows] in order. */
export function cut(parts: (context: Context) => readonly (readonly [string, number])[]): Transform {
  return (group, context) => {
    const { out, rest } = rows(group);
    const list = parts(context);
    const total = list.reduce((sum, [, n]) => sum + n, 0);
    assert(total === out, `${context.spec.id} ${group.name}: ${total} of ${out} rows are named`);
    return list.map(([name, n]) => ({ name, ne: [...rest].reverse().concat(n) }));
  };
}

/** [channels, 1, kernel] -> [kernel, channels]. */
export const squeezed =
  (name: string): Transform =>
  (group) => [{ name, ne: [group.shape.at(-1) ?? 1, group.shape[0] ?? 1] }];

/** Kimi: [channels, 1, kernel] -> [kernel, 1, channels]. */
export const spreadConv =
  (name: string): Transform =>
  (group) => [{ name, ne: [group.shape.at(-1) ?? 1, 1, group.shape[0] ?? 1] }];

/** One value per head as a column, so that it broadcasts: [heads] -> [1, heads]. */
export const column =
  (name: string): Transform =>
  (group) => [{ name, ne: [1, group.shape[0] ?? 1] }];

/** The norm over the inner dimension, by groups: [inner] -> [inner / groups, groups]. */
export const grouped =
  (name: string, groupsKey: string): Transform =>
  (group, context) => {
    const groups = numberOf(context, groupsKey, 1);
    return [{ name, ne: [(group.shape[0] ?? 1) / groups, groups] }];
  };

/** Multi-head latent attention with absorption: kv_b becomes k_b (transposed) and v_b, one matrix per head. */
export const absorbedKvB: Transform = (group, context) => {
  const heads = context.config.heads;
  const nope = numberOf(context, 'qkNopeHeadDim');
  const value = numberOf(context, 'vHeadDim');
  const { out, rest } = rows(group);
  assert(out === heads * (nope + value), `${context.spec.id} ${group.name}: unexpected rows`);
  const rank = rest[0] ?? 0;
  return [
    { name: 'attn_k_b.weight', ne: [nope, rank, heads] },
    { name: 'attn_v_b.weight', ne: [rank, value, heads] },
  ];
};

/** q, k and v as one matrix; emitted in the place of q. */
export function fusedQkv(suffix: 'weight' | 'bias'): Record<string, Transform> {
  return {
    [`self_attn.q_proj.${suffix}`]: (group, context) => {
      const { out, rest } = rows(group);
      const heads = context.config.heads;
      const kv = ((context.config.kvHeads ?? heads) * out) / heads;
      return [{ name: `attn_qkv.${suffix}`, ne: [...rest].reverse().concat(out + 2 * kv) }];
    },
    [`self_attn.k_proj.${suffix}`]: () => [],
    [`self_attn.v_proj.${suffix}`]: () => [],
  };
}

/** Mamba 2 under the given module name. */
export function mamba2(module: 'mamba' | 'mixer', groupsKey: string): Record<string, Transform> {
  return {
    [`${module}.conv1d.weight`]: squeezed('ssm_conv1d.weight'),
    [`${module}.A_log`]: column('ssm_a'),
    [`${module}.D`]: column('ssm_d'),
    [`${module}.norm.weight`]: grouped('ssm_norm.weight', groupsKey),
  };
}

/** Mamba 1: A has a row of states per channel. */
export function mamba1(module: 'mamba' | 'mixer'): Record<string, Transform> {
  return { [`${module}.conv1d.weight`]: squeezed('ssm_conv1d.weight') };
}

export const kdaConvolutions: Record<string, Transform> = {
  'self_attn.q_conv1d.weight': spreadConv('ssm_conv1d_q.weight'),
  'self_attn.k_conv1d.weight': spreadConv('ssm_conv1d_k.weight'),
  'self_attn.v_conv1d.weight': spreadConv('ssm_conv1d_v.weight'),
  'self_attn.A_log': column('ssm_a'),
};
