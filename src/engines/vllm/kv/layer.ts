// The spec of one cache of one layer. Which pages, windows and types a release knows is data; here a layout of the
// architecture becomes what the release's spec class would hold. Source: vllm/v1/kv_cache_interface.py, 0.8 to 0.33.
import type { CacheLayout } from '../../../architecture/types.ts';
import { alignUp } from '../../../units.ts';
import { kernelBlocks, readsByStride, smallestBlock } from './backend.ts';
import type { BlockSize } from './block-size.ts';
import { cacheDtypeOf } from './caches.ts';
import type { KvSpecsInput } from './input.ts';
import { attentionTokenBytes, elementBytes, type HeadSizes, indexerTokenBytes, latentTokenBytes } from './pages.ts';
import { specialSpec } from './special.ts';
import { stateBytes, statesPerRequest, stateVariant } from './state.ts';
import type { KvLayerSpec } from './types.ts';

export interface CacheFacts extends KvSpecsInput {
  block: BlockSize;
  backends: ReadonlyMap<CacheLayout, string>;
  /** Decoder layers of the model. */
  layers: number;
}

/** undefined: the release keeps nothing for this layout in the block pool (states in V0). */
export function layerSpec(layer: number, layout: CacheLayout, facts: CacheFacts): KvLayerSpec | undefined {
  const { block, options } = facts;
  switch (layout.kind) {
    case 'full':
    case 'sliding':
    case 'chunked':
      return attentionSpec(layer, layout, facts);
    case 'mla':
      return latentSpec(layer, layout, facts);
    case 'indexer': {
      const bytes = layout.plain
        ? layout.headDim * elementBytes(options.kvCacheDtype, options.dtype)
        : indexerTokenBytes(layout.headDim);
      const page = block.blockSize * bytes;
      return { ...common(layer, 'mla', block.blockSize, page), heads: 1, headDim: bytes, dtype: 'uint8' };
    }
    case 'state':
      return stateSpec(layer, layout, facts);
    case 'cross': {
      const heads = Math.max(1, Math.floor(layout.kvHeads / options.tensorParallelSize));
      const sizes = { heads, headDim: layout.headDim, valueHeadDim: layout.headDim };
      const page = block.blockSize * attentionTokenBytes(sizes, options.kvCacheDtype, options.dtype);
      if (facts.profile['kv.crossIsFull'].includes(facts.model.architecture)) {
        return { ...common(layer, 'full', block.blockSize, page), ...sizes, dtype: options.kvCacheDtype };
      }
      const encoderTokens = options.maxNumBatchedTokens;
      return { ...common(layer, 'cross', block.blockSize, page), ...sizes, encoderTokens };
    }
    case 'special':
      return specialSpec(layer, layout, block.blockSize);
  }
}

function common(layer: number, kind: KvLayerSpec['kind'], blockSize: number, pageBytes: number): KvLayerSpec {
  return { layer, kind, blockSize, pageBytes, realPageBytes: pageBytes };
}

type Attention = Extract<CacheLayout, { kind: 'full' | 'sliding' | 'chunked' }>;

/** FlashAttention 3 and 4 serve values of another size than the keys, on 9.x and 10.x; Triton does elsewhere. */
function keepsScales({ headDim, valueHeadDim }: HeadSizes, { profile, gpu }: CacheFacts): boolean {
  if (headDim === valueHeadDim || !profile['kv.scalesByBackend']) return true;
  return !/^(9|10)\./.test(gpu.computeCapability ?? '');
}

function attentionSpec(layer: number, layout: Attention, facts: CacheFacts): KvLayerSpec {
  const { options, profile, block } = facts;
  const backend = facts.backends.get(layout);
  const kind = kindOf(layout, facts);
  const heads = Math.max(1, Math.floor(layout.kvHeads / options.tensorParallelSize));
  const valueHeadDim = knowsValueHeadDim(kind, profile['kv.valueHeadDim'])
    ? (layout.valueHeadDim ?? layout.headDim)
    : layout.headDim;
  const cacheDtype = layerCacheDtype(layer, facts);
  const sizes = { heads, headDim: layout.headDim, valueHeadDim };
  const blockSize = kind === 'window' ? windowBlock(facts, backend) : block.blockSize;
  const scales = keepsScales(sizes, facts);
  const page = blockSize * attentionTokenBytes(sizes, cacheDtype, options.dtype, scales);
  return {
    ...common(layer, kind, blockSize, page),
    ...sizes,
    dtype: cacheDtype,
    ...(kind === 'window' && layout.kind === 'sliding' ? { window: windowOf(layout, facts) } : {}),
    ...(kind === 'chunked' && layout.kind === 'chunked' ? { chunk: layout.chunk } : {}),
    ...(readsByStride(backend) ? { stridedBlocks: true } : {}),
  };
}

