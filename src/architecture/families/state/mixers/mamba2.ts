// The Mamba-2 mixer (Nemotron-H, Granite 4 hybrids, Falcon-H1): heads of a scalar decay whose B and C vectors are shared by
// groups. Ranks split heads; groups follow their heads and are repeated where there are fewer groups than ranks.
// Law: vllm/model_executor/layers/mamba/mamba_mixer2.py (0.10 to 0.33).
import type { ModelConfig } from '../../../../spec/model.ts';
import { column, kvHeads, linear, row, type Where } from '../../../build.ts';
import type { Shard, StateLayout, TensorGroup } from '../../../types.ts';
import { flagOf, numberOf } from '../text.ts';
import { convolution, parameter } from './parts.ts';

export interface Mamba2Sizes {
  hiddenSize: number;
  /** heads x headDim. */
  inner: number;
  state: number;
  conv: number;
  heads: number;
  headDim: number;
  groups: number;
  convBias: boolean;
  bias: boolean;
  /** The gated norm has a weight (Falcon-H1 may leave the norm out). */
  gatedNorm: boolean;
}

export function mamba2Mixer(prefix: string, sizes: Mamba2Sizes, where: Where): TensorGroup[] {
  const { hiddenSize, inner, heads, bias } = sizes;
  return [
    ...convolution(`${prefix}.conv1d`, convChannels(sizes), sizes.conv, {
      ...where,
      bias: sizes.convBias,
      shard: { by: 'segments', segments: [{ rows: inner, shard: column }, groupRows(sizes), groupRows(sizes)] },
    }),
    ...linear(`${prefix}.in_proj`, [projectionRows(sizes), hiddenSize], {
      ...where,
      role: 'state-in',
      shard: projectionShard(sizes),
      bias,
    }),
    parameter(`${prefix}.A_log`, [heads], { ...where, shard: column, dtype: 'float32' }),
    parameter(`${prefix}.D`, [heads], { ...where, shard: column }),
    parameter(`${prefix}.dt_bias`, [heads], { ...where, shard: column }),
    ...linear(`${prefix}.out_proj`, [hiddenSize, inner], { ...where, role: 'state-out', shard: row, bias }),
    ...(sizes.gatedNorm ? [parameter(`${prefix}.norm.weight`, [inner], { ...where, shard: column })] : []),
  ];
}

export function mamba2State({ inner, state, conv, heads, headDim, groups }: Mamba2Sizes): StateLayout {
  return { type: 'mamba2', inner, state, conv, heads, headDim, groups };
}

/** Rows of in_proj: gate and x (inner each), B and C (groups x state each), one time step per head. */
export function projectionRows(sizes: Mamba2Sizes): number {
  return sizes.inner + convChannels(sizes) + sizes.heads;
}

export function projectionShard(sizes: Mamba2Sizes): Shard {
  const inner = { rows: sizes.inner, shard: column };
  const heads = { rows: sizes.heads, shard: column };
  return { by: 'segments', segments: [inner, inner, groupRows(sizes), groupRows(sizes), heads] };
}

function convChannels({ inner, groups, state }: Mamba2Sizes): number {
  return inner + 2 * groups * state;
}

/** B or C: one block of `state` rows per group, kept whole when ranks outnumber the groups. */
function groupRows({ groups, state }: Mamba2Sizes): { rows: number; shard: Shard } {
  return { rows: groups * state, shard: kvHeads(groups) };
}

/** The mixer of a configuration with mamba_* keys; Bamba, Granite hybrids and Falcon-H1 share the defaults. */
export function mamba2Sizes(config: ModelConfig): Mamba2Sizes {
  const { hiddenSize, mambaDHead } = config;
  const inner = numberOf(config, 'mambaDSsm', numberOf(config, 'mambaExpand', 2) * hiddenSize);
  const heads = numberOf(config, 'mambaNHeads', 128);
  return {
    hiddenSize,
    inner,
    state: numberOf(config, 'mambaDState', 256),
    conv: numberOf(config, 'mambaDConv', 4),
    heads,
    headDim: typeof mambaDHead === 'number' ? mambaDHead : inner / heads,
    groups: numberOf(config, 'mambaNGroups', 1),
    convBias: flagOf(config, 'mambaConvBias', true),
    bias: flagOf(config, 'mambaProjBias', false),
    gatedNorm: true,
  };
}
