// Multi-head latent attention: DeepSeek V2/V3/V3.2, Kimi K2, GLM-4.7-Flash, GLM-5 and MiniCPM3. The cache holds one latent
// vector per token; GLM-5 and DeepSeek-V3.2 add an indexer with keys of its own that picks the tokens to attend to.
// vllm/model_executor/models/{deepseek_v2,glm4_moe_lite,minicpm3}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { column, gatedMlp, linear, norm, range, replicated, row } from '../../build.ts';
import type { Architecture, CacheLayout, LayerCaches, RotaryTable, TensorGroup } from '../../types.ts';
import { mtpFrame } from './mixtral.ts';
import {
  decoderNames,
  integer,
  layerFlags,
  layerNorms,
  layersWhere,
  type MoeBlock,
  moeBlock,
  moeDecoder,
  need,
  splitLayers,
  type TextOptions,
} from './parts.ts';

interface MlaTraits {
  /** Class defaults where the configuration is silent. */
  routerDtype?: 'float32';
  correctionBias?: boolean;
}

interface MlaSizes {
  heads: number;
  /** Rank of the query's low-rank pair; undefined when q is one matrix. */
  qLoraRank?: number;
  kvLoraRank: number;
  nopeDim: number;
  ropeDim: number;
  valueDim: number;
}

export function mlaSizes(config: ModelConfig): MlaSizes {
  const qLoraRank = integer(config, 'qLoraRank');
  return {
    heads: config.heads,
    ...(qLoraRank ? { qLoraRank } : {}),
    kvLoraRank: need(config, 'kvLoraRank', 512),
    nopeDim: need(config, 'qkNopeHeadDim', 128),
    ropeDim: need(config, 'qkRopeHeadDim', 64),
    valueDim: need(config, 'vHeadDim', 128),
  };
}

/**
 * DeepSeek V2, V3, R1, V3.2, Kimi K2, GLM-5. The correction bias belongs to topk_method noaux_tc, the default of every class
 * but DeepSeek V2's.
 */
export function deepseekV2(spec: ModelSpec, options?: TextOptions): Architecture {
  const method = spec.config.topkMethod ?? (spec.modelType === 'deepseek_v2' ? 'greedy' : 'noaux_tc');
  return mlaDecoder(spec, options, { correctionBias: method === 'noaux_tc' });
}

/** GLM-4.7-Flash: routers in float32, always with a correction bias. */
export function glm4MoeLite(spec: ModelSpec, options?: TextOptions): Architecture {
  return mlaDecoder(spec, options, { correctionBias: true, routerDtype: 'float32' });
}

function mlaDecoder(spec: ModelSpec, options: TextOptions | undefined, traits: MlaTraits): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const sizes = mlaSizes(config);
  const { dense, moe } = splitLayers(config, sparseLayers(config));
  const all = range(config.layers);
  const block = blockOf(config, moe, traits);
  const denseWidth = need(config, 'intermediateSize');
  const mtpLayers = range(need(config, 'numNextnPredictLayers'), config.layers);
  return moeDecoder(spec, {
    names,
    layers: [
      ...mlaAttention(`${names.layer}.self_attn`, hiddenSize, sizes, {
        layers: all,
        bias: config.attentionBias === true,
      }),
      ...indexers(`${names.layer}.self_attn.indexer`, config, sizes),
      ...(moe.length > 0 ? moeBlock(`${names.layer}.mlp`, block) : []),
      ...(dense.length > 0 ? gatedMlp(`${names.layer}.mlp`, hiddenSize, denseWidth, { layers: dense }) : []),
      ...layerNorms(names.layer, hiddenSize, { layers: all }),
    ],
    block,
    denseIntermediateSize: dense.length > 0 ? denseWidth : 0,
    tied: config.tieWordEmbeddings ?? false,
    caches: all.map((layer) => ({ layer, caches: mlaCaches(config, sizes, layer) })),
    rotary: mlaRotary(config, sizes.ropeDim),
    attention: 'mla',
    queryDim: sizes.heads * (sizes.nopeDim + sizes.ropeDim),
    kvDim: sizes.kvLoraRank + sizes.ropeDim,
    kvHeads: 1,
    ...mtpOf(names.layer, config, sizes, block, mtpLayers),
  });
}

