// Conversions of mixtures of experts and of multi-head latent attention. Law: conversion/{qwen,deepseek,glm,gpt_oss,granite,
// hunyuan,ernie,dbrx,minimax,mimo,kimi_linear,kimi_k3,...}.py (v0.5.0).
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { TensorGroup } from '../types.ts';
import { graniteScales, llama3Frequencies, longropeFactors, normBehindAttention } from './dense.ts';
import { copy, mlaMetadata, perBlock } from './metadata.ts';
import { absorbedKvB, kdaConvolutions, numberOf } from './transforms.ts';
import type { Context, Conversion, Metadata, Piece } from './types.ts';

const experts = (context: Context): Metadata =>
  copy(
    context,
    'expert_feed_forward_length',
    'expert_shared_feed_forward_length',
    'expert_shared_count',
    'leading_dense_block_count',
  );

const latent = { 'self_attn.kv_b_proj.weight': absorbedKvB };
const indexerKeys = ['attention.indexer.head_count', 'attention.indexer.key_length', 'attention.indexer.top_k'];

/** The scale of the router's weights and whether they are normed add operations to the graph; `scale` where none is stated. */
const deepseekRouting = (context: Context, scale: number, norm: boolean): Metadata => ({
  expert_weights_scale: numberOf(context, 'routedScalingFactor', scale),
  expert_weights_norm: norm,
});

const deepseek2: Conversion = {
  architecture: 'deepseek2',
  transforms: latent,
  metadata: (context) => ({
    ...mlaMetadata(context),
    ...(context.spec.modelType === 'deepseek_v2'
      ? deepseekRouting(context, 1, false)
      : deepseekRouting(context, 2.5, true)),
  }),
};

const deepseek32: Conversion = {
  architecture: 'deepseek32',
  transforms: latent,
  drafts: 'kept',
  metadata: (context) => ({
    ...mlaMetadata(context),
    ...copy(context, ...indexerKeys),
    ...deepseekRouting(context, 2.5, true),
  }),
};

const glmDsa: Conversion = {
  ...deepseek32,
  architecture: 'glm-dsa',
  metadata: (context) => {
    const types = context.config.indexerTypes;
    return {
      ...mlaMetadata(context),
      ...copy(context, ...indexerKeys),
      ...deepseekRouting(context, 2.5, true),
      ...(Array.isArray(types) && { 'attention.indexer.types': types.map((type) => type === 'full') }),
    };
  },
};

const glm4Moe: Conversion = {
  architecture: 'glm4moe',
  names: normBehindAttention,
  drafts: 'kept',
  metadata: (context) => ({
    ...experts(context),
    ...deepseekRouting(context, 1, true),
    expert_gating_func: 2,
    'rope.dimension_count': Math.trunc(
      numberOf(context, 'headDim') * (context.config.rope?.partialRotaryFactor ?? 0.5),
    ),
  }),
};

const gptOss: Conversion = {
  architecture: 'gpt-oss',
  names: normBehindAttention,
  metadata: (context) => ({
    ...copy(context, 'attention.sliding_window'),
    expert_feed_forward_length: numberOf(context, 'intermediateSize'),
  }),
};

const graniteMoe: Conversion = {
  architecture: 'granitemoe',
  extra: llama3Frequencies,
  metadata: () => graniteScales,
};

const llama4: Conversion = {
  architecture: 'llama4',
  extra: llama3Frequencies,
  metadata: (context) => ({
    feed_forward_length: numberOf(context, 'intermediateSizeMlp'),
    expert_feed_forward_length: numberOf(context, 'intermediateSize'),
    interleave_moe_layer_step: numberOf(context, 'interleaveMoeLayerStep', 1),
  }),
};

const mimo2: Conversion = {
  architecture: 'mimo2',
  metadata: (context) => {
    const pattern = context.config.hybridLayerPattern;
    const slides = (block: number) => Array.isArray(pattern) && pattern[block] === 1;
    const kvHeads = context.config.kvHeads ?? context.config.heads;
    const slidingKvHeads = numberOf(context, 'swaNumKeyValueHeads', kvHeads);
    return {
      ...experts(context),
      ...copy(context, 'attention.sliding_window'),
      'attention.head_count_kv': perBlock(context, (i) => (slides(i) ? slidingKvHeads : kvHeads)),
      'attention.sliding_window_pattern': perBlock(context, slides),
      'attention.value_length': numberOf(context, 'vHeadDim'),
      'rope.dimension_count': Math.trunc(
        numberOf(context, 'headDim') * (context.config.rope?.partialRotaryFactor ?? 1),
      ),
    };
  },
};

