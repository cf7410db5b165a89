// What the dense families share beyond build.ts: the names under which a decoder hangs in a checkpoint, fused and plain
// matrices, and the step from tensors and windows to an Architecture. It knows no family.
import type { ModelConfig, ModelSpec, RopeConfig } from '../../../spec/model.ts';
import {
  attentionSizes,
  cachesOf,
  column,
  kvHeads,
  linear,
  lmHead,
  range,
  rotaryOf,
  row,
  type Where,
} from '../../build.ts';
import type { Architecture, CacheLayout, LayerCaches, RotaryTable, Shard, TensorGroup } from '../../types.ts';

/** Where a text family sits in a larger model; wrappers of multimodal families pass their own prefix. */
export interface TextOptions {
  /** Takes the place of the decoder's own prefix: 'language_model.model' instead of 'model'. */
  prefix?: string;
  /** Name of the output head where a checkpoint nests it. */
  lmHead?: string;
}

export type Sizes = ReturnType<typeof attentionSizes>;

export interface DecoderNames {
  /** Joins the decoder's prefix with a name below it. */
  at: (name: string) => string;
  /** The prefix of one layer, for families whose layers are called `layers`. */
  layer: string;
  /** Name of the output head; absent when the checkpoint has none (embedding models). */
  head?: string;
}

/**
 * The names of a decoder. A bare class (`MistralModel`) is stored without prefix and head. A head stands beside the
 * decoder: `language_model.lm_head` for `language_model.model`, else at the top.
 */
export function decoderNames(
  spec: ModelSpec,
  options: TextOptions = {},
  own = 'model',
  head = 'lm_head',
): DecoderNames {
  const bare = options.prefix === undefined && /(?<!LMHead)Model$/.test(spec.architecture);
  const prefix = options.prefix ?? (bare ? '' : own);
  const outer = options.prefix?.endsWith(`.${own}`) ? options.prefix.slice(0, -own.length) : '';
  const at = (name: string) => (prefix === '' ? name : `${prefix}.${name}`);
  const hasHead = !bare && spec.task !== 'embed';
  return { at, layer: at('layers.{layer}'), ...(hasHead ? { head: options.lmHead ?? `${outer}${head}` } : {}) };
}

/** The output head: none of its own when it is tied to the embedding or the checkpoint has none. */
export function headOf(
  names: DecoderNames,
  config: ModelConfig,
  options: { tied: boolean; bias?: boolean },
): TensorGroup[] {
  if (options.tied || names.head === undefined) return [];
  return lmHead(config.vocabSize, config.hiddenSize, { name: names.head, bias: options.bias ?? false });
}

/** q, k and v stored as one matrix. The order of the rows inside it differs between families; its bytes do not. */
export function fusedQkv(
  name: string,
  hiddenSize: number,
  sizes: { heads: number; kv: number; headDim: number },
  options: Where & { bias?: boolean } = {},
): TensorGroup[] {
  const { heads, kv, headDim } = sizes;
  const shard: Shard = {
    by: 'segments',
    segments: [
      { rows: heads * headDim, shard: column },
      { rows: kv * headDim, shard: kvHeads(kv) },
      { rows: kv * headDim, shard: kvHeads(kv) },
    ],
  };
  return linear(name, [(heads + 2 * kv) * headDim, hiddenSize], { ...options, role: 'qkv', shard });
}

/** gate and up stored as one matrix. */
export function fusedGateUp(
  name: string,
  hiddenSize: number,
  intermediateSize: number,
  options: Where & { bias?: boolean } = {},
): TensorGroup[] {
  const half = { rows: intermediateSize, shard: column };
  const shard: Shard = { by: 'segments', segments: [half, half] };
  return linear(name, [2 * intermediateSize, hiddenSize], { ...options, role: 'gate-up', shard });
}

/** An MLP without a gate: up, activation, down. `names` are full names. */
export function plainMlp(
  names: { up: string; down: string },
  hiddenSize: number,
  intermediateSize: number,
  options: Where & { bias?: boolean } = {},
): TensorGroup[] {
  return [
    ...linear(names.up, [intermediateSize, hiddenSize], { ...options, role: 'up', shard: column }),
    ...linear(names.down, [hiddenSize, intermediateSize], { ...options, role: 'down', shard: row }),
  ];
}

