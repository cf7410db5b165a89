// Conversions of dense decoders and encoders. Law: conversion/{llama,qwen,gemma,phi,glm,command_r,olmo,exaone,bert,...}.py (v0.5.0).
import type { GgufTensor } from '../../spec/gguf.ts';
import { commonMetadata, copy, slidingPattern } from './metadata.ts';
import { cut, fusedQkv, numberOf } from './transforms.ts';
import type { Context, Conversion, Metadata } from './types.ts';

/** post_attention_layernorm is the norm behind the attention, not the one before the feed-forward part. */
export const normBehindAttention = { post_attention_layernorm: 'post_attention_norm' };

/** Llama 3's rope scaling is written out as one factor per pair of a head. */
export function llama3Frequencies(context: Context): GgufTensor[] {
  const { config } = context;
  if (config.rope?.type !== 'llama3') return [];
  const headDim = config.headDim ?? config.hiddenSize / config.heads;
  return [{ name: 'rope_freqs.weight', ne: [headDim / 2], type: 'f32' }];
}

/** Long and short factors of longrope, one per rotated pair. */
export function longropeFactors(context: Context): GgufTensor[] {
  const { config } = context;
  if (config.rope?.type !== 'longrope' && config.rope?.type !== 'su') return [];
  const rotated = (config.hiddenSize / config.heads) * (config.rope.partialRotaryFactor ?? 1);
  const pairs = numberOf(context, 'qkRopeHeadDim', Math.trunc(rotated)) / 2;
  return ['long', 'short'].map((kind) => ({ name: `rope_factors_${kind}.weight`, ne: [pairs], type: 'f32' as const }));
}

const llama: Conversion = { architecture: 'llama', extra: llama3Frequencies };

const gemma: Conversion = {
  architecture: 'gemma',
  dropped: ['lm_head.weight'],
};

const gemma2: Conversion = {
  architecture: 'gemma2',
  names: normBehindAttention,
  dropped: ['lm_head.weight'],
  metadata: (context) => copy(context, 'attention.sliding_window', 'attn_logit_softcapping', 'final_logit_softcapping'),
};

const gemma3: Conversion = {
  architecture: 'gemma3',
  names: normBehindAttention,
  metadata: (context) => ({
    ...copy(context, 'attention.sliding_window', 'final_logit_softcapping'),
    'rope.freq_base_swa': numberOf(context, 'ropeLocalBaseFreq', 10_000),
  }),
};

/** Gemma 4: heads, KV heads and widths change from block to block. */
export const gemma4: Conversion = {
  architecture: 'gemma4',
  names: normBehindAttention,
  metadata: gemma4Metadata,
  extra: (context) => [{ name: 'rope_freqs.weight', ne: [numberOf(context, 'globalHeadDim') / 2], type: 'f32' }],
};

function gemma4Metadata(context: Context): Metadata {
  const { config } = context;
  const headDim = config.headDim ?? 256;
  const full = numberOf(context, 'globalHeadDim');
  const shared = numberOf(context, 'numKvSharedLayers', 0);
  const sliding = (config.layerTypes ?? []).map((type) => type === 'sliding_attention');
  const kvHeads = config.kvHeads ?? config.heads;
  const globalKvHeads = numberOf(context, 'numGlobalKeyValueHeads', kvHeads);
  const width = numberOf(context, 'intermediateSize');
  const wide = config.useDoubleWideMlp === true;
  return {
    ...copy(context, 'attention.sliding_window', 'final_logit_softcapping'),
    ...(config.experts && copy(context, 'expert_feed_forward_length')),
    'attention.head_count_kv': sliding.map((slides) => (slides ? kvHeads : globalKvHeads)),
    'attention.key_length': full,
    'attention.value_length': full,
    'attention.key_length_swa': headDim,
    'attention.value_length_swa': headDim,
    'attention.sliding_window_pattern': sliding,
    'attention.shared_kv_layers': shared,
    embedding_length_per_layer_input: numberOf(context, 'hiddenSizePerLayerInput', 0),
    feed_forward_length: sliding.map((_, i) => (wide && i >= config.layers - shared ? 2 * width : width)),
    'rope.dimension_count': full,
    'rope.dimension_count_swa': headDim,
    'rope.freq_base_swa': 10_000,
  };
}

const phi3: Conversion = {
  architecture: 'phi3',
  extra: longropeFactors,
  metadata: (context) => ({
    'attention.sliding_window': numberOf(context, 'slidingWindow', 0),
    'rope.scaling.original_context_length': numberOf(context, 'originalMaxPositionEmbeddings', 4096),
  }),
};

