// Conversions of models with recurrent blocks: Mamba and its hybrids, gated delta rule, short convolutions.
// Law: conversion/{mamba,falcon_h1,granite,nemotron,jamba,lfm2,qwen}.py (v0.5.0).
import { graniteScales, normBehindAttention } from './dense.ts';
import { copy, perBlock, ssmMetadata } from './metadata.ts';
import { cut, mamba1, mamba2, numberOf, squeezed } from './transforms.ts';
import type { Context, Conversion, Metadata } from './types.ts';

const mamba: Conversion = {
  architecture: 'mamba',
  transforms: mamba1('mixer'),
  metadata: (context) => ({
    ...ssmMetadata({
      conv: numberOf(context, 'convKernel', 4),
      inner: numberOf(context, 'expand', 2) * context.config.hiddenSize,
      state: numberOf(context, 'stateSize', 16),
      timeStepRank: numberOf(context, 'timeStepRank', Math.ceil(context.config.hiddenSize / 16)),
    }),
    // The converter's own value for models without a training length.
    context_length: 2 ** 20,
    feed_forward_length: 0,
    'attention.head_count': 0,
    ...(context.spec.modelType === 'falcon_mamba' && { 'ssm.dt_b_c_rms': true }),
  }),
};

const falconH1: Conversion = {
  architecture: 'falcon-h1',
  transforms: {
    ...mamba2('mamba', 'mambaNGroups'),
    // The one norm that is stored without .weight.
    'pre_ff_layernorm.weight': (group) => [{ name: 'ffn_norm', ne: group.shape }],
  },
  names: { final_layernorm: 'output_norm' },
  metadata: (context) =>
    ssmMetadata({
      conv: numberOf(context, 'mambaDConv'),
      inner: numberOf(context, 'mambaDSsm'),
      state: numberOf(context, 'mambaDState'),
      timeStepRank: numberOf(context, 'mambaNHeads'),
      groups: numberOf(context, 'mambaNGroups'),
    }),
};

/** KV heads of the blocks with attention, 0 of the others. */
function kvHeadsWhere(context: Context, attends: (block: number) => boolean): Metadata {
  const kvHeads = context.config.kvHeads ?? context.config.heads;
  return { 'attention.head_count_kv': perBlock(context, (i) => (attends(i) ? kvHeads : 0)) };
}

const graniteHybrid: Conversion = {
  architecture: 'granitehybrid',
  transforms: mamba2('mamba', 'mambaNGroups'),
  metadata: (context) => ({
    ...graniteScales,
    ...ssmMetadata({
      conv: numberOf(context, 'mambaDConv'),
      inner: numberOf(context, 'mambaExpand') * context.config.hiddenSize,
      state: numberOf(context, 'mambaDState'),
      timeStepRank: numberOf(context, 'mambaNHeads'),
      groups: numberOf(context, 'mambaNGroups'),
    }),
    ...kvHeadsWhere(context, (i) => context.config.layerTypes?.[i] === 'attention'),
    expert_shared_feed_forward_length: numberOf(context, 'sharedIntermediateSize', 0),
    'rope.scaling.finetuned': false,
  }),
};

/** M or mamba, * or attention, E or moe, - or mlp. */
function nemotronPattern({ config }: Context): string[] {
  const { hybridOverridePattern, layersBlockType } = config;
  if (typeof hybridOverridePattern === 'string') return [...hybridOverridePattern];
  const letters: Readonly<Record<string, string>> = { mamba: 'M', attention: '*', moe: 'E', mlp: '-' };
  return Array.isArray(layersBlockType) ? layersBlockType.map((type) => letters[String(type)] ?? '?') : [];
}

function nemotronMetadata(context: Context): Metadata {
  const pattern = nemotronPattern(context);
  const moe = (context.config.experts ?? 0) > 0;
  const width = numberOf(context, moe ? 'moeIntermediateSize' : 'intermediateSize');
  const shared = context.config.moeSharedExpertIntermediateSize;
  return {
    ...ssmMetadata({
      conv: numberOf(context, 'convKernel', 4),
      inner: numberOf(context, 'mambaNumHeads') * numberOf(context, 'mambaHeadDim'),
      state: numberOf(context, 'ssmStateSize'),
      timeStepRank: numberOf(context, 'mambaNumHeads'),
      groups: numberOf(context, 'nGroups'),
    }),
    ...kvHeadsWhere(context, (i) => pattern[i] === '*'),
    feed_forward_length: perBlock(context, (i) => (pattern[i] === (moe ? 'E' : '-') ? width : 0)),
    ...(moe && copy(context, 'expert_feed_forward_length', 'expert_shared_count', 'expert_group_count')),
    ...(moe && typeof shared === 'number' && { expert_shared_feed_forward_length: shared }),
    ...(typeof context.config.moeLatentSize === 'number' && { moe_latent_size: context.config.moeLatentSize }),
  };
}

const nemotronH: Conversion = {
  architecture: 'nemotron_h',
  transforms: mamba2('mixer', 'nGroups'),
  metadata: nemotronMetadata,
};
const nemotronHMoe: Conversion = { ...nemotronH, architecture: 'nemotron_h_moe', drafts: 'recent' };

