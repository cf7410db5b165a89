// Metadata that most conversions write, from our configuration names: TextModel.set_gguf_parameters in conversion/base.py (v0.5.0).
// Only keys that sizes, layers or the shape of the graph depend on; the tokenizer and the epsilons of norms are left out.
import type { GgufValue } from '../../spec/gguf.ts';
import type { RopeConfig } from '../../spec/model.ts';
import { numberOf } from './transforms.ts';
import type { Context, Metadata } from './types.ts';

/** Keys and the configuration fields that they copy, where the field is a number. */
const copied: readonly (readonly [string, string])[] = [
  ['attention.sliding_window', 'slidingWindow'],
  ['expert_feed_forward_length', 'moeIntermediateSize'],
  ['expert_shared_count', 'sharedExperts'],
  ['expert_shared_feed_forward_length', 'sharedExpertIntermediateSize'],
  ['leading_dense_block_count', 'firstKDenseReplace'],
  ['attention.q_lora_rank', 'qLoraRank'],
  ['attention.kv_lora_rank', 'kvLoraRank'],
  ['attn_logit_softcapping', 'attnLogitSoftcapping'],
  ['final_logit_softcapping', 'finalLogitSoftcapping'],
  ['attention.indexer.head_count', 'indexNHeads'],
  ['attention.indexer.key_length', 'indexHeadDim'],
  ['attention.indexer.top_k', 'indexTopk'],
  ['expert_group_count', 'nGroup'],
  ['expert_group_used_count', 'topkGroup'],
];

const gatingFunctions: Readonly<Record<string, number>> = { softmax: 1, sigmoid: 2, sqrtsoftplus: 4 };

/** The keys named, where the configuration has the field. */
export function copy({ config }: Context, ...keys: string[]): Metadata {
  const metadata: Metadata = {};
  for (const [key, field] of copied) {
    const value = config[field];
    if (keys.includes(key) && typeof value === 'number') metadata[key] = value;
  }
  return metadata;
}

export function commonMetadata(context: Context): Metadata {
  const { config } = context;
  const heads = config.heads;
  const kvHeads = config.kvHeads ?? heads;
  const headDim = config.headDim ?? Math.floor(config.hiddenSize / heads);
  const feedForward = config.intermediateSize ?? (config.experts ? undefined : 4 * config.hiddenSize);
  return {
    context_length: contextLength(context),
    embedding_length: config.hiddenSize,
    block_count: config.layers,
    vocab_size: config.vocabSize,
    ...(feedForward !== undefined && { feed_forward_length: feedForward }),
    'attention.head_count': heads,
    ...(heads > 0 && {
      'attention.head_count_kv': kvHeads,
      'attention.key_length': headDim,
      'attention.value_length': headDim,
      'rope.dimension_count': Math.trunc(headDim * (config.rope?.partialRotaryFactor ?? 1)),
    }),
    ...ropeMetadata(config.rope),
    ...expertMetadata(context),
  };
}

function contextLength({ config }: Context): number {
  const fields = ['maxPositionEmbeddings', 'nPositions', 'maxSeqLen', 'seqLength', 'modelMaxLength'];
  const value = fields.map((field) => config[field]).find((candidate) => typeof candidate === 'number');
  return typeof value === 'number' ? value : 2048;
}

function ropeMetadata(rope: RopeConfig | undefined): Metadata {
  if (!rope) return {};
  const metadata: Metadata = {};
  if (rope.theta !== undefined) metadata['rope.freq_base'] = rope.theta;
  if (rope.type === 'linear' || rope.type === 'yarn' || rope.type === 'deepseek_yarn') {
    metadata['rope.scaling.type'] = rope.type === 'linear' ? 'linear' : 'yarn';
    if (rope.factor !== undefined) metadata['rope.scaling.factor'] = rope.factor;
  }
  if (rope.type === 'longrope' || rope.type === 'su') metadata['rope.scaling.type'] = 'longrope';
  if (rope.originalMaxPositionEmbeddings !== undefined && rope.type !== 'llama3') {
    metadata['rope.scaling.original_context_length'] = rope.originalMaxPositionEmbeddings;
  }
  if (rope.mropeSection) metadata['rope.dimension_sections'] = [...rope.mropeSection, 0, 0, 0, 0].slice(0, 4);
  return metadata;
}

function expertMetadata({ config }: Context): Metadata {
  if (!config.experts || config.experts <= 1) return {};
  const gating = gatingFunctions[String(config.scoringFunc ?? '')];
  return {
    expert_count: config.experts,
    expert_used_count: config.expertsPerToken ?? 1,
    ...(gating !== undefined && { expert_gating_func: gating }),
  };
}

/** Multi-head latent attention: cached as one head of latent and rotary part, decompressed per head. */
export function mlaMetadata(context: Context): Metadata {
  const rank = numberOf(context, 'kvLoraRank');
  const rotary = numberOf(context, 'qkRopeHeadDim');
  return {
    ...copy(context, 'attention.q_lora_rank', 'attention.kv_lora_rank', 'leading_dense_block_count'),
    'attention.head_count_kv': 1,
    'attention.key_length': rank + rotary,
    'attention.value_length': rank,
    'attention.key_length_mla': numberOf(context, 'qkNopeHeadDim') + rotary,
    'attention.value_length_mla': numberOf(context, 'vHeadDim'),
    'rope.dimension_count': rotary,
    expert_shared_count: numberOf(context, 'sharedExperts', 0),
    expert_feed_forward_length: numberOf(context, 'moeIntermediateSize', numberOf(context, 'intermediateSize', 0)),
  };
}

/** A value for every block, `drafts` counted in. */
export function perBlock(context: Context, value: (block: number) => number | boolean): GgufValue {
  return Array.from({ length: context.config.layers }, (_, i) => value(i)) as number[] | boolean[];
}

export function slidingPattern({ config }: Context): Metadata {
  if (!Array.isArray(config.layerTypes)) return {};
  return { 'attention.sliding_window_pattern': config.layerTypes.map((type) => type === 'sliding_attention') };
}

/** Mamba's sizes under the keys of the loader. */
export function ssmMetadata(sizes: {
  conv: number;
  inner: number;
  state: number;
  timeStepRank: number;
  groups?: number;
}): Metadata {
  return {
    'ssm.conv_kernel': sizes.conv,
    'ssm.inner_size': sizes.inner,
    'ssm.state_size': sizes.state,
    'ssm.time_step_rank': sizes.timeStepRank,
    ...(sizes.groups !== undefined && { 'ssm.group_count': sizes.groups }),
  };
}
