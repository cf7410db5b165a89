// DeepSeek-V4: latent attention with one KV head over a window, plus compressed entries of every 4 or 128 tokens; the
// 4-token layers choose among them with an indexer. Hyper-connections widen the residual stream; the first layers route by
// a hash of the token. Names as in the checkpoint (no `model.`). vllm/models/deepseek_v4/{attention,compressor}.py,
// nvidia/{model,mtp}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import {
  column,
  embedding,
  experts,
  gatedMlp,
  linear,
  lmHead,
  norm,
  range,
  replicated,
  router,
  row,
} from '../../build.ts';
import type { Architecture, CacheLayout, RotaryTable, TensorGroup } from '../../types.ts';
import { forwardMoe, layersWhere, need } from './parts.ts';

interface Sizes {
  hidden: number;
  heads: number;
  headDim: number;
  ropeDim: number;
  qRank: number;
  outRank: number;
  groups: number;
  window: number;
  indexHeads: number;
  indexHeadDim: number;
  /** Copies of the residual stream. */
  streams: number;
}

interface At {
  layers: readonly number[];
  part?: 'mtp';
}

const float32 = { dtype: 'float32' } as const;
const sharedRoles = ['shared-gate', 'shared-up', 'shared-down'] as const;
const numbered = { gate: 'w1', up: 'w3', down: 'w2' } as const;

export function deepseekV4(spec: ModelSpec): Architecture {
  const { config } = spec;
  const sizes = sizesOf(config);
  const { hidden } = sizes;
  const layers = range(config.layers);
  const hashed = need(config, 'numHashLayers');
  const prediction = range(need(config, 'numNextnPredictLayers'));
  const forward = {
    layers,
    hiddenSize: hidden,
    experts: need(config, 'experts', 256),
    intermediateSize: need(config, 'moeIntermediateSize', 2048),
    ...sharedBlock(config),
  };
  return {
    tensors: [
      embedding('embed', config.vocabSize, hidden),
      ...attentionOf('layers.{layer}.attn', sizes, { layers }),
      ...compressors(config, sizes),
      ...feedForward('layers.{layer}.ffn', config, layers, hashed),
      ...norm('layers.{layer}.attn_norm', hidden, { layers }),
      ...norm('layers.{layer}.ffn_norm', hidden, { layers }),
      ...hyperConnections('layers.{layer}', sizes, { layers }),
      ...norm('norm', hidden),
      ...headConnection('hc_head', sizes, {}),
      ...lmHead(config.vocabSize, hidden, { name: 'head' }),
      ...predictionLayers(config, sizes, prediction),
    ],
    caches: layers.map((layer) => ({ layer, caches: cachesOf(sizes, ratioOf(config, layer)) })),
    ...(prediction.length > 0
      ? { draftCaches: prediction.map((layer) => ({ layer, caches: cachesOf(sizes, 0) })) }
      : {}),
    forward: {
      hiddenSize: hidden,
      queryDim: sizes.heads * sizes.headDim,
      kvDim: sizes.headDim,
      kvHeads: 1,
      intermediateSize: 0,
      gatedMlp: true,
      moe: forwardMoe(config, forward),
      vocabSize: config.vocabSize,
    },
    rotary: rotaryTables(config, sizes),
    tied: false,
    attention: 'mla',
  };
}

function sizesOf(config: ModelConfig): Sizes {
  return {
    hidden: config.hiddenSize,
    heads: config.heads,
    headDim: need(config, 'headDim', 512),
    ropeDim: need(config, 'qkRopeHeadDim', 64),
    qRank: need(config, 'qLoraRank', 1024),
    outRank: need(config, 'oLoraRank', 1024),
    groups: need(config, 'oGroups', 8),
    window: need(config, 'slidingWindow', 128),
    indexHeads: need(config, 'indexNHeads', 64),
    indexHeadDim: need(config, 'indexHeadDim', 128),
    streams: need(config, 'hcMult', 4),
  };
}

/** Tokens per compressed entry: 4, 128, or 0 for a layer with its window alone. */
function ratioOf(config: ModelConfig, layer: number): number {
  const ratios = config.compressRatios;
  const ratio = Array.isArray(ratios) ? ratios[layer] : 0;
  return typeof ratio === 'number' ? ratio : 0;
}