/** V0 and early V1 keep every token of local layers. */
function kindOf(layout: Attention, { options, profile }: CacheFacts): 'full' | 'window' | 'chunked' {
  if (options.engine === 'v0') return 'full';
  if (layout.kind === 'sliding') return profile['kv.windowSpecs'] ? 'window' : 'full';
  if (layout.kind === 'chunked') return profile['kv.chunkSpecs'] ? 'chunked' : 'full';
  return 'full';
}

function windowOf(layout: Extract<CacheLayout, { kind: 'sliding' }>, { profile }: CacheFacts): number {
  return layout.window + (layout.inclusive && profile['kv.inclusiveWindows'] ? 1 : 0);
}

function knowsValueHeadDim(kind: KvLayerSpec['kind'], rule: 'asKey' | 'ownInFull' | 'own'): boolean {
  return rule === 'own' || (rule === 'ownInFull' && kind === 'full');
}

/** TurboQuant leaves the first and last two layers unquantized, unless the model has state layers. vllm/engine/arg_utils.py (0.20 and later). */
function layerCacheDtype(layer: number, { options, architecture, layers }: CacheFacts): string {
  const dtype = options.kvCacheDtype;
  const isHybrid = architecture.attention === 'hybrid-mamba';
  if (!dtype.startsWith('turboquant_') || isHybrid) return dtype;
  const skipped = Math.min(2, Math.floor(layers / 2));
  return layer < skipped || layer >= layers - skipped ? options.dtype : dtype;
}

/**
 * Window layers take the model's block up to 0.24, then the smallest block of their backend, from 0.30 the largest one that
 * is not above the model's. vllm/model_executor/layers/attention/attention.py _largest_kernel_block_within.
 */
function windowBlock({ profile, block }: CacheFacts, backend: string | undefined): number {
  const { blockSize } = block;
  switch (profile['kv.windowBlock']) {
    case 'primary':
      return blockSize;
    case 'smallestKernel':
      return smallestBlock(backend);
    case 'largestKernel': {
      const blocks = kernelBlocks(backend);
      if ('multipleOf' in blocks) {
        return Math.max(blocks.multipleOf, Math.floor(blockSize / blocks.multipleOf) * blocks.multipleOf);
      }
      const fitting = blocks.sizes.filter((size) => size <= blockSize);
      return fitting.length > 0 ? Math.max(...fitting) : Math.min(...blocks.sizes);
    }
  }
}

function latentSpec(layer: number, layout: Extract<CacheLayout, { kind: 'mla' }>, facts: CacheFacts): KvLayerSpec {
  const { options, profile, block } = facts;
  const backend = facts.backends.get(layout);
  const cacheDtype = cacheDtypeOf(layout, backend, facts);
  const isPadded = options.engine === 'v0' && profile['kv.paddedLatent'];
  const latentDim = isPadded
    ? alignUp(layout.latentDim, 256 / elementBytes(cacheDtype, options.dtype))
    : layout.latentDim;
  const page = block.blockSize * latentTokenBytes(latentDim, cacheDtype, options.dtype);
  const isPacked = cacheDtype.endsWith('ds_mla');
  return {
    ...common(layer, 'mla', block.blockSize, page),
    heads: 1,
    headDim: layout.latentDim,
    dtype: isPacked ? 'uint8' : cacheDtype,
    ...(isPacked ? { cacheDtype } : {}),
  };
}

function stateSpec(
  layer: number,
  layout: Extract<CacheLayout, { kind: 'state' }>,
  facts: CacheFacts,
): KvLayerSpec | undefined {
  const { options, profile, block } = facts;
  if (options.engine === 'v0' || !profile['kv.stateSpecs']) return undefined;
  const realPageBytes = stateBytes(layout.state, facts);
  const ownBlock = options.mambaCacheMode === 'none' ? options.maxModelLen : block.blockSize;
  return {
    layer,
    kind: 'mamba',
    blockSize: block.stateBlock ?? ownBlock,
    pageBytes: Math.max(realPageBytes, block.paddedStateBytes ?? 0),
    realPageBytes,
    states: statesPerRequest(layout.state, facts),
    variant: stateVariant(layout.state, facts),
  };
}
