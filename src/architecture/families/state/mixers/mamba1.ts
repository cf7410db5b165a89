// The Mamba-1 mixer (Mamba, Falcon-Mamba, Jamba): selective scan over `inner` channels, all of them split by tensor
// parallelism. vLLM builds its projections without a quantization config, so no scheme reaches them.
// Law: vllm/model_executor/layers/mamba/mamba_mixer.py (same in 0.10 to 0.33).
import { column, linear, replicated, row, type Where } from '../../../build.ts';
import type { StateLayout, TensorGroup } from '../../../types.ts';
import { convolution, parameter } from './parts.ts';

export interface Mamba1Sizes {
  hiddenSize: number;
  inner: number;
  state: number;
  conv: number;
  timeStepRank: number;
  convBias: boolean;
  bias: boolean;
  /** Norms of the time step, B and C: with weights in the file (Jamba), with ones only (Falcon-Mamba), or absent. */
  innerNorms: 'stored' | 'weightless' | 'none';
}

export function mamba1Mixer(prefix: string, sizes: Mamba1Sizes, where: Where): TensorGroup[] {
  const { hiddenSize, inner, state, timeStepRank, bias } = sizes;
  const projection = { ...where, linear: false } as const;
  return [
    ...convolution(`${prefix}.conv1d`, inner, sizes.conv, { ...where, bias: sizes.convBias }),
    ...linear(`${prefix}.in_proj`, [2 * inner, hiddenSize], { ...projection, role: 'state-in', shard: column, bias }),
    ...linear(`${prefix}.x_proj`, [timeStepRank + 2 * state, inner], {
      ...projection,
      role: 'state-other',
      shard: row,
    }),
    ...linear(`${prefix}.dt_proj`, [inner, timeStepRank], {
      ...projection,
      role: 'state-other',
      shard: column,
      bias: true,
    }),
    parameter(`${prefix}.A_log`, [inner, state], { ...where, shard: column, dtype: 'float32' }),
    parameter(`${prefix}.D`, [inner], { ...where, shard: column }),
    ...linear(`${prefix}.out_proj`, [hiddenSize, inner], { ...projection, role: 'state-out', shard: row, bias }),
    ...innerNorms(prefix, sizes, where),
  ];
}

export function mamba1State({ inner, state, conv }: Mamba1Sizes): StateLayout {
  return { type: 'mamba1', inner, state, conv };
}

function innerNorms(prefix: string, sizes: Mamba1Sizes, where: Where): TensorGroup[] {
  if (sizes.innerNorms === 'none') return [];
  const options = { ...where, shard: replicated, ...(sizes.innerNorms === 'weightless' ? { derived: true } : {}) };
  return [
    parameter(`${prefix}.dt_layernorm.weight`, [sizes.timeStepRank], options),
    parameter(`${prefix}.b_layernorm.weight`, [sizes.state], options),
    parameter(`${prefix}.c_layernorm.weight`, [sizes.state], options),
  ];
}