function attentionOf(prefix: string, sizes: Sizes, at: At): TensorGroup[] {
  const { hidden, heads, headDim, qRank, outRank, groups } = sizes;
  const merge = `${prefix}.fused_wqa_wkv`;
  const part = at.part ?? 'text';
  return [
    { ...at, part, ...float32, name: `${prefix}.attn_sink`, shape: [heads], role: 'attention-other', shard: column },
    ...linear(`${prefix}.wq_a`, [qRank, hidden], { ...at, role: 'q-a', shard: replicated, merge }),
    ...linear(`${prefix}.wkv`, [headDim, hidden], { ...at, role: 'kv-a', shard: replicated, merge }),
    ...norm(`${prefix}.q_norm`, qRank, at),
    ...linear(`${prefix}.wq_b`, [heads * headDim, qRank], { ...at, role: 'q-b', shard: column }),
    ...norm(`${prefix}.kv_norm`, headDim, at),
    ...linear(`${prefix}.wo_a`, [groups * outRank, (heads * headDim) / groups], { ...at, role: 'o', shard: column }),
    ...linear(`${prefix}.wo_b`, [hidden, groups * outRank], { ...at, role: 'o', shard: row }),
  ];
}

/** Compressors of both kinds, and the indexer of the 4-token layers with a compressor of its own. */
function compressors(config: ModelConfig, sizes: Sizes): TensorGroup[] {
  const ratios = [...new Set(range(config.layers).map((layer) => ratioOf(config, layer)))].filter((ratio) => ratio > 0);
  return ratios
    .sort((a, b) => a - b)
    .flatMap((ratio) => {
      const at = { layers: layersWhere(config, (layer) => ratioOf(config, layer) === ratio) };
      const prefix = 'layers.{layer}.attn';
      const common = { ...at, role: 'indexer', shard: replicated } as const;
      const { indexHeads, indexHeadDim, qRank, hidden } = sizes;
      const indexer =
        ratio === 4
          ? [
              ...linear(`${prefix}.indexer.wq_b`, [indexHeads * indexHeadDim, qRank], common),
              ...linear(`${prefix}.indexer.weights_proj`, [indexHeads, hidden], { ...common, linear: false }),
              ...compressor(`${prefix}.indexer.compressor`, indexHeadDim, ratio, hidden, at),
            ]
          : [];
      return [...indexer, ...compressor(`${prefix}.compressor`, sizes.headDim, ratio, hidden, at)];
    });
}

/** Overlapping windows (ratio 4) make two halves of the projections. Kept in 16 bits by every scheme. */
function compressor(prefix: string, headDim: number, ratio: number, hidden: number, at: At): TensorGroup[] {
  const width = compressedWidth(headDim, ratio);
  const common = { ...at, role: 'attention-other', shard: replicated, linear: false } as const;
  const merge = `${prefix}.fused_wkv_wgate`;
  const { linear: _, ...ape } = common;
  return [
    { ...ape, part: 'text', ...float32, name: `${prefix}.ape`, shape: [ratio, width] },
    ...linear(`${prefix}.wkv`, [width, hidden], { ...common, merge }),
    ...linear(`${prefix}.wgate`, [width, hidden], { ...common, merge }),
    ...norm(`${prefix}.norm`, headDim, at),
  ];
}

function compressedWidth(headDim: number, ratio: number): number {
  return ratio === 4 ? 2 * headDim : headDim;
}

function sharedBlock(config: ModelConfig): { shared?: { name: string; intermediateSize: number } } {
  const count = need(config, 'sharedExperts');
  const width = need(config, 'moeIntermediateSize', 2048);
  return count > 0 ? { shared: { name: 'shared_experts', intermediateSize: count * width } } : {};
}

/**
 * The first `hashed` layers choose experts by a table of token ids (int64 in the file, int32 on the device), the others by
 * score and correction bias.
 */
function feedForward(
  prefix: string,
  config: ModelConfig,
  layers: readonly number[],
  hashed: number,
  part?: 'mtp',
): TensorGroup[] {
  const hidden = config.hiddenSize;
  const count = need(config, 'experts', 256);
  const intermediateSize = need(config, 'moeIntermediateSize', 2048);
  const where = { layers, ...(part ? { part } : {}) };
  const table = { role: 'other', shard: replicated, part: part ?? 'text' } as const;
  const tokens = layers.slice(0, hashed);
  const scored = layers.slice(hashed);
  const { shared } = sharedBlock(config);
  const topK = need(config, 'expertsPerToken', 6);
  const tid2eid = {
    ...table,
    name: `${prefix}.gate.tid2eid`,
    shape: [config.vocabSize, topK],
    layers: tokens,
    dtype: 'int32' as const,
  };
  const bias = { ...table, ...float32, name: `${prefix}.gate.bias`, shape: [count], layers: scored };
  return [
    ...router(`${prefix}.gate`, count, hidden, where),
    ...(tokens.length > 0 ? [tid2eid] : []),
    ...(scored.length > 0 && config.topkMethod === 'noaux_tc' ? [bias] : []),
    ...(shared
      ? gatedMlp(`${prefix}.shared_experts`, hidden, shared.intermediateSize, {
          ...where,
          names: numbered,
          roles: sharedRoles,
        })
      : []),
    ...experts(
      `${prefix}.experts`,
      { hiddenSize: hidden, intermediateSize, experts: count },
      { ...where, names: numbered },
    ),
  ];
}