/** A table of learned positions; engines keep it whole on every rank. */
export function positionEmbedding(name: string, rows: number, width: number): TensorGroup {
  return {
    name: `${name}.weight`,
    shape: [rows, width],
    role: 'position-embedding',
    shard: { by: 'replicated' },
    part: 'text',
  };
}

/** A constant of one value that model classes keep beside the weights (Gemma's embedding scale); in no file. */
export function scaleBuffer(name: string, where: Where = {}): TensorGroup {
  const { layers } = where;
  return {
    name,
    shape: [1],
    ...(layers ? { layers } : {}),
    role: 'other',
    shard: { by: 'replicated' },
    part: 'text',
    buffer: true,
    derived: true,
  };
}

/** The window of each layer; undefined stands for full attention. */
export type Windows = readonly (number | undefined)[];

/** From tensors and windows to an Architecture: caches of every layer, forward shape, one rotary table by default. */
export function assemble(
  spec: ModelSpec,
  parts: {
    tensors: readonly TensorGroup[];
    tied: boolean;
    intermediateSize: number;
    gated: boolean;
    sizes?: Sizes;
    windows?: Windows;
    inclusiveWindow?: boolean;
    rotary?: readonly RotaryTable[];
    alibi?: boolean;
  },
): Architecture {
  const { config } = spec;
  const { tensors, tied, gated, intermediateSize, windows = [], inclusiveWindow = false, alibi = false } = parts;
  const sizes = parts.sizes ?? attentionSizes(config);
  const layout = (layer: number): CacheLayout => attentionCache(sizes, windows[layer], inclusiveWindow);
  return {
    tensors,
    caches: cachesOf(range(config.layers), (layer) => [layout(layer)]),
    forward: {
      hiddenSize: config.hiddenSize,
      queryDim: sizes.queryDim,
      kvDim: sizes.kvDim,
      kvHeads: sizes.kv,
      intermediateSize,
      gatedMlp: gated,
      vocabSize: config.vocabSize,
    },
    rotary: parts.rotary ?? rotaryOf(config, sizes.headDim),
    tied,
    ...(alibi ? { alibi } : {}),
    attention: new Set(range(config.layers).map((layer) => windows[layer])).size > 1 ? 'hybrid-window' : 'uniform',
  };
}

/** K and V of one layer, of all tokens or of the last `window`. */
export function attentionCache(
  sizes: { kv: number; headDim: number },
  window?: number,
  inclusive = false,
): CacheLayout {
  const common = { kvHeads: sizes.kv, headDim: sizes.headDim };
  if (window === undefined) return { kind: 'full', ...common };
  return { kind: 'sliding', window, ...common, ...(inclusive ? { inclusive } : {}) };
}

/** A number of the configuration, or undefined where it is silent. */
/** Prediction layers are built like decoder layers counted from 0 (exaone4_5_mtp.py, mimo_mtp.py): they keep what the first keeps. */
export function predictionCaches(config: ModelConfig, { caches }: Pick<Architecture, 'caches'>): LayerCaches[] {
  const [first] = caches;
  return first ? range(numberOf(config, 'numNextnPredictLayers') ?? 0).map((layer) => ({ ...first, layer })) : [];
}

export function numberOf(config: ModelConfig, key: string): number | undefined {
  const value = config[key];
  return typeof value === 'number' ? value : undefined;
}

/** Rope parameters that a configuration states per layer type, in the names of RopeConfig. */
export function ropeByLayerType(config: ModelConfig): { sliding?: RopeConfig; full?: RopeConfig } {
  const read = (key: string): RopeConfig | undefined => {
    const value = config.rope?.[key];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const { ropeType, ropeTheta, ...rest } = value;
    return {
      ...(ropeType ? { type: ropeType } : {}),
      ...(ropeTheta ? { theta: ropeTheta } : {}),
      ...rest,
    } as RopeConfig;
  };
  const sliding = read('slidingAttention');
  const full = read('fullAttention');
  return { ...(sliding ? { sliding } : {}), ...(full ? { full } : {}) };
}
