// The text part of Gemma 4: window and full layers with different head sizes, full layers that may use K as V, layers that
// share the cache of an earlier one, per-layer embeddings (E2B, E4B) and an expert block beside the MLP (26B-A4B).
// vllm/model_executor/models/gemma4.py; the tensors are those of the checkpoint.
import type { ModelConfig, ModelSpec, RopeConfig } from '../../../spec/model.ts';
import {
  column,
  embedding,
  expert,
  gatedMlp,
  linear,
  norm,
  range,
  replicated,
  router,
  row,
  type Where,
} from '../../build.ts';
import type { Architecture, LayerCaches, RotaryTable, TensorGroup } from '../../types.ts';
import {
  assemble,
  attentionCache,
  decoderNames,
  headOf,
  numberOf,
  ropeByLayerType,
  scaleBuffer,
  type TextOptions,
} from './parts.ts';
import { interleavedWindows } from './windows.ts';

interface LayerKind {
  layers: number[];
  kv: number;
  headDim: number;
  window?: number;
  keyIsValue: boolean;
}

const layerNorms = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
];

export function gemma4Text(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const names = decoderNames(spec, options);
  const { layer } = names;
  const all = { layers: range(config.layers) };
  const kinds = layerKinds(config);
  const widest = kinds.full;
  const tied = config.tieWordEmbeddings ?? true;
  const widths = mlpWidths(config);
  const experts = config.enableMoeBlock === true ? expertBlock(layer, config, all) : [];
  const built = assemble(spec, {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, hiddenSize),
      ...perLayerEmbedding(names.at, config),
      ...Object.values(kinds).flatMap((kind) => attentionOf(layer, config, kind)),
      ...widths.flatMap(({ width, layers }) => gatedMlp(`${layer}.mlp`, hiddenSize, width, { layers })),
      ...layerNorms.flatMap((name) => norm(`${layer}.${name}`, hiddenSize, all)),
      ...experts,
      ...perLayerInput(layer, config, all),
      { ...all, name: `${layer}.layer_scalar`, shape: [1], role: 'other', shard: replicated, part: 'text' },
      ...norm(names.at('norm'), hiddenSize),
      scaleBuffer(names.at('normalizer')),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes: {
      heads: config.heads,
      kv: widest.kv,
      headDim: widest.headDim,
      queryDim: config.heads * widest.headDim,
      kvDim: Math.max(...Object.values(kinds).map((kind) => kind.kv * kind.headDim)),
    },
    intermediateSize: Math.max(...widths.map(({ width }) => width)),
    gated: true,
    rotary: tables(config, kinds),
  });
  return {
    ...built,
    caches: caches(config, Object.values(kinds)),
    attention: 'hybrid-window',
    forward: { ...built.forward, ...(experts.length > 0 ? { moe: moeShape(config) } : {}) },
  };
}

function layerKinds(config: ModelConfig): { sliding: LayerKind; full: LayerKind } {
  const windows = interleavedWindows(config, { period: 6, window: 512 });
  const headDim = config.headDim ?? 256;
  const kv = config.kvHeads ?? config.heads;
  const keyIsValue = config.attentionKEqV === true;
  const of = (full: boolean) => range(config.layers).filter((layer) => (windows[layer] === undefined) === full);
  return {
    sliding: { layers: of(false), kv, headDim, window: config.slidingWindow ?? 512, keyIsValue: false },
    full: {
      layers: of(true),
      kv: keyIsValue ? (numberOf(config, 'numGlobalKeyValueHeads') ?? kv) : kv,
      headDim: numberOf(config, 'globalHeadDim') ?? headDim,
      keyIsValue,
    },
  };
}

function attentionOf(layer: string, config: ModelConfig, kind: LayerKind): TensorGroup[] {
  const { layers, kv, headDim } = kind;
  const { hiddenSize, heads } = config;
  const prefix = `${layer}.self_attn`;
  const bias = config.attentionBias === true;
  const into = { layers, bias, merge: `${prefix}.qkv_proj` };
  const kvShard = { by: 'kv-heads', heads: kv } as const;
  const kvRows = [kv * headDim, hiddenSize] as const;
  const key = linear(`${prefix}.k_proj`, kvRows, { ...into, role: 'k', shard: kvShard });
  const value = linear(`${prefix}.v_proj`, kvRows, { ...into, role: 'v', shard: kvShard });
  const first = firstShared(config);
  return [
    ...linear(`${prefix}.q_proj`, [heads * headDim, hiddenSize], { ...into, role: 'q', shard: column }),
    ...splitIdle(kind.keyIsValue ? key.map((group) => ({ ...group, alsoValue: true })) : [...key, ...value], first),
    ...linear(`${prefix}.o_proj`, [hiddenSize, heads * headDim], { layers, bias, role: 'o', shard: row }),
    ...norm(`${prefix}.q_norm`, headDim, { layers }),
    ...splitIdle(norm(`${prefix}.k_norm`, headDim, { layers }), first),
  ];
}

/** Layers from `first` on read another layer's cache: the file has their K and V all the same. */
function splitIdle(groups: readonly TensorGroup[], first: number): TensorGroup[] {
  const busy = groups.map((group) => ({ ...group, layers: group.layers?.filter((layer) => layer < first) ?? [] }));
  const idle = groups.map((group) => ({ ...group, layers: group.layers?.filter((layer) => layer >= first) ?? [] }));
  return [...busy, ...idle.map((group) => ({ ...group, idleKv: true }))].filter(({ layers }) => layers.length > 0);
}