/** mlp_layer_types says it per layer; else all layers from first_k_dense_replace on, in steps of moe_layer_freq. */
function sparseLayers(config: ModelConfig): (layer: number) => boolean {
  const types = config.mlpLayerTypes;
  if (Array.isArray(types)) return (layer) => types[layer] === 'sparse';
  if (config.experts === undefined) return () => false;
  const flags = layerFlags(config, 'moeLayerFreq');
  if (flags) return (layer) => flags[layer] === true;
  const first = need(config, 'firstKDenseReplace');
  const frequency = need(config, 'moeLayerFreq', 1);
  return (layer) => layer >= first && layer % frequency === 0;
}

function blockOf(config: ModelConfig, layers: readonly number[], traits: MlaTraits): MoeBlock {
  const intermediateSize = need(config, 'moeIntermediateSize');
  const shared = need(config, 'sharedExperts');
  return {
    layers,
    hiddenSize: config.hiddenSize,
    experts: need(config, 'experts'),
    intermediateSize,
    ...(traits.routerDtype ? { routerDtype: traits.routerDtype } : {}),
    ...(traits.correctionBias ? { correctionBias: { name: 'gate.e_score_correction_bias' } } : {}),
    ...(shared > 0 ? { shared: { name: 'shared_experts', intermediateSize: shared * intermediateSize } } : {}),
  };
}

/**
 * The matrices of latent attention under `prefix`. q_a and kv_a are whole on every rank and merged into fused_qkv_a_proj
 * where q has a low rank; q_b, kv_b and o are divided by heads.
 */
export function mlaAttention(
  prefix: string,
  hiddenSize: number,
  sizes: MlaSizes,
  where: { layers: readonly number[]; bias?: boolean; part?: 'mtp' },
): TensorGroup[] {
  const { heads, qLoraRank, kvLoraRank, nopeDim, ropeDim, valueDim } = sizes;
  const { bias = false, ...common } = where;
  const qRows = heads * (nopeDim + ropeDim);
  const merge = `${prefix}.fused_qkv_a_proj`;
  const latent = { ...common, shard: replicated, bias, ...(qLoraRank ? { merge } : {}) };
  const kvA = linear(`${prefix}.kv_a_proj_with_mqa`, [kvLoraRank + ropeDim, hiddenSize], { ...latent, role: 'kv-a' });
  const query = qLoraRank
    ? [
        ...linear(`${prefix}.q_a_proj`, [qLoraRank, hiddenSize], { ...latent, role: 'q-a' }),
        ...kvA,
        ...norm(`${prefix}.q_a_layernorm`, qLoraRank, common),
        ...linear(`${prefix}.q_b_proj`, [qRows, qLoraRank], { ...common, role: 'q-b', shard: column }),
      ]
    : [...kvA, ...linear(`${prefix}.q_proj`, [qRows, hiddenSize], { ...common, role: 'q', shard: column })];
  return [
    ...query,
    ...norm(`${prefix}.kv_a_layernorm`, kvLoraRank, common),
    ...linear(`${prefix}.kv_b_proj`, [heads * (nopeDim + valueDim), kvLoraRank], {
      ...common,
      role: 'kv-b',
      shard: column,
    }),
    ...linear(`${prefix}.o_proj`, [hiddenSize, heads * valueDim], { ...common, role: 'o', shard: row, bias }),
  ];
}

/** Files have an indexer in every layer; the classes build none where a layer shares the choice of an earlier one. */
function indexers(prefix: string, config: ModelConfig, sizes: MlaSizes): TensorGroup[] {
  const own = layersWhere(config, (layer) => !sharesIndexer(config, layer));
  const shared = layersWhere(config, (layer) => sharesIndexer(config, layer));
  return [
    ...indexer(prefix, config, sizes, { layers: own }),
    ...indexer(prefix, config, sizes, { layers: shared }).map((group) => ({ ...group, unloaded: true })),
  ];
}