const minimaxM2: Conversion = {
  architecture: 'minimax-m2',
  metadata: (context) => ({
    expert_feed_forward_length: numberOf(context, 'intermediateSize'),
    'rope.dimension_count': numberOf(context, 'rotaryDim'),
  }),
};

const minimaxM3: Conversion = {
  architecture: 'minimax-m3',
  sourceType: (group) => (group.role === 'indexer' ? 'f32' : undefined),
  metadata: (context) => {
    const { moeLayerFreq, sparseAttentionConfig } = context.config;
    const sparse = (sparseAttentionConfig ?? {}) as Record<string, number>;
    const dense = Array.isArray(moeLayerFreq) ? moeLayerFreq.indexOf(1) : 0;
    return {
      ...minimaxM2.metadata?.(context),
      feed_forward_length: numberOf(context, 'denseIntermediateSize'),
      expert_shared_count: numberOf(context, 'sharedExperts', 0),
      ...deepseekRouting(context, 2, true),
      leading_dense_block_count: Math.max(dense, 0),
      'attention.indexer.head_count': sparse.sparseNumIndexHeads ?? 0,
      'attention.indexer.key_length': sparse.sparseIndexDim ?? 0,
      'attention.indexer.top_k': sparse.sparseTopkBlocks ?? 0,
      'attention.indexer.block_size': sparse.sparseBlockSize ?? 0,
      'attention.indexer.local_blocks': sparse.sparseLocalBlock ?? 0,
    };
  },
};

const minimax01: Conversion = {
  architecture: 'minimax-01',
  names: { 'self_attn.qkv_proj': 'attn_qkv' },
  metadata: (context) => ({ 'rope.dimension_count': numberOf(context, 'rotaryDim'), residual_scale: 3.5565588 }),
};

/** Kimi's linear attention: blocks without KV heads; full ones count from 1 in the configuration. */
function kimiMetadata(context: Context): Metadata {
  const linear = (context.config.linearAttnConfig ?? {}) as Record<string, unknown>;
  const full = (linear.fullAttnLayers ?? []) as number[];
  return {
    ...mlaMetadata(context),
    'attention.head_count_kv': perBlock(context, (i) => (full.includes(i + 1) ? 1 : 0)),
    'ssm.conv_kernel': Number(linear.shortConvKernelSize ?? 4),
    'kda.head_dim': Number(linear.headDim ?? 128),
    ...deepseekRouting(context, 2.446, true),
    expert_gating_func: 2,
  };
}

const kimiLinear: Conversion = {
  architecture: 'kimi-linear',
  transforms: { ...latent, ...kdaConvolutions },
  metadata: kimiMetadata,
};

/** Norm and projection of a residual are used as their product only: one vector. */
const residualScores = {
  'self_attention_res_norm.weight': () => [],
  'self_attention_res_proj.weight': (group: { shape: readonly number[] }) => [
    { name: 'attn_res_score.weight', ne: [group.shape[1] ?? 1] },
  ],
  'mlp_res_norm.weight': () => [],
  'mlp_res_proj.weight': (group: { shape: readonly number[] }) => [
    { name: 'ffn_res_score.weight', ne: [group.shape[1] ?? 1] },
  ],
  'output_attn_res_norm.weight': () => [],
  'output_attn_res_proj.weight': (group: { shape: readonly number[] }) => [
    { name: 'output_res_score.weight', ne: [group.shape[1] ?? 1] },
  ],
};

/** The decay's lower bound, which makes it a sigmoid. */
function gateBound({ config }: Context): Metadata {
  const { gateLowerBound } = (config.linearAttnConfig ?? {}) as Record<string, unknown>;
  return typeof gateLowerBound === 'number' ? { 'kda.gate_lower_bound': gateLowerBound } : {};
}

/** Kimi K3's decay has one dimension, Kimi-Linear's is padded. */
const plainDecay = {
  'self_attn.A_log': (group: { shape: readonly number[] }) => [{ name: 'ssm_a', ne: [Math.max(...group.shape)] }],
};

/** One name in the checkpoint: the gate of a linear block, or of the output of full attention. */
function outputGate({ layers = [], shape }: TensorGroup, { config }: Context): Piece[] {
  const full = ((config.linearAttnConfig ?? {}) as Record<string, number[]>).fullAttnLayers ?? [];
  const name = full.includes((layers[0] ?? 0) + 1) ? 'attn_gate.weight' : 'ssm_g.weight';
  return [{ name, ne: [...shape].reverse() }];
}

