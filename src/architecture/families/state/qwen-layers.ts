// Layers of Qwen3-Next and Qwen3.5 besides the delta net: attention whose q carries an output gate, the MLP or the mixture
// of experts with its gated shared expert, and the multi-token-prediction layer (one full-attention layer fed by the
// concatenation of embedding and hidden state). vllm/model_executor/models/qwen3_next.py and qwen3_{next,5}_mtp.py.
import type { ModelConfig } from '../../../spec/model.ts';
import {
  attentionSizes,
  column,
  experts,
  gatedMlp,
  kvHeads,
  linear,
  norm,
  range,
  replicated,
  router,
  row,
  stackedExperts,
  type Where,
} from '../../build.ts';
import type { TensorGroup } from '../../types.ts';
import { flagOf, numberOf } from './text.ts';

export interface QwenLayout {
  /** The delta net's projections are interleaved by key head (Qwen3-Next) instead of one matrix per quantity. */
  interleaved: boolean;
  moeLayers: readonly number[];
  /** Experts of a layer share one tensor in the file, gate before up. */
  stackedExperts: boolean;
}

export function gatedAttention(prefix: string, config: ModelConfig, where: Where): TensorGroup[] {
  const { hiddenSize } = config;
  const { heads, kv, headDim, queryDim, kvDim } = attentionSizes(config);
  const gate = flagOf(config, 'attnOutputGate', true) ? 2 : 1;
  const bias = flagOf(config, 'qkvBias', false);
  const shared = { ...where, bias, merge: `${prefix}.qkv_proj` };
  return [
    ...linear(`${prefix}.q_proj`, [gate * heads * headDim, hiddenSize], { ...shared, role: 'q', shard: column }),
    ...linear(`${prefix}.k_proj`, [kvDim, hiddenSize], { ...shared, role: 'k', shard: kvHeads(kv) }),
    ...linear(`${prefix}.v_proj`, [kvDim, hiddenSize], { ...shared, role: 'v', shard: kvHeads(kv) }),
    ...linear(`${prefix}.o_proj`, [hiddenSize, queryDim], { ...where, role: 'o', shard: row }),
    ...norm(`${prefix}.q_norm`, headDim, where),
    ...norm(`${prefix}.k_norm`, headDim, where),
  ];
}

/** The MLPs of `layers`, dense or sparse as the layout says. */
export function qwenFeedForward(
  prefix: string,
  config: ModelConfig,
  layout: QwenLayout,
  layers: readonly number[],
): TensorGroup[] {
  const dense = layers.filter((layer) => !layout.moeLayers.includes(layer));
  return [
    ...(layout.moeLayers.length > 0 ? sparse(prefix, config, layout, { layers: layout.moeLayers }) : []),
    ...(dense.length > 0 ? denseMlp(prefix, config, { layers: dense }) : []),
  ];
}

export function qwenDraft(config: ModelConfig, layout: QwenLayout, count: number): TensorGroup[] {
  if (count === 0) return [];
  const { hiddenSize } = config;
  const part = 'mtp' as const;
  const isSparse = layout.moeLayers.length > 0;
  return [
    ...linear('mtp.fc', [hiddenSize, 2 * hiddenSize], { part, role: 'mtp', shard: column }),
    ...range(count).flatMap((index) => {
      const prefix = `mtp.layers.${index}`;
      return [
        ...gatedAttention(`${prefix}.self_attn`, config, { part }),
        ...(isSparse ? sparse(`${prefix}.mlp`, config, layout, { part }) : denseMlp(`${prefix}.mlp`, config, { part })),
        ...norm(`${prefix}.input_layernorm`, hiddenSize, { part }),
        ...norm(`${prefix}.post_attention_layernorm`, hiddenSize, { part }),
      ];
    }),
    ...norm('mtp.norm', hiddenSize, { part }),
    ...norm('mtp.pre_fc_norm_hidden', hiddenSize, { part }),
    ...norm('mtp.pre_fc_norm_embedding', hiddenSize, { part }),
  ];
}

function denseMlp(prefix: string, config: ModelConfig, where: Where): TensorGroup[] {
  return gatedMlp(prefix, config.hiddenSize, numberOf(config, 'intermediateSize', 5632), where);
}

function sparse(prefix: string, config: ModelConfig, layout: QwenLayout, where: Where): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  const shared = numberOf(config, 'sharedExpertIntermediateSize', 512);
  const sizes = { hiddenSize, intermediateSize: numberOf(config, 'moeIntermediateSize', 512), experts: count };
  return [
    ...router(`${prefix}.gate`, count, hiddenSize, where),
    ...(shared > 0
      ? [
          ...linear(`${prefix}.shared_expert_gate`, [1, hiddenSize], {
            ...where,
            role: 'shared-router',
            shard: replicated,
            linear: false,
          }),
          ...gatedMlp(`${prefix}.shared_expert`, hiddenSize, shared, {
            ...where,
            roles: ['shared-gate', 'shared-up', 'shared-down'],
          }),
        ]
      : []),
    ...(layout.stackedExperts
      ? stackedExperts(
          { gateUp: `${prefix}.experts.gate_up_proj`, down: `${prefix}.experts.down_proj`, merge: `${prefix}.experts` },
          sizes,
          where,
        )
      : experts(`${prefix}.experts`, sizes, where)),
  ];
}
