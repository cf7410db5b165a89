// What every layer of a model keeps in the KV cache of one rank, as the release's own classes describe it: kind, block size,
// page bytes, per pipeline stage. Source: vllm/v1/kv_cache_interface.py and get_kv_cache_spec of the layer classes, 0.8 to
// 0.33; V0: worker/cache_engine.py get_cache_block_size.
import type { Architecture, CacheLayout, LayerCaches } from '../../../architecture/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import { lcm } from '../../../units.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { attentionBackend, type BackendQuestion, lacksBackend } from './backend.ts';
import { type BlockSize, resolveBlockSize } from './block-size.ts';
import { type CacheFacts, layerSpec } from './layer.ts';
import { attentionTokenBytes, elementBytes, latentTokenBytes } from './pages.ts';
import { stageBounds } from './stages.ts';
import { checkpoint, stateBytes } from './state.ts';
import type { KvLayerSpec, KvProfile } from './types.ts';

export interface KvSpecsInput {
  architecture: Architecture;
  model: ModelSpec;
  gpu: GpuSpec;
  options: ResolvedOptions;
  profile: KvProfile;
  /** --kv-cache-dtype as the user gave it, before "auto" was resolved. */
  askedKvCacheDtype?: string | undefined;
}

export interface KvSpecs {
  /** Layer specs of each pipeline stage. */
  stages: KvLayerSpec[][];
  /** cache_config.block_size. */
  blockSize: number;
  /** Attention backend to the number of layers it serves; empty where the choice is not on record. */
  backends: Record<string, number>;
  /** The release turns its hybrid manager off for this model. */
  disableHybridManager: boolean;
  logLines: string[];
  /** What the engine would refuse the start with: no backend takes a layer, or not this cache type. */
  error?: string;
}

/** The layer specs of each pipeline stage with what was decided on the way. */
export function kvLayerSpecs(asked: KvSpecsInput): KvSpecs {
  const input = withCacheDefaults(asked);
  const { options } = input;
  const layers = cachesOf(input);
  const backends = new Map<CacheLayout, string>();
  const counts: Record<string, number> = {};
  for (const { caches } of layers) {
    for (const layout of caches) {
      const backend = backends.get(layout) ?? backendOf(layout, input);
      if (!backend) continue;
      backends.set(layout, backend);
      counts[backend] = (counts[backend] ?? 0) + 1;
    }
  }
  // The indexer registers its cache before the attention layer that owns it.
  const order = Object.keys(counts).sort((a, b) => Number(b === indexerBackend) - Number(a === indexerBackend));
  const block = blockSizeOf(input, layers, order);
  const facts: CacheFacts = { ...input, block, backends, cacheDtype: cacheDtypeOf };
  const stages = placeLayers(input, layers, facts);
  const hasChunks = options.engine === 'v1' && stages.some((stage) => stage.some((spec) => spec.kind === 'chunked'));
  return {
    stages,
    blockSize: block.blockSize,
    backends: counts,
    disableHybridManager: options.disableHybridKvCacheManager === true || (hasChunks && chunkedTurnsOff(input)),
    logLines: block.logLines,
    ...refusalOf(input, layers, backends),
  };
}

const indexerBackend = 'DEEPSEEK_V32_INDEXER';

/** Models that a release gives another cache type than their own when none is asked for (GLM's sparse MLA on 10.x: fp8). */
function withCacheDefaults(input: KvSpecsInput): KvSpecsInput {
  const { model, gpu, options, profile, askedKvCacheDtype = 'auto' } = input;
  const rule = profile['kv.fp8CacheDefaults'];
  const major = gpu.computeCapability?.split('.')[0] ?? '';
  if (askedKvCacheDtype !== 'auto' || rule?.[model.architecture] !== major) return input;
  return { ...input, options: { ...options, kvCacheDtype: 'fp8_e4m3' } };
}

