// MiniMax-M1 (lightning attention in most layers: a state per sequence instead of a cache) and the text part of MiniMax-M3
// (sparse attention with an index branch). vllm/model_executor/models/minimax_text_01.py (to 0.23) and
// vllm/models/minimax_m3/nvidia/model.py (0.3x).
import type { JsonObject, ModelConfig, ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  column,
  gatedMlp,
  kvHeads,
  linear,
  norm,
  range,
  replicated,
  row,
} from '../../build.ts';
import type { Architecture, CacheLayout, RotaryTable, TensorGroup } from '../../types.ts';
import {
  decoderNames,
  integer,
  layerFlags,
  layerNorms,
  layersWhere,
  moeBlock,
  moeDecoder,
  need,
  splitLayers,
  type TextOptions,
} from './parts.ts';

const numbered = { gate: 'w1', up: 'w3', down: 'w2' } as const;
type Sizes = ReturnType<typeof attentionSizes>;

/** MiniMax-M1: routers and head in float32. */
export function minimaxM1(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const sizes = attentionSizes(config);
  const flags = layerFlags(config, 'attnTypeList') ?? range(config.layers).map(() => true);
  const full = layersWhere(config, (layer) => flags[layer] === true);
  const lightning = layersWhere(config, (layer) => flags[layer] !== true);
  const layers = range(config.layers);
  const block = {
    layers,
    hiddenSize,
    experts: need(config, 'experts', 1),
    intermediateSize: need(config, 'intermediateSize'),
    expertNames: numbered,
    routerDtype: 'float32' as const,
  };
  const attn = `${names.layer}.self_attn`;
  return moeDecoder(spec, {
    names,
    layers: [
      ...lightningAttention(attn, hiddenSize, sizes, lightning),
      ...attention(attn, hiddenSize, sizes, { layers: full }),
      ...moeBlock(`${names.layer}.block_sparse_moe`, block),
      ...layerNorms(names.layer, hiddenSize, { layers }),
    ],
    block,
    denseIntermediateSize: 0,
    tied: config.tieWordEmbeddings ?? false,
    headDtype: 'float32',
    caches: layers.map((layer) => ({ layer, caches: [m1Cache(sizes, flags[layer] === true)] })),
    rotary: [partialRotary(config, sizes.headDim)],
    attention: 'hybrid-mamba',
    queryDim: sizes.queryDim,
    kvDim: sizes.kvDim,
    kvHeads: sizes.kv,
  });
}

function m1Cache(sizes: Sizes, full: boolean): CacheLayout {
  if (full) return { kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim };
  return { kind: 'state', state: { type: 'linear', heads: sizes.heads, headDim: sizes.headDim } };
}

/** Lightning attention: qkv of full width, an output gate, a norm over all heads, and a decay per head made at start. */
function lightningAttention(
  prefix: string,
  hiddenSize: number,
  sizes: Sizes,
  layers: readonly number[],
): TensorGroup[] {
  if (layers.length === 0) return [];
  const width = sizes.queryDim;
  const third = { rows: width, shard: column };
  const segments = { by: 'segments', segments: [third, third, third] } as const;
  const slopes = { role: 'state-other', shard: column, part: 'text', derived: true, dtype: 'float32' } as const;
  return [
    ...linear(`${prefix}.qkv_proj`, [3 * width, hiddenSize], { layers, role: 'state-in', shard: segments }),
    ...linear(`${prefix}.output_gate`, [width, hiddenSize], { layers, role: 'state-in', shard: column }),
    ...linear(`${prefix}.out_proj`, [hiddenSize, width], { layers, role: 'state-out', shard: row }),
    ...norm(`${prefix}.norm`, width, { layers }).map((group) => ({ ...group, shard: column })),
    { ...slopes, name: `${prefix}.slope_rate`, shape: [sizes.heads], layers },
  ];
}

