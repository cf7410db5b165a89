// Kimi delta attention (Kimi-Linear, Kimi-K3): a delta net with a decay per channel, three short convolutions kept in
// float32, and low-rank gates; K3's output gate is a full matrix. The narrow decay input f_a is whole on every rank.
// Law: vllm/model_executor/layers/mamba/gdn/kimi_gdn_linear_attn.py and vllm/models/kimi_k3/nvidia/kda.py (0.33);
// model_executor/layers/kda.py (0.11.2 to 0.26) has the same matrices, not yet merged.
import { column, linear, replicated, row, type Where } from '../../../build.ts';
import type { Shard, StateLayout, TensorGroup } from '../../../types.ts';
import { convolution, parameter } from './parts.ts';

export interface KdaSizes {
  hiddenSize: number;
  heads: number;
  headDim: number;
  conv: number;
  fullRankGate: boolean;
}

export function kdaMixer(prefix: string, sizes: KdaSizes, where: Where): TensorGroup[] {
  const { hiddenSize, heads, headDim, fullRankGate } = sizes;
  const width = heads * headDim;
  const merge = `${prefix}.in_proj_qkvgfab`;
  const input = (name: string, rows: number, shard: Shard = column) =>
    linear(`${prefix}.${name}`, [rows, hiddenSize], { ...where, role: 'state-in', shard, merge });
  const widen = (name: string) =>
    linear(`${prefix}.${name}`, [width, headDim], { ...where, role: 'state-other', shard: column });
  const queryKeyValue = ['q_proj', 'k_proj', 'v_proj'].flatMap((name) => input(name, width));
  return [
    ...queryKeyValue,
    ...(fullRankGate
      ? [...input('g_proj', width), ...input('f_a_proj', headDim, replicated), ...input('b_proj', heads)]
      : [...input('b_proj', heads), ...input('f_a_proj', headDim, replicated)]),
    ...widen('f_b_proj'),
    parameter(`${prefix}.dt_bias`, [width], { ...where, shard: column, dtype: 'float32' }),
    ...['q_conv1d', 'k_conv1d', 'v_conv1d'].flatMap((name) =>
      convolution(`${prefix}.${name}`, width, sizes.conv, { ...where, merge: `${prefix}.conv1d`, dtype: 'float32' }),
    ),
    parameter(`${prefix}.A_log`, [heads], {
      ...where,
      shard: column,
      dtype: 'float32',
      fileShape: [1, 1, heads, 1],
    }),
    ...(fullRankGate
      ? []
      : [
          ...linear(`${prefix}.g_a_proj`, [headDim, hiddenSize], { ...where, role: 'state-other', shard: replicated }),
          ...widen('g_b_proj'),
        ]),
    parameter(`${prefix}.o_norm.weight`, [headDim], { ...where, shard: replicated }),
    ...linear(`${prefix}.o_proj`, [hiddenSize, width], { ...where, role: 'state-out', shard: row }),
  ];
}

export function kdaState({ heads, headDim, conv }: KdaSizes): StateLayout {
  return { type: 'kda', heads, headDim, conv };
}