function refusalOf(
  input: KvSpecsInput,
  layers: readonly LayerCaches[],
  backends: ReadonlyMap<CacheLayout, string>,
): { error?: string } {
  const { options, profile } = input;
  const layouts = layers.flatMap((entry) => entry.caches);
  if (layouts.some((layout) => layout.kind === 'special') && profile['kv.compressedNeedsFp8']) {
    const dtype = input.askedKvCacheDtype ?? 'auto';
    if (!dtype.startsWith('fp8')) {
      return { error: `AssertionError: DeepseekV4 only supports fp8 kv-cache format for now, got ${dtype}` };
    }
  }
  if (options.kvCacheDtype.startsWith('turboquant_') && profile['kv.turboquant'] === 'dense' && isHybrid(layouts)) {
    return {
      error:
        'NotImplementedError: TurboQuant KV cache is not supported for hybrid (attention + Mamba) models. ' +
        'Boundary layer protection requires uniform attention layers.',
    };
  }
  const tooOld = tritonRefusesFp8(input, backends);
  if (tooOld) return { error: tooOld };
  const refused = layouts.find((layout) => !backends.has(layout) && lacksBackend(layout, questionOf(input), profile));
  if (!refused) return {};
  const headDim = refused.kind === 'mla' ? refused.latentDim : 'headDim' in refused ? refused.headDim : 0;
  const sparse = refused.kind === 'mla' && refused.sparse === true;
  return {
    error:
      `ValueError: No valid attention backend found for cuda with AttentionSelectorConfig(head_size=${headDim}, ` +
      `dtype=torch.${options.dtype}, kv_cache_dtype=${input.askedKvCacheDtype ?? 'auto'}, block_size=None, ` +
      `use_mla=${refused.kind === 'mla' ? 'True' : 'False'}, use_sparse=${sparse ? 'True' : 'False'})`,
  };
}

function chunkedTurnsOff({ options, profile }: KvSpecsInput): boolean {
  return profile['kv.chunkedDisablesHybrid'] && options.env?.VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE !== '1';
}

/** The layers that have a cache of their own, and those of a draft that the release loads with the model. */
function cachesOf(input: KvSpecsInput): LayerCaches[] {
  const { architecture, options } = input;
  const own = architecture.caches
    .filter((entry) => entry.caches.length > 0 && entry.sharedWith === undefined)
    .map((entry) => (keepsLatents(input) ? entry : { ...entry, caches: entry.caches.map((l) => expanded(l, input)) }));
  if (!draftsWithModel(options)) return own;
  const total = layerCount(input);
  const drafts = (architecture.draftCaches ?? []).map((entry) => ({ ...entry, layer: total + entry.layer }));
  return [...own, ...drafts];
}

/** Decoder layers; a family may leave out those without a cache. */
function layerCount({ architecture, model }: KvSpecsInput): number {
  const last = architecture.caches[architecture.caches.length - 1]?.layer ?? -1;
  return Math.max(model.config.layers, last + 1);
}

/** MLA came with 0.7; VLLM_MLA_DISABLE=1 turns it off. */
function keepsLatents({ options, profile }: KvSpecsInput): boolean {
  return profile['kv.latentAttention'] === 'latent' && options.env?.VLLM_MLA_DISABLE !== '1';
}

/** Without MLA the latent vectors are expanded into ordinary heads (up to 0.6 padded to a size FlashAttention had). */
function expanded(layout: CacheLayout, { model, profile }: KvSpecsInput): CacheLayout {
  if (layout.kind !== 'mla') return layout;
  const nope = model.config.qkNopeHeadDim;
  const own = layout.ropeDim + (typeof nope === 'number' ? nope : 128);
  const headDim = profile['kv.latentAttention'] === 'padded' ? 256 : own;
  return { kind: 'full', kvHeads: model.config.kvHeads ?? model.config.heads, headDim };
}

/** Multi-token prediction: the checkpoint's own draft layers run on the last stage. */
function draftsWithModel({ speculativeConfig }: ResolvedOptions): boolean {
  const method = speculativeConfig?.method;
  return typeof method === 'string' && /mtp/.test(method);
}

function backendOf(layout: CacheLayout, input: KvSpecsInput): string | undefined {
  if (layout.kind === 'indexer') return layout.plain ? 'MINIMAX_M3_SPARSE_INDEXER' : indexerBackend;
  return attentionBackend(layout, questionOf(input), input.profile);
}