const jamba: Conversion = {
  architecture: 'jamba',
  transforms: mamba1('mamba'),
  metadata: (context) => {
    const offset = numberOf(context, 'attnLayerOffset');
    const period = numberOf(context, 'attnLayerPeriod');
    return {
      ...ssmMetadata({
        conv: numberOf(context, 'mambaDConv', 4),
        inner: numberOf(context, 'mambaExpand') * context.config.hiddenSize,
        state: numberOf(context, 'mambaDState', 16),
        timeStepRank: numberOf(context, 'mambaDtRank', Math.ceil(context.config.hiddenSize / 16)),
      }),
      ...kvHeadsWhere(context, (i) => i >= offset && (i - offset) % period === 0),
    };
  },
};

const shortConvolution = { 'conv.conv.weight': squeezed('shortconv.conv.weight') };

function lfm2Metadata(context: Context): Metadata {
  const { layerTypes, fullAttnIdxs } = context.config;
  const full = Array.isArray(fullAttnIdxs) ? fullAttnIdxs : [];
  const attends = (i: number) => (Array.isArray(layerTypes) ? layerTypes[i] === 'full_attention' : full.includes(i));
  return {
    ...kvHeadsWhere(context, attends),
    'shortconv.l_cache': numberOf(context, 'convLCache'),
    feed_forward_length: context.expanded.forward.intermediateSize,
  };
}

const lfm2: Conversion = { architecture: 'lfm2', transforms: shortConvolution, metadata: lfm2Metadata };
const lfm2Moe: Conversion = {
  architecture: 'lfm2moe',
  transforms: shortConvolution,
  metadata: (context) => ({
    ...lfm2Metadata(context),
    ...copy(context, 'expert_feed_forward_length'),
    leading_dense_block_count: numberOf(context, 'numDenseLayers', 0),
    expert_gating_func: 2,
  }),
};

/** Gated delta rule: the state has a key's dimension, inner size and rank go by the value heads. */
function deltaMetadata(context: Context): Metadata {
  const valueHeads = numberOf(context, 'linearNumValueHeads');
  const headDim = context.config.headDim ?? context.config.hiddenSize / context.config.heads;
  const { layerTypes } = context.config;
  return {
    ...ssmMetadata({
      conv: numberOf(context, 'linearConvKernelDim'),
      inner: numberOf(context, 'linearValueHeadDim') * valueHeads,
      state: numberOf(context, 'linearKeyHeadDim'),
      timeStepRank: valueHeads,
      groups: numberOf(context, 'linearNumKeyHeads'),
    }),
    ...copy(context, 'expert_feed_forward_length', 'expert_shared_feed_forward_length'),
    full_attention_interval: numberOf(context, 'fullAttentionInterval', 4),
    ...(Array.isArray(layerTypes) && {
      'attention.recurrent_layers': layerTypes.map((type) => type === 'linear_attention'),
    }),
    'rope.dimension_count': Math.trunc(headDim * (context.config.rope?.partialRotaryFactor ?? 0.25)),
  };
}

const deltaConvolution = { 'linear_attn.conv1d.weight': squeezed('ssm_conv1d.weight') };

const qwen3Next: Conversion = {
  architecture: 'qwen3next',
  names: normBehindAttention,
  drafts: 'recent',
  transforms: {
    ...deltaConvolution,
    // [q, k, v, z] per key head become one matrix of q, k and v and one of z.
    'linear_attn.in_proj_qkvz.weight': cut((context) => {
      const keys = numberOf(context, 'linearKeyHeadDim') * numberOf(context, 'linearNumKeyHeads');
      const values = numberOf(context, 'linearValueHeadDim') * numberOf(context, 'linearNumValueHeads');
      return [
        ['attn_qkv.weight', 2 * keys + values],
        ['attn_gate.weight', values],
      ];
    }),
  },
  metadata: deltaMetadata,
};

const qwen35: Conversion = {
  architecture: 'qwen35',
  names: normBehindAttention,
  drafts: 'recent',
  transforms: deltaConvolution,
  metadata: (context) => ({
    ...deltaMetadata(context),
    ...(!context.config.rope?.mropeSection && { 'rope.dimension_sections': [11, 11, 10, 0] }),
  }),
};

export const stateConversions: Readonly<Record<string, Conversion>> = {
  MambaForCausalLM: mamba,
  FalconMambaForCausalLM: mamba,
  FalconH1ForCausalLM: falconH1,
  GraniteMoeHybridForCausalLM: graniteHybrid,
  NemotronHForCausalLM: nemotronH,
  NemotronHForCausalLM_moe: nemotronHMoe,
  JambaForCausalLM: jamba,
  Lfm2ForCausalLM: lfm2,
  Lfm2MoeForCausalLM: lfm2Moe,
  Qwen3NextForCausalLM: qwen3Next,
  Qwen3_5ForConditionalGeneration: qwen35,
  Qwen3_5MoeForConditionalGeneration: { ...qwen35, architecture: 'qwen35moe' },
};