/**
 * The indexer of sparse attention, whole on every rank: query from the low-rank query, one key, a weight per head (which no
 * checkpoint quantizes).
 */
function indexer(
  prefix: string,
  config: ModelConfig,
  sizes: MlaSizes,
  where: { layers: readonly number[]; part?: 'mtp' },
): TensorGroup[] {
  if (!isSparse(config) || where.layers.length === 0) return [];
  const heads = need(config, 'indexNHeads', 64);
  const headDim = need(config, 'indexHeadDim', 128);
  const common = { ...where, role: 'indexer', shard: replicated } as const;
  return [
    ...linear(`${prefix}.wq_b`, [heads * headDim, sizes.qLoraRank ?? config.hiddenSize], common),
    ...linear(`${prefix}.wk`, [headDim, config.hiddenSize], common),
    ...linear(`${prefix}.weights_proj`, [heads, config.hiddenSize], { ...common, linear: false }),
    ...norm(`${prefix}.k_norm`, headDim, { ...where, bias: true }).map((group) => ({
      ...group,
      dtype: 'float32' as const,
    })),
  ];
}

function isSparse(config: ModelConfig): boolean {
  return config.indexTopk !== undefined;
}

function mlaCaches(config: ModelConfig, sizes: MlaSizes, layer: number): CacheLayout[] {
  const { kvLoraRank, ropeDim } = sizes;
  const sparse = isSparse(config);
  const latent: CacheLayout = {
    kind: 'mla',
    latentDim: kvLoraRank + ropeDim,
    kvLoraRank,
    ropeDim,
    ...(sparse ? { sparse } : {}),
  };
  if (!sparse || sharesIndexer(config, layer)) return [latent];
  return [{ kind: 'indexer', headDim: need(config, 'indexHeadDim', 128) }, latent];
}

/**
 * A layer that takes the choice of an earlier layer's indexer builds none and keeps no keys: index_topk_pattern ("S"), else
 * every layer past index_skip_topk_offset but one in index_topk_freq (vllm deepseek_v2.py DeepseekV2MLAAttention, 0.22 on).
 */
function sharesIndexer(config: ModelConfig, layer: number): boolean {
  const pattern = config.indexTopkPattern;
  if (typeof pattern === 'string' || Array.isArray(pattern)) return pattern[layer] === 'S';
  const frequency = need(config, 'indexTopkFreq', 1);
  return Math.max(layer - need(config, 'indexSkipTopkOffset', 2) + 1, 0) % frequency !== 0;
}

/**
 * The rotated part is a head part of its own. The classes turn a configured scaling into DeepSeek's yarn. An indexer whose
 * rotation is not interleaved, as the latent's is, needs a second table.
 */
function mlaRotary(config: ModelConfig, dim: number): RotaryTable[] {
  const { type = 'default', ...rest } = config.rope ?? {};
  const rope = { ...rest, type: type === 'default' ? type : 'deepseek_yarn' };
  const table: RotaryTable = { dim, rope, positions: config.maxPositionEmbeddings ?? 0 };
  if (!isSparse(config) || config.indexerRopeInterleave === true) return [table];
  return [table, { ...table, rope: { ...rope, style: 'neox' } }];
}

function mtpOf(
  layer: string,
  config: ModelConfig,
  sizes: MlaSizes,
  block: MoeBlock,
  layers: readonly number[],
): { mtp?: TensorGroup[]; draftCaches?: LayerCaches[] } {
  if (layers.length === 0) return {};
  const where = { layers, part: 'mtp' } as const;
  const { hiddenSize } = config;
  return {
    mtp: [
      ...mtpFrame(layer, hiddenSize, layers),
      ...mlaAttention(`${layer}.self_attn`, hiddenSize, sizes, { ...where, bias: config.attentionBias === true }),
      ...indexer(`${layer}.self_attn.indexer`, config, sizes, where),
      ...moeBlock(`${layer}.mlp`, { ...block, ...where }),
      ...layerNorms(layer, hiddenSize, where),
    ],
    draftCaches: layers.map((_, i) => ({ layer: i, caches: mlaCaches(config, sizes, 0) })),
  };
}
