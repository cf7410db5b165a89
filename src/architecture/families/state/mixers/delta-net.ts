// The gated delta net (Qwen3-Next, Qwen3.5): a matrix state per value head, keys shared by groups of value heads. The two
// checkpoint layouts differ in names only: interleaved by key head (Qwen3-Next) or one matrix per quantity (Qwen3.5).
// Law: vllm/model_executor/layers/mamba/gdn/qwen_gdn_linear_attn.py (0.33), models/qwen3_next.py (0.10.2 to 0.27).
import { column, linear, replicated, row, type Where } from '../../../build.ts';
import type { StateLayout, TensorGroup } from '../../../types.ts';
import { convolution, parameter } from './parts.ts';

export interface DeltaNetSizes {
  hiddenSize: number;
  keyHeads: number;
  valueHeads: number;
  keyDim: number;
  valueDim: number;
  conv: number;
  /** in_proj_qkvz and in_proj_ba stand as one matrix each in the file. */
  interleaved: boolean;
}

export function deltaNetMixer(prefix: string, sizes: DeltaNetSizes, where: Where): TensorGroup[] {
  const { hiddenSize, keyHeads, valueHeads, keyDim, valueDim } = sizes;
  const keys = keyHeads * keyDim;
  const values = valueHeads * valueDim;
  const input = (name: string, rows: number, merge?: string) =>
    linear(`${prefix}.${name}`, [rows, hiddenSize], {
      ...where,
      role: 'state-in',
      shard: column,
      ...(merge ? { merge: `${prefix}.${merge}` } : {}),
    });
  return [
    ...convolution(`${prefix}.conv1d`, 2 * keys + values, sizes.conv, where),
    ...(sizes.interleaved
      ? [...input('in_proj_qkvz', 2 * keys + 2 * values), ...input('in_proj_ba', 2 * valueHeads)]
      : [
          ...input('in_proj_qkv', 2 * keys + values, 'in_proj_qkvz'),
          ...input('in_proj_z', values, 'in_proj_qkvz'),
          ...input('in_proj_b', valueHeads, 'in_proj_ba'),
          ...input('in_proj_a', valueHeads, 'in_proj_ba'),
        ]),
    parameter(`${prefix}.dt_bias`, [valueHeads], { ...where, shard: column }),
    parameter(`${prefix}.A_log`, [valueHeads], { ...where, shard: column, dtype: 'float32' }),
    parameter(`${prefix}.norm.weight`, [valueDim], { ...where, shard: replicated }),
    ...linear(`${prefix}.out_proj`, [hiddenSize, values], { ...where, role: 'state-out', shard: row }),
  ];
}

export function deltaNetState({ keyHeads, valueHeads, keyDim, valueDim, conv }: DeltaNetSizes): StateLayout {
  return { type: 'gdn', keyHeads, valueHeads, keyDim, valueDim, conv };
}