const kimiK3: Conversion = {
  architecture: 'kimi-k3',
  transforms: {
    ...latent,
    ...kdaConvolutions,
    ...residualScores,
    ...plainDecay,
    'self_attn.g_proj.weight': outputGate,
  },
  metadata: (context) => ({
    ...kimiMetadata(context),
    ...deepseekRouting(context, 1, true),
    ...gateBound(context),
    'activation.situ_beta': numberOf(context, 'activationSituBeta', 4),
    'activation.situ_linear_beta': numberOf(context, 'activationSituLinearBeta', 25),
    expert_latent_length: numberOf(context, 'routedExpertHiddenSize', 0),
    'attn_res.block_size': numberOf(context, 'attnResBlockSize', 0),
  }),
};

/** FP8 matrices become Q8_0, the FP4 experts are repacked, what is 32-bit stays so. */
function deepseek4Type(group: TensorGroup): GgmlType | undefined {
  if (group.dtype === 'float32') return 'f32';
  return group.linear && !group.experts && group.role !== 'lm-head' ? 'q8_0' : undefined;
}

const deepseek4: Conversion = {
  architecture: 'deepseek4',
  sourceType: deepseek4Type,
  metadata: (context) => {
    const ratios = context.config.compressRatios;
    return {
      ...experts(context),
      ...copy(context, 'attention.sliding_window', 'attention.q_lora_rank', ...indexerKeys),
      'rope.dimension_count': numberOf(context, 'qkRopeHeadDim'),
      'attention.output_group_count': numberOf(context, 'oGroups'),
      'attention.output_lora_rank': numberOf(context, 'oLoraRank'),
      ...(Array.isArray(ratios) && { 'attention.compress_ratios': ratios.map(Number) }),
      'hyper_connection.count': numberOf(context, 'hcMult'),
      'hyper_connection.sinkhorn_iterations': numberOf(context, 'hcSinkhornIters', 20),
      hash_layer_count: numberOf(context, 'numHashLayers', 0),
      embedding_length_out: context.config.hiddenSize * numberOf(context, 'hcMult'),
    };
  },
  transforms: {
    'ffn.gate.tid2eid': (group) => [{ name: 'ffn_gate_tid2eid.weight', ne: [...group.shape].reverse(), type: 'i32' }],
  },
};

export const mixtureConversions: Readonly<Record<string, Conversion>> = {
  MixtralForCausalLM: { architecture: 'llama', extra: llama3Frequencies },
  Qwen2MoeForCausalLM: { architecture: 'qwen2moe', metadata: experts },
  Qwen3MoeForCausalLM: { architecture: 'qwen3moe', metadata: experts },
  Qwen3VLMoeForConditionalGeneration: { architecture: 'qwen3vlmoe', metadata: experts },
  OlmoeForCausalLM: { architecture: 'olmoe' },
  PhiMoEForCausalLM: {
    architecture: 'phimoe',
    extra: longropeFactors,
    metadata: (context) => ({ 'attention.sliding_window': numberOf(context, 'slidingWindow', 0) }),
  },
  DbrxForCausalLM: { architecture: 'dbrx' },
  DeepseekForCausalLM: { architecture: 'deepseek', metadata: experts },
  DeepseekV2ForCausalLM: deepseek2,
  DeepseekV3ForCausalLM: deepseek2,
  KimiK25ForConditionalGeneration: deepseek2,
  Glm4MoeLiteForCausalLM: { ...deepseek2, drafts: 'recent' },
  DeepseekV32ForCausalLM: deepseek32,
  DeepseekV4ForCausalLM: deepseek4,
  GlmMoeDsaForCausalLM: glmDsa,
  Glm4MoeForCausalLM: glm4Moe,
  Glm4vMoeForConditionalGeneration: glm4Moe,
  GptOssForCausalLM: gptOss,
  GraniteMoeForCausalLM: graniteMoe,
  HunYuanMoEV1ForCausalLM: {
    architecture: 'hunyuan-moe',
    metadata: (context) => ({
      ...experts(context),
      expert_shared_feed_forward_length: numberOf(context, 'intermediateSize'),
    }),
  },
  Ernie4_5_MoeForCausalLM: {
    architecture: 'ernie4_5-moe',
    metadata: (context) => ({
      ...copy(context, 'expert_feed_forward_length', 'expert_shared_count'),
      expert_shared_feed_forward_length:
        numberOf(context, 'moeIntermediateSize') * numberOf(context, 'sharedExperts', 0),
      leading_dense_block_count: numberOf(context, 'moeLayerStartIndex', 0),
      interleave_moe_layer_step: 1,
    }),
  },
  Llama4ForConditionalGeneration: llama4,
  MiMoV2FlashForCausalLM: mimo2,
  MiniMaxM1ForCausalLM: minimax01,
  MiniMaxM2ForCausalLM: minimaxM2,
  MiniMaxM3SparseForConditionalGeneration: minimaxM3,
  KimiLinearForCausalLM: kimiLinear,
  KimiK3ForConditionalGeneration: kimiK3,
};