function questionOf(input: KvSpecsInput): BackendQuestion {
  const { model, gpu, options } = input;
  const nope = model.config.qkNopeHeadDim;
  return {
    capability: gpu.computeCapability,
    cacheDtype: options.kvCacheDtype,
    dtype: options.dtype,
    queryHeads: Math.floor(model.config.heads / options.tensorParallelSize),
    qkNopeHeadDim: typeof nope === 'number' ? nope : undefined,
    prefixLm: isPrefixLm(input),
  };
}

function isPrefixLm({ model, options, profile }: KvSpecsInput): boolean {
  if (options.languageModelOnly) return false;
  if (profile['attention.prefixLmTypes']?.includes(model.modelType)) return true;
  return profile['attention.prefixLmByConfig'] === true && model.config.useBidirectionalAttention === 'vision';
}

/** Cache type of a latent layer: sparse MLA has a packed layout of its own (656 bytes a token). */
export function cacheDtypeOf(layout: CacheLayout, backend: string | undefined, input: KvSpecsInput): string {
  const { options, profile, askedKvCacheDtype } = input;
  const dtype = options.kvCacheDtype;
  if (layout.kind !== 'mla' || !layout.sparse) return dtype;
  const isFp8 = dtype.startsWith('fp8');
  switch (profile['kv.sparseCache']) {
    case 'packedByDefault':
      return isFp8 || (askedKvCacheDtype ?? 'auto') === 'auto' ? 'fp8_ds_mla' : dtype;
    case 'packedForFp8':
      return isFp8 ? 'fp8_ds_mla' : dtype;
    case 'byBackend':
      if (backend === 'FLASHINFER_MLA_SPARSE_SM120') return 'fp8_ds_mla';
      return isFp8 && backend === 'FLASHMLA_SPARSE' ? 'fp8_ds_mla' : dtype;
    default:
      return dtype;
  }
}

/** Triton's kernels read fp8 natively from capability 8.9 on; later releases say so instead of failing to compile. */
function tritonRefusesFp8(
  { gpu, options, profile }: KvSpecsInput,
  backends: ReadonlyMap<CacheLayout, string>,
): string | undefined {
  if (!options.kvCacheDtype.startsWith('fp8') || gpu.vendor !== 'nvidia') return undefined;
  if (gpu.computeCapability === undefined || Number(gpu.computeCapability) >= 8.9) return undefined;
  const backend = [...backends.values()].find((name) => profile['kv.tritonFp8Checks'].includes(name));
  if (!backend) return undefined;
  const name = backend === 'TRITON_MLA' ? 'Triton MLA' : 'Triton attention';
  return (
    `ValueError: FP8 KV cache is not supported by the ${name} backend on ${gpu.printedNames?.[0] ?? gpu.name} ` +
    `(compute capability ${gpu.computeCapability}); native FP8 (fp8e4nv) requires SM89+.`
  );
}

function isHybrid(layouts: readonly CacheLayout[]): boolean {
  return layouts.some((layout) => layout.kind === 'state') && layouts.some((layout) => layout.kind !== 'state');
}

function blockSizeOf(input: KvSpecsInput, layers: readonly LayerCaches[], backends: readonly string[]): BlockSize {
  const { model, gpu, options, profile } = input;
  const layouts = layers.flatMap((entry) => entry.caches);
  const attention = layouts.find(
    (layout) => layout.kind === 'full' || layout.kind === 'sliding' || layout.kind === 'mla',
  );
  const states = layouts.flatMap((layout) => (layout.kind === 'state' ? [layout.state] : []));
  const nope = model.config.qkNopeHeadDim;
  const isHybrid = attention !== undefined && states.length > 0 && profile['kv.stateSpecs'] && options.engine === 'v1';
  const checkpoints = states.map((state) => checkpoint(state, input));
  const chunk = model.config.mambaChunkSize ?? model.config.chunkSize;
  const isCompressed = layouts.some((layout) => layout.kind === 'special');
  const block = resolveBlockSize({
    profile,
    capability: gpu.computeCapability,
    skippedTokenBytes: skippedTokenBytes(input, attention, states.length > 0),
    asked: options.blockSize ?? (isCompressed ? 256 : wideHeadBlock(input, layouts, backends)),
    backends,
    mla: attention?.kind === 'mla',
    sparse: layouts.some((layout) => layout.kind === 'mla' && layout.sparse),
    qkNopeHeadDim: typeof nope === 'number' ? nope : undefined,
    headDim: attention && 'headDim' in attention ? attention.headDim : 0,
    stateBytes: isHybrid ? Math.max(...states.map((state) => stateBytes(state, input))) : undefined,
    tokenBytes: attention ? tokenBytesOf(attention, input) : 0,
    mambaCacheMode: options.mambaCacheMode,
    stateChunk: typeof chunk === 'number' ? chunk : 2048,
    checkpointAlignment: checkpoints.every((entry) => entry !== undefined)
      ? checkpoints.map((entry) => entry?.alignment ?? 1).reduce(lcm, 1)
      : 1,
  });
  return block;
}