/** MiniMax-M3, the text part: dense layers first, then experts with a shared one and attention with an index branch. */
export function minimaxM3Text(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const sizes = attentionSizes(config);
  const layers = range(config.layers);
  const moeFlags = layerFlags(config, 'moeLayerFreq');
  const { dense, moe } = splitLayers(config, (layer) => moeFlags?.[layer] ?? true);
  const sparse = sparseAttention(config);
  const denseWidth = need(config, 'denseIntermediateSize', need(config, 'intermediateSize'));
  const sharedWidth = need(config, 'sharedIntermediateSize');
  const shared = need(config, 'sharedExperts') > 0 && sharedWidth > 0;
  const block = {
    layers: moe,
    hiddenSize,
    experts: need(config, 'experts', 128),
    intermediateSize: need(config, 'intermediateSize'),
    expertNames: numbered,
    routerDtype: 'float32' as const,
    ...(config.useRoutingBias === true ? { correctionBias: { name: 'e_score_correction_bias' } } : {}),
    ...(shared ? { shared: { name: 'shared_experts', intermediateSize: sharedWidth } } : {}),
  };
  return moeDecoder(spec, {
    names,
    layers: [
      ...indexedAttention(`${names.layer}.self_attn`, hiddenSize, sizes, sparse, layers),
      ...(moe.length > 0 ? moeBlock(`${names.layer}.block_sparse_moe`, block) : []),
      ...(dense.length > 0 ? gatedMlp(`${names.layer}.mlp`, hiddenSize, denseWidth, { layers: dense }) : []),
      ...layerNorms(names.layer, hiddenSize, { layers }),
    ],
    block,
    denseIntermediateSize: dense.length > 0 ? denseWidth : 0,
    tied: config.tieWordEmbeddings ?? false,
    caches: layers.map((layer) => ({ layer, caches: m3Caches(sizes, sparse, layer) })),
    rotary: [partialRotary(config, sizes.headDim)],
    attention: 'uniform',
    queryDim: sizes.queryDim,
    kvDim: sizes.kvDim,
    kvHeads: sizes.kv,
  });
}

interface IndexBranch {
  layers: readonly number[];
  heads: number;
  headDim: number;
}

function sparseAttention(config: ModelConfig): IndexBranch {
  const sparse = (config.sparseAttentionConfig ?? {}) as JsonObject;
  const frequency = sparse.sparseAttentionFreq;
  const used = sparse.useSparseAttention === true && Array.isArray(frequency);
  return {
    layers: used ? layersWhere(config, (layer) => frequency[layer] === 1) : [],
    heads: typeof sparse.sparseNumIndexHeads === 'number' ? sparse.sparseNumIndexHeads : 4,
    headDim: typeof sparse.sparseIndexDim === 'number' ? sparse.sparseIndexDim : 128,
  };
}

/** q, k, v and, in sparse layers, index_q and index_k are one projection; the index key is whole on every rank. */
function indexedAttention(
  prefix: string,
  hiddenSize: number,
  sizes: Sizes,
  index: IndexBranch,
  layers: readonly number[],
): TensorGroup[] {
  const merge = `${prefix}.qkv_proj`;
  const matrices = attention(prefix, hiddenSize, sizes, { layers });
  const at = matrices.findIndex((group) => group.role === 'o');
  const sparse = { layers: index.layers, role: 'indexer', merge } as const;
  const indexRows = index.heads * index.headDim;
  const branch =
    index.layers.length === 0
      ? []
      : [
          ...linear(`${prefix}.index_q_proj`, [indexRows, hiddenSize], { ...sparse, shard: kvHeads(index.heads) }),
          ...linear(`${prefix}.index_k_proj`, [index.headDim, hiddenSize], { ...sparse, shard: replicated }),
        ];
  const indexNorms = index.layers.length === 0 ? [] : ['index_q_norm', 'index_k_norm'];
  return [
    ...matrices.slice(0, at),
    ...branch,
    ...matrices.slice(at),
    ...['q_norm', 'k_norm'].flatMap((name) => norm(`${prefix}.${name}`, sizes.headDim, { layers })),
    ...indexNorms.flatMap((name) => norm(`${prefix}.${name}`, index.headDim, { layers: index.layers })),
  ];
}

function m3Caches(sizes: Sizes, index: IndexBranch, layer: number): CacheLayout[] {
  const full: CacheLayout = { kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim };
  if (!index.layers.includes(layer)) return [full];
  return [full, { kind: 'indexer', headDim: index.headDim, plain: true }];
}

/** rotary_dim, where configured, is the rotated part of the head. */
function partialRotary(config: ModelConfig, headDim: number): RotaryTable {
  const partial = config.rope?.partialRotaryFactor ?? 1;
  const dim = integer(config, 'rotaryDim') ?? Math.floor(headDim * partial);
  return { dim, rope: { ...config.rope }, positions: config.maxPositionEmbeddings ?? 0 };
}