/** Files of Phi 1.5 and 2 date from checkpoints with a fused Wqkv; today's checkpoint has three matrices. */
const phi2: Conversion = {
  architecture: 'phi2',
  transforms: { ...fusedQkv('weight'), ...fusedQkv('bias') },
  metadata: (context): Metadata => {
    const rotary = context.config.rotaryDim;
    return typeof rotary === 'number' ? { 'rope.dimension_count': rotary } : {};
  },
};

const granite: Conversion = {
  architecture: 'granite',
  extra: llama3Frequencies,
  metadata: () => graniteScales,
};
/** Every Granite has the four multipliers; only that they are there shapes the graph. */
export const graniteScales: Metadata = {
  logit_scale: 16,
  residual_scale: 0.22,
  embedding_scale: 12,
  'attention.scale': 0.0078125,
};

const glm4: Conversion = {
  architecture: 'glm4',
  metadata: ({ config }) => {
    const headDim = config.headDim ?? config.hiddenSize / config.heads;
    return { 'rope.dimension_count': Math.trunc(headDim * (config.rope?.partialRotaryFactor ?? 0.5)) };
  },
};

const chatglm: Conversion = {
  architecture: 'chatglm',
  metadata: ({ config }) => ({
    'rope.dimension_count': Math.trunc((config.headDim ?? config.hiddenSize / config.heads) / 2),
  }),
};

const olmo2: Conversion = {
  architecture: 'olmo2',
  names: normBehindAttention,
  metadata: (context) => ({ ...copy(context, 'attention.sliding_window'), ...slidingPattern(context) }),
};

export const exaone4: Conversion = {
  architecture: 'exaone4',
  names: normBehindAttention,
  extra: llama3Frequencies,
  drafts: 'kept',
  metadata: (context) => ({ ...copy(context, 'attention.sliding_window'), ...slidingPattern(context) }),
};

const internlm2: Conversion = {
  architecture: 'internlm2',
  transforms: {
    'attention.wqkv.weight': cut(({ config }) => {
      const headDim = config.hiddenSize / config.heads;
      const kv = (config.kvHeads ?? config.heads) * headDim;
      return [
        ['attn_q.weight', config.hiddenSize],
        ['attn_k.weight', kv],
        ['attn_v.weight', kv],
      ];
    }),
  },
};

const baichuan: Conversion = {
  architecture: 'baichuan',
  names: { 'self_attn.W_pack': ['attn_q', 'attn_k', 'attn_v'] },
};

const minicpm: Conversion = {
  architecture: 'minicpm',
  extra: longropeFactors,
  metadata: () => ({ logit_scale: 9, residual_scale: 0.22, embedding_scale: 12 }),
};

/** 0 none, 1 mean, 2 the first token, 3 the last, 4 rank (llama.h llama_pooling_type). */
function encoderMetadata({ spec, config }: Context): Metadata {
  const ranks = spec.architecture.endsWith('SequenceClassification');
  const mean = spec.architecture === 'NomicBertModel' || spec.id.includes('e5');
  return {
    'attention.causal': false,
    pooling_type: ranks ? 4 : mean ? 1 : 2,
    '::tokenizer.ggml.token_type_count': Number(config.typeVocabSize ?? 1),
  };
}

const bert: Conversion = {
  architecture: 'bert',
  dropped: ['pooler.dense.weight', 'pooler.dense.bias'],
  metadata: encoderMetadata,
};

/** Positions start behind the padding token: two rows of the table are never read. */
const xlmRoberta: Conversion = {
  ...bert,
  transforms: {
    'embeddings.position_embeddings.weight': (group) => [
      { name: 'position_embd.weight', ne: [group.shape[1] ?? 1, (group.shape[0] ?? 1) - 2] },
    ],
  },
  metadata: (context) => ({
    ...encoderMetadata(context),
    context_length: Number(commonMetadata(context).context_length) - 2,
  }),
};

/** The checkpoint pads the vocabulary to a multiple of 64; the files have the tokens of the tokenizer only. */
const nomicVocabulary = 30_522;
const nomicBert: Conversion = {
  architecture: 'nomic-bert',
  metadata: encoderMetadata,
  transforms: {
    'embeddings.word_embeddings.weight': (group) => [
      { name: 'token_embd.weight', ne: [group.shape[1] ?? 1, Math.min(nomicVocabulary, group.shape[0] ?? 1)] },
    ],
  },
};