/**
 * With TurboQuant the first and last layers stay unquantized. From 0.25 the block grows until a page of the first layer's
 * backend, reckoned at one byte a value, holds a page of theirs.
 */
function skippedTokenBytes(
  { options, profile }: KvSpecsInput,
  layout: CacheLayout | undefined,
  hasStates: boolean,
): { own: number; plain: number } | undefined {
  if (!options.kvCacheDtype.startsWith('turboquant_') || !profile['kv.alignsSkippedLayers'] || hasStates)
    return undefined;
  if (layout?.kind !== 'full' && layout?.kind !== 'sliding') return undefined;
  const heads = Math.max(1, Math.floor(layout.kvHeads / options.tensorParallelSize));
  const values = 2 * heads * layout.headDim;
  return { own: values, plain: values * elementBytes(options.dtype, options.dtype) };
}

/** The tile of FlashAttention 4 on capability 9 over an fp8 cache of head size 512. */
function wideHeadBlock(
  { gpu, options, profile }: KvSpecsInput,
  layouts: readonly CacheLayout[],
  backends: readonly string[],
): number | undefined {
  const isWide = layouts.some((layout) => 'headDim' in layout && layout.headDim === 512);
  const isFp8 = options.kvCacheDtype === 'fp8' || options.kvCacheDtype === 'fp8_e4m3';
  const isFlash = backends[0]?.endsWith('FLASH_ATTN') === true;
  return isWide && isFp8 && isFlash && gpu.computeCapability === '9.0' ? profile['kv.wideHeadFp8Block'] : undefined;
}

/** One token of the main attention layer: what the alignment to state pages reckons with. */
function tokenBytesOf(layout: CacheLayout, { options }: KvSpecsInput): number {
  const { kvCacheDtype, dtype, tensorParallelSize } = options;
  if (layout.kind === 'mla') return latentTokenBytes(layout.latentDim, kvCacheDtype, dtype);
  if (layout.kind !== 'full' && layout.kind !== 'sliding') return 0;
  const heads = Math.max(1, Math.floor(layout.kvHeads / tensorParallelSize));
  return attentionTokenBytes({ heads, headDim: layout.headDim, valueHeadDim: layout.headDim }, kvCacheDtype, dtype);
}

function placeLayers(input: KvSpecsInput, layers: readonly LayerCaches[], facts: CacheFacts): KvLayerSpec[][] {
  const { options, profile } = input;
  const count = layerCount(input);
  const bounds = stageBounds({
    layers: count,
    pipelineParallelSize: options.pipelineParallelSize,
    remainder: profile['kv.pipelineRemainder'],
    partition: options.env?.VLLM_PP_LAYER_PARTITION,
  });
  const stages: KvLayerSpec[][] = Array.from({ length: options.pipelineParallelSize }, () => []);
  for (const { layer, caches } of layers) {
    const stage = layer >= count ? stages.length - 1 : bounds.findIndex((bound) => bound > layer) - 1;
    for (const layout of caches) {
      const spec = layerSpec(layer, layout, { ...facts, layers: count });
      if (spec) stages[stage]!.push(spec);
    }
  }
  return stages;
}
