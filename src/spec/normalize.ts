// Turns a Hugging Face config.json into our ModelConfig: one pass of renaming, so that every family and every engine reads
// one set of names. It decides nothing: defaults that a model class supplies belong to the family (architecture/).
import {
  type Dtype,
  isJsonObject,
  type Json,
  type JsonObject,
  type ModelConfig,
  type ModelSpec,
  type QuantizationConfig,
  type RopeConfig,
} from './model.ts';

/** Hugging Face key -> our key, for the fields that many model types spell differently. First match wins per target. */
const renames: readonly (readonly [to: string, from: readonly string[]])[] = [
  ['layers', ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers']],
  ['heads', ['num_attention_heads', 'n_head', 'n_heads', 'num_heads']],
  ['kvHeads', ['num_key_value_heads', 'n_head_kv', 'num_kv_heads', 'kv_n_heads', 'multi_query_group_num']],
  ['headDim', ['head_dim', 'kv_channels', 'attention_head_dim']],
  ['hiddenSize', ['hidden_size', 'n_embd', 'd_model', 'n_embed']],
  ['intermediateSize', ['intermediate_size', 'ffn_dim', 'ffn_hidden_size', 'n_inner']],
  ['vocabSize', ['vocab_size', 'padded_vocab_size']],
  ['experts', ['n_routed_experts', 'num_experts', 'num_local_experts', 'moe_num_experts']],
  [
    'expertsPerToken',
    [
      'num_experts_per_tok',
      'num_experts_per_token',
      'moe_topk',
      'moe_k',
      'moe_top_k',
      'top_k_experts',
      'experts_per_token',
    ],
  ],
  ['sharedExperts', ['n_shared_experts', 'num_shared_experts', 'num_shared_expert', 'moe_num_shared_experts']],
  ['hiddenAct', ['hidden_act', 'hidden_activation', 'activation_function']],
];

/** Keys that no memory figure depends on. */
const ignored = new Set([
  '_name_or_path',
  'architectures',
  'model_type',
  'transformers_version',
  'transformers.js_config',
  'auto_map',
  'torch_dtype',
  'dtype',
  'rope_scaling',
  'rope_parameters',
  'rope_theta',
  'partial_rotary_factor',
  'quantization_config',
  'text_config',
  'llm_config',
  'vision_config',
  'audio_config',
  'attn_config',
  'ffn_config',
  'init_config',
  'use_cache',
  'initializer_range',
  'attention_dropout',
  'bos_token_id',
  'eos_token_id',
  'pad_token_id',
  '_attn_implementation',
]);

/** Sizes that a nested text configuration leaves out when they are its class's own (LLaVA states what differs from Llama). */
const classSizes: Readonly<Record<string, JsonObject>> = {
  llama: {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    vocab_size: 32000,
    max_position_embeddings: 2048,
  },
  mistral: {
    hidden_size: 4096,
    intermediate_size: 14336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    vocab_size: 32000,
    max_position_embeddings: 131072,
  },
};

const nestedText = ['text_config', 'llm_config'] as const;
const nestedFlattened = ['attn_config', 'ffn_config'] as const;

function camelCase(key: string): string {
  return key.replace(/_+([a-zA-Z0-9])/g, (_, c: string, at: number) => (at === 0 ? c : c.toUpperCase()));
}

/** Renames recursively, dropping nulls (absent and null mean the same in Hugging Face configs). */
function camelKeys(source: JsonObject): JsonObject {
  const out: JsonObject = {};
  for (const [key, value] of Object.entries(source)) {
    if (value === null) continue;
    out[camelCase(key)] = isJsonObject(value) ? camelKeys(value) : value;
  }
  return out;
}

function renameText(source: JsonObject): JsonObject {
  const out: JsonObject = {};
  const used = new Set<string>();
  for (const [to, candidates] of renames) {
    const found = candidates.find((name) => source[name] !== undefined && source[name] !== null);
    if (found === undefined) continue;
    out[to] = source[found]!;
    used.add(found);
  }
  for (const [key, value] of Object.entries(source)) {
    if (value === null || used.has(key) || ignored.has(key)) continue;
    out[camelCase(key)] ??= isJsonObject(value) ? camelKeys(value) : value;
  }
  for (const name of nestedFlattened) {
    const nested = source[name];
    if (isJsonObject(nested)) for (const [key, value] of Object.entries(renameText(nested))) out[key] ??= value;
  }
  return out;
}

function ropeOf(source: JsonObject): RopeConfig | undefined {
  const nested = [source.rope_scaling, source.rope_parameters].find(isJsonObject);
  const rope: JsonObject = nested ? camelKeys(nested) : {};
  // Gemma 3/4 and others key rope_parameters by layer type; keep the nesting as it is.
  rope.type ??= rope.ropeType ?? null;
  rope.theta ??= rope.ropeTheta ?? source.rope_theta ?? null;
  rope.partialRotaryFactor ??= source.partial_rotary_factor ?? null;
  for (const key of ['ropeType', 'ropeTheta']) delete rope[key];
  const kept = Object.fromEntries(Object.entries(rope).filter(([, value]) => value !== null));
  return Object.keys(kept).length > 0 ? (kept as RopeConfig) : undefined;
}

function dtypeOf(...sources: (JsonObject | undefined)[]): Dtype | undefined {
  for (const source of sources) {
    const value = source?.dtype ?? source?.torch_dtype;
    if (value === 'float32' || value === 'float16' || value === 'bfloat16') return value;
  }
  return undefined;
}

function firstObject(source: JsonObject, keys: readonly string[]): JsonObject | undefined {
  return keys.map((key) => source[key]).find(isJsonObject);
}

function sizesOfClass(text: JsonObject): JsonObject {
  return classSizes[String(text.model_type)] ?? {};
}

export interface NormalizedConfig {
  architecture: string | undefined;
  modelType: string;
  textModelType?: string;
  config: ModelConfig;
  quantization?: QuantizationConfig;
}

/**
 * Normalizes a config.json. The text part of a multimodal config becomes the configuration itself, its towers become
 * `vision` and `audio`. Fields of the outer level that the text part lacks are taken over.
 */
function normalizeConfig(source: JsonObject): NormalizedConfig {
  const text = firstObject(source, nestedText);
  const outer = renameText(source);
  const config = text ? { ...renameText(sizesOfClass(text)), ...outer, ...renameText(text) } : outer;
  // Nemotron 3 Ultra states its layers by kind only.
  if (config.layers === undefined && Array.isArray(config.layersBlockType))
    config.layers = config.layersBlockType.length;
  const rope = ropeOf(text ?? source) ?? ropeOf(source);
  if (rope) config.rope = rope as JsonObject;
  const dtype = dtypeOf(text, source);
  if (dtype) config.dtype = dtype;
  if (isJsonObject(source.vision_config)) config.vision = camelKeys(source.vision_config);
  if (isJsonObject(source.audio_config)) config.audio = camelKeys(source.audio_config);
  const quantization = firstObject(source, ['quantization_config']) ?? firstObject(text ?? {}, ['quantization_config']);
  const architectures = source.architectures;
  const result: NormalizedConfig = {
    architecture: Array.isArray(architectures) && typeof architectures[0] === 'string' ? architectures[0] : undefined,
    modelType: typeof source.model_type === 'string' ? source.model_type : 'unknown',
    config: config as ModelConfig,
  };
  if (typeof text?.model_type === 'string') result.textModelType = text.model_type;
  if (quantization) {
    const { quantMethod, ...rest } = camelKeys(quantization);
    result.quantization = { method: typeof quantMethod === 'string' ? quantMethod : 'unknown', ...rest };
  }
  return result;
}

/** A ModelSpec straight from a config.json, for a model without a preset. */
export function modelSpecFromConfig(
  id: string,
  source: JsonObject,
): Omit<ModelSpec, 'architecture'> & { architecture?: string } {
  const { architecture, modelType, textModelType, config, quantization } = normalizeConfig(source);
  return {
    id,
    modelType,
    config,
    ...(architecture ? { architecture } : {}),
    ...(textModelType ? { textModelType } : {}),
    ...(quantization ? { quantization } : {}),
  };
}

export type { Json };
