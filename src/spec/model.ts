// What a model is, independent of any engine: its configuration in our own names. Names follow the Hugging Face config keys
// in camelCase, with the field's short names for the commonest ones (layers, heads, kvHeads, experts, ...: see
// normalize.ts, which turns a config.json into this form). Preset files hold exactly this shape.

export const dtypes = ['float32', 'float16', 'bfloat16'] as const;
export type Dtype = (typeof dtypes)[number];

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Rotary embedding parameters, from rope_scaling / rope_parameters / rope_theta. */
export interface RopeConfig {
  /** Hugging Face rope_type: default, linear, dynamic, yarn, deepseek_yarn, longrope, su, llama3, mrope ... */
  type?: string;
  theta?: number;
  factor?: number;
  originalMaxPositionEmbeddings?: number;
  partialRotaryFactor?: number;
  mropeSection?: number[];
  [key: string]: Json | undefined;
}

/** A decoder configuration. Unlisted keys are the camelCase form of the Hugging Face key and belong to one family. */
export interface ModelConfig {
  dtype?: Dtype;
  hiddenSize: number;
  layers: number;
  heads: number;
  kvHeads?: number;
  headDim?: number;
  intermediateSize?: number;
  vocabSize: number;
  /** The longest context the configuration states; the engines derive max_model_len from it (and from rope). */
  maxPositionEmbeddings?: number;
  tieWordEmbeddings?: boolean;
  slidingWindow?: number;
  layerTypes?: string[];
  rope?: RopeConfig;
  experts?: number;
  expertsPerToken?: number;
  moeIntermediateSize?: number;
  /** Configuration of the vision / audio tower, same naming rule. */
  vision?: JsonObject;
  audio?: JsonObject;
  [key: string]: Json | RopeConfig | undefined;
}

/** How a checkpoint's weights are stored: the fields of quantization_config that decide bytes, in camelCase. */
export interface QuantizationConfig {
  method: string;
  [key: string]: Json;
}

export interface ModelSpec {
  id: string;
  name?: string;
  hfId?: string;
  aliases?: string[];
  /** Names that could mean several models (llama-7b); a plan says which one was taken. */
  shortNames?: string[];
  family?: string;
  /** The architecture class of config.json, e.g. LlamaForCausalLM. */
  architecture: string;
  modelType: string;
  /** Family that an unknown architecture is planned as; every figure is then an estimate. */
  assumedFamily?: string;
  /** model_type of the text part where the checkpoint is multimodal. */
  textModelType?: string;
  config: ModelConfig;
  /** The checkpoint's own quantization, absent for 16-bit checkpoints. */
  quantization?: QuantizationConfig;
  /** Parameters of the main model (no MTP, no tower), exact where published. */
  parameters?: number;
  /** What the checkpoint is for when the architecture class does not say it; an embedding model has no output head. */
  task?: 'embed';
  released?: string;
  source?: string;
  notes?: string[];
}
