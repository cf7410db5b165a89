// The latent attention of Kimi-Linear and Kimi-K3: DeepSeek's MLA without rotary positions, with the query either full rank
// or through a latent, and in K3 an output gate. Latent projections are whole on every rank, the rest is split by heads.
// vllm/models/kimi_k3/nvidia/mla.py (0.33), model_executor/models/kimi_linear.py (0.11.2 to 0.26).
import type { ModelConfig } from '../../../spec/model.ts';
import { column, linear, norm, replicated, row, type Where } from '../../build.ts';
import type { CacheLayout, TensorGroup } from '../../types.ts';
import { flagOf, numberOf } from './text.ts';

export function kimiAttention(prefix: string, config: ModelConfig, where: Where): TensorGroup[] {
  const { hiddenSize, heads } = config;
  const { nope, rope, value, latent } = sizesOf(config);
  const queryLatent = config.qLoraRank === undefined ? undefined : numberOf(config, 'qLoraRank');
  const gate = flagOf(config, 'mlaUseOutputGate', false);
  const merge = queryLatent ? { merge: `${prefix}.${gate ? 'fused_qkv_a_g_proj' : 'fused_qkv_a_proj'}` } : {};
  const input = { ...where, ...merge };
  const query = heads * (nope + rope);
  return [
    ...(queryLatent
      ? linear(`${prefix}.q_a_proj`, [queryLatent, hiddenSize], { ...input, role: 'q-a', shard: replicated })
      : linear(`${prefix}.q_proj`, [query, hiddenSize], { ...where, role: 'q', shard: column })),
    ...linear(`${prefix}.kv_a_proj_with_mqa`, [latent + rope, hiddenSize], {
      ...input,
      role: 'kv-a',
      shard: replicated,
    }),
    ...(gate
      ? linear(`${prefix}.g_proj`, [heads * value, hiddenSize], { ...input, role: 'attention-other', shard: column })
      : []),
    ...(queryLatent
      ? [
          ...norm(`${prefix}.q_a_layernorm`, queryLatent, where),
          ...linear(`${prefix}.q_b_proj`, [query, queryLatent], { ...where, role: 'q-b', shard: column }),
        ]
      : []),
    ...norm(`${prefix}.kv_a_layernorm`, latent, where),
    ...linear(`${prefix}.kv_b_proj`, [heads * (nope + value), latent], { ...where, role: 'kv-b', shard: column }),
    ...linear(`${prefix}.o_proj`, [hiddenSize, heads * value], { ...where, role: 'o', shard: row }),
  ];
}

export function latentCache(config: ModelConfig): CacheLayout {
  const { latent, rope } = sizesOf(config);
  return { kind: 'mla', latentDim: latent + rope, kvLoraRank: latent, ropeDim: rope };
}

function sizesOf(config: ModelConfig): { nope: number; rope: number; value: number; latent: number } {
  return {
    nope: numberOf(config, 'qkNopeHeadDim'),
    rope: numberOf(config, 'qkRopeHeadDim'),
    value: numberOf(config, 'vHeadDim'),
    latent: numberOf(config, 'kvLoraRank'),
  };
}