/** Mixing matrices of the hyper-connections before attention and before the experts, in float32. */
function hyperConnections(prefix: string, sizes: Sizes, at: At): TensorGroup[] {
  const mix = (2 + sizes.streams) * sizes.streams;
  const width = sizes.streams * sizes.hidden;
  const shapes = { fn: [mix, width], base: [mix], scale: [3] };
  return Object.entries(shapes).flatMap(([name, shape]) =>
    ['attn', 'ffn'].map((place) => mixing(`${prefix}.hc_${place}_${name}`, shape, at)),
  );
}

/** The connection that folds the streams into one before the head. */
function headConnection(prefix: string, sizes: Sizes, at: Partial<At>): TensorGroup[] {
  const width = sizes.streams * sizes.hidden;
  return [
    mixing(`${prefix}_fn`, [sizes.streams, width], at),
    mixing(`${prefix}_base`, [sizes.streams], at),
    mixing(`${prefix}_scale`, [1], at),
  ];
}

function mixing(name: string, shape: readonly number[], at: Partial<At>): TensorGroup {
  return { ...at, name, shape, role: 'other', shard: replicated, part: at.part ?? 'text', ...float32 };
}

/** Prediction layers: a layer with its window alone, two projections and three norms, and a head connection. */
function predictionLayers(config: ModelConfig, sizes: Sizes, layers: readonly number[]): TensorGroup[] {
  if (layers.length === 0) return [];
  const at = { layers, part: 'mtp' } as const;
  const { hidden } = sizes;
  const prefix = 'mtp.{layer}';
  const projection = { ...at, role: 'mtp', shard: replicated } as const;
  return [
    ...norm(`${prefix}.enorm`, hidden, at),
    ...norm(`${prefix}.hnorm`, hidden, at),
    ...linear(`${prefix}.e_proj`, [hidden, hidden], projection),
    ...linear(`${prefix}.h_proj`, [hidden, hidden], projection),
    ...headConnection(`${prefix}.hc_head`, sizes, at),
    ...norm(`${prefix}.norm`, hidden, at),
    ...attentionOf(`${prefix}.attn`, sizes, at),
    ...feedForward(`${prefix}.ffn`, config, layers, 0, 'mtp'),
    ...norm(`${prefix}.attn_norm`, hidden, at),
    ...norm(`${prefix}.ffn_norm`, hidden, at),
    ...hyperConnections(prefix, sizes, at),
  ];
}

/**
 * Caches of one layer: the window; where tokens are compressed, the entries and the running state of the compressor, which
 * itself keeps a window; in 4-token layers the same pair for the indexer.
 */
function cachesOf(sizes: Sizes, ratio: number): CacheLayout[] {
  const { headDim, ropeDim, window, indexHeadDim } = sizes;
  const caches: CacheLayout[] = [{ kind: 'special', variant: 'v4-window', sizes: { headDim, ropeDim, window } }];
  if (ratio === 0) return caches;
  const state = (width: number): CacheLayout => ({
    kind: 'special',
    variant: 'v4-compressor-state',
    sizes: { width: 2 * compressedWidth(width, ratio), ratio, window: ratio === 4 ? 2 * ratio : ratio },
  });
  if (ratio === 4) {
    caches.push(
      { kind: 'special', variant: 'v4-indexer', sizes: { headDim: indexHeadDim, ratio } },
      state(indexHeadDim),
    );
  }
  return [...caches, { kind: 'special', variant: 'v4-compressed', sizes: { headDim, ropeDim, ratio } }, state(headDim)];
}

/** Compressing layers share a table with yarn and a base of their own; layers with a window alone have a plain one. */
function rotaryTables(config: ModelConfig, sizes: Sizes): RotaryTable[] {
  const layersOf = (compresses: boolean): number[] =>
    layersWhere(config, (layer) => ratioOf(config, layer) > 0 === compresses);
  const positions = config.maxPositionEmbeddings ?? 0;
  const common = { dim: sizes.ropeDim, positions };
  const compressed: RotaryTable = {
    ...common,
    layers: layersOf(true),
    rope: { ...config.rope, type: 'deepseek_yarn', theta: need(config, 'compressRopeTheta', 160000) },
  };
  const rope = { type: 'default', theta: config.rope?.theta ?? 10000 };
  const plain: RotaryTable = { ...common, layers: layersOf(false), rope };
  return [compressed, plain].filter(({ layers }) => layers?.length !== 0);
}