export const denseConversions: Readonly<Record<string, Conversion>> = {
  LlamaForCausalLM: llama,
  LLaMAForCausalLM: llama,
  MistralForCausalLM: llama,
  // Without the head and the wrapper `model.`; the converter takes it as LlamaModel.
  MistralModel: llama,
  LlavaForConditionalGeneration: llama,
  Mistral3ForConditionalGeneration: { architecture: 'mistral3', extra: llama3Frequencies },
  Ministral3ForCausalLM: { architecture: 'mistral3', extra: llama3Frequencies },
  SmolLM3ForCausalLM: { architecture: 'smollm3', extra: llama3Frequencies },
  Qwen2ForCausalLM: { architecture: 'qwen2' },
  Qwen2VLForConditionalGeneration: { architecture: 'qwen2vl' },
  Qwen2_5_VLForConditionalGeneration: { architecture: 'qwen2vl' },
  Qwen3ForCausalLM: { architecture: 'qwen3' },
  Qwen3VLForConditionalGeneration: { architecture: 'qwen3vl' },
  QWenLMHeadModel: { architecture: 'qwen', names: { 'mlp.w1': 'ffn_up', 'mlp.w2': 'ffn_gate' } },
  GPTNeoXForCausalLM: {
    architecture: 'gptneox',
    metadata: ({ config }) => ({ use_parallel_residual: config.useParallelResidual !== false }),
  },
  GPT2LMHeadModel: { architecture: 'gpt2' },
  GPTBigCodeForCausalLM: { architecture: 'starcoder', metadata: () => ({ 'attention.head_count_kv': 1 }) },
  BloomForCausalLM: { architecture: 'bloom', metadata: () => ({ 'attention.max_alibi_bias': 8 }) },
  FalconForCausalLM: { architecture: 'falcon' },
  MptForCausalLM: { architecture: 'mpt', metadata: () => ({ 'attention.max_alibi_bias': 8 }) },
  MPTForCausalLM: { architecture: 'mpt', metadata: () => ({ 'attention.max_alibi_bias': 8 }) },
  CohereForCausalLM: { architecture: 'command-r', metadata: () => ({ logit_scale: 0.0625 }) },
  Cohere2ForCausalLM: {
    architecture: 'cohere2',
    metadata: (context) => ({ ...copy(context, 'attention.sliding_window'), logit_scale: 0.25 }),
  },
  Gemma3ForConditionalGeneration: gemma3,
  Gemma3ForCausalLM: gemma3,
  GemmaForCausalLM: gemma,
  Gemma2ForCausalLM: gemma2,
  Gemma4ForConditionalGeneration: gemma4,
  Gemma4UnifiedForConditionalGeneration: gemma4,
  PhiForCausalLM: phi2,
  Phi3ForCausalLM: phi3,
  GraniteForCausalLM: granite,
  Glm4ForCausalLM: glm4,
  Glm4vForConditionalGeneration: glm4,
  ChatGLMModel: chatglm,
  OlmoForCausalLM: { architecture: 'olmo' },
  Olmo2ForCausalLM: olmo2,
  Olmo3ForCausalLM: olmo2,
  ExaoneForCausalLM: { architecture: 'exaone', extra: llama3Frequencies },
  Exaone4ForCausalLM: exaone4,
  Exaone4_5_ForConditionalGeneration: exaone4,
  InternLM2ForCausalLM: internlm2,
  BaichuanForCausalLM: baichuan,
  OrionForCausalLM: { architecture: 'orion' },
  StableLmForCausalLM: { architecture: 'stablelm' },
  Starcoder2ForCausalLM: { architecture: 'starcoder2' },
  SeedOssForCausalLM: { architecture: 'seed_oss', names: normBehindAttention },
  MiniCPMForCausalLM: minicpm,
  MiniCPM3ForCausalLM: {
    architecture: 'minicpm3',
    extra: longropeFactors,
    metadata: (context) => ({
      ...copy(context, 'attention.q_lora_rank', 'attention.kv_lora_rank'),
      'attention.key_length': numberOf(context, 'qkNopeHeadDim') + numberOf(context, 'qkRopeHeadDim'),
      'rope.dimension_count': numberOf(context, 'qkRopeHeadDim'),
    }),
  },
  DeciLMForCausalLM: { architecture: 'deci', extra: llama3Frequencies, metadata: deciMetadata },
  BertModel: bert,
  XLMRobertaModel: xlmRoberta,
  XLMRobertaForSequenceClassification: xlmRoberta,
  NomicBertModel: nomicBert,
};

/** DeciLM: blocks without attention have no heads, blocks without a feed-forward part no width. */
function deciMetadata({ expanded, config }: Context): Metadata {
  const blocks = Array.from({ length: config.layers }, (_, i) => i);
  const rows = (suffix: string, block: number) =>
    expanded.tensors.find((group) => group.name.endsWith(suffix) && group.layers?.includes(block))?.shape[0] ?? 0;
  const headDim = config.hiddenSize / config.heads;
  return {
    'attention.head_count': blocks.map((i) => rows('self_attn.q_proj.weight', i) / headDim),
    'attention.head_count_kv': blocks.map((i) => rows('self_attn.k_proj.weight', i) / headDim),
    feed_forward_length: blocks.map((i) => rows('mlp.gate_proj.weight', i)),
  };
}
