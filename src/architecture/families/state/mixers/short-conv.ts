// The gated short convolution of LFM2: two gates and a value, a depthwise convolution over a few tokens, no recurrence.
// Law: vllm/model_executor/layers/mamba/short_conv.py (0.11 to 0.33).
import { column, linear, row, type Where } from '../../../build.ts';
import type { StateLayout, TensorGroup } from '../../../types.ts';
import { convolution } from './parts.ts';

export interface ShortConvSizes {
  dim: number;
  conv: number;
  bias: boolean;
}

export function shortConvMixer(prefix: string, { dim, conv, bias }: ShortConvSizes, where: Where): TensorGroup[] {
  return [
    ...convolution(`${prefix}.conv`, dim, conv, { ...where, bias }),
    ...linear(`${prefix}.in_proj`, [3 * dim, dim], { ...where, role: 'state-in', shard: column, bias }),
    ...linear(`${prefix}.out_proj`, [dim, dim], { ...where, role: 'state-out', shard: row, bias }),
  ];
}

export function shortConvState({ dim, conv }: ShortConvSizes): StateLayout {
  return { type: 'short-conv', dim, conv };
}