/** use_double_wide_mlp doubles the MLP of the layers that share a cache. */
function mlpWidths(config: ModelConfig): { width: number; layers: number[] }[] {
  const width = config.intermediateSize ?? 4 * config.hiddenSize;
  const first = firstShared(config);
  if (config.useDoubleWideMlp !== true || first <= 0) return [{ width, layers: range(config.layers) }];
  return [
    { width, layers: range(first) },
    { width: 2 * width, layers: range(config.layers - first, first) },
  ].filter(({ layers }) => layers.length > 0);
}

function firstShared(config: ModelConfig): number {
  return config.layers - (numberOf(config, 'numKvSharedLayers') ?? 0);
}

/** Router with its scales, then the experts, which the file keeps as one tensor per layer, then three more norms. */
function expertBlock(layer: string, config: ModelConfig, where: Where): TensorGroup[] {
  const { hiddenSize, experts: count = 0, moeIntermediateSize: width = 0 } = config;
  const vector = (name: string, size: number): TensorGroup => ({
    ...where,
    name: `${layer}.${name}`,
    shape: [size],
    role: 'other',
    shard: replicated,
    part: 'text',
  });
  const stack = { ...where, experts: count, stacked: true, part: 'text', linear: true } as const;
  const half = { rows: width, shard: column };
  return [
    vector('router.scale', hiddenSize),
    scaleBuffer(`${layer}.router.root_size`, where),
    ...router(`${layer}.router.proj`, count, hiddenSize, where),
    vector('router.per_expert_scale', count),
    {
      ...stack,
      name: `${layer}.experts.gate_up_proj`,
      shape: [2 * width, hiddenSize],
      role: 'expert-gate-up',
      shard: expert({ by: 'segments', segments: [half, half] }),
    },
    {
      ...stack,
      name: `${layer}.experts.down_proj`,
      shape: [hiddenSize, width],
      role: 'expert-down',
      shard: expert(row),
    },
    ...['post_feedforward_layernorm_1', 'post_feedforward_layernorm_2', 'pre_feedforward_layernorm_2'].flatMap((name) =>
      norm(`${layer}.${name}`, hiddenSize, where),
    ),
  ];
}

function moeShape(config: ModelConfig) {
  return {
    experts: config.experts ?? 0,
    topK: config.expertsPerToken ?? 0,
    intermediateSize: config.moeIntermediateSize ?? 0,
    sharedIntermediateSize: 0,
    layers: config.layers,
  };
}

/** One more embedding of hidden_size_per_layer_input values per layer, and its projection from the hidden states. */
function perLayerEmbedding(at: (name: string) => string, config: ModelConfig): TensorGroup[] {
  const width = numberOf(config, 'hiddenSizePerLayerInput') ?? 0;
  if (width === 0) return [];
  const rows = numberOf(config, 'vocabSizePerLayerInput') ?? config.vocabSize;
  const total = width * config.layers;
  return [
    embedding(at('embed_tokens_per_layer'), rows, total),
    scaleBuffer(at('embed_scale_per_layer')),
    ...linear(at('per_layer_model_projection'), [total, config.hiddenSize], { role: 'other', shard: column }),
    ...norm(at('per_layer_projection_norm'), width),
    scaleBuffer(at('per_layer_input_scale')),
    scaleBuffer(at('per_layer_projection_scale')),
  ];
}

function perLayerInput(layer: string, config: ModelConfig, where: Where): TensorGroup[] {
  const width = numberOf(config, 'hiddenSizePerLayerInput') ?? 0;
  if (width === 0) return [];
  const options = { ...where, role: 'other', shard: replicated } as const;
  return [
    ...linear(`${layer}.per_layer_input_gate`, [width, config.hiddenSize], options),
    ...linear(`${layer}.per_layer_projection`, [config.hiddenSize, width], options),
    ...norm(`${layer}.post_per_layer_input_norm`, config.hiddenSize, where),
  ];
}

/** The last num_kv_shared_layers layers reuse the cache of the last earlier layer of their kind. */
function caches(config: ModelConfig, kinds: readonly LayerKind[]): LayerCaches[] {
  const first = firstShared(config);
  return range(config.layers).map((layer) => {
    const kind = kinds.find(({ layers }) => layers.includes(layer))!;
    const source = kind.layers.filter((other) => other < first).at(-1);
    if (layer >= first && source !== undefined) return { layer, caches: [], sharedWith: source };
    return { layer, caches: [attentionCache(kind, kind.window)] };
  });
}

/** `proportional` tables span the whole head (the unrotated part has frequency 0). */
function tables(config: ModelConfig, kinds: { sliding: LayerKind; full: LayerKind }): RotaryTable[] {
  const positions = config.maxPositionEmbeddings ?? 131072;
  const { sliding, full } = ropeByLayerType(config);
  const table = (kind: LayerKind, rope: RopeConfig = {}): RotaryTable => {
    const share = rope.type === 'proportional' ? 1 : (rope.partialRotaryFactor ?? 1);
    return { dim: Math.floor(kind.headDim * share), rope, positions };
  };
  return [table(kinds.sliding, sliding), table(kinds.full, full)];
}
