// Gathers what the block size depends on: the backends of the layers, the largest state, the bytes of a token. The arithmetic is
// in block-size.ts. Source: vllm/platforms/interface.py update_block_size_for_backend and its predecessors, 0.8 to 0.33.
import type { CacheLayout, LayerCaches } from '../../../architecture/types.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import { lcm } from '../../../units.ts';
import { type BlockSize, resolveBlockSize } from './block-size.ts';
import type { KvSpecsInput } from './input.ts';
import { attentionTokenBytes, elementBytes, latentTokenBytes } from './pages.ts';
import { checkpoint, stateBytes } from './state.ts';

export function blockSizeOf(
  input: KvSpecsInput,
  layers: readonly LayerCaches[],
  backends: readonly string[],
): BlockSize {
  const { model, gpu, options, profile } = input;
  const layouts = layers.flatMap((entry) => entry.caches);
  const attention = layouts.find(
    (layout) => layout.kind === 'full' || layout.kind === 'sliding' || layout.kind === 'mla',
  );
  const states = layouts.flatMap((layout) => (layout.kind === 'state' ? [layout.state] : []));
  const nope = model.config.qkNopeHeadDim;
  const isHybrid = attention !== undefined && states.length > 0 && profile['kv.stateSpecs'] && options.engine === 'v1';
  const checkpoints = states.map((state) => checkpoint(state, input));
  const isCompressed = layouts.some((layout) => layout.kind === 'special');
  return resolveBlockSize({
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
    stateChunk: stateChunk(model),
    checkpointAlignment: checkpoints.every((entry) => entry !== undefined)
      ? checkpoints.map((entry) => entry?.alignment ?? 1).reduce(lcm, 1)
      : 1,
  });
}

/** Chunk of the scan where a configuration leaves it out (the defaults of the configuration classes). */
const defaultChunks: Readonly<Record<string, number>> = {
  nemotron_h: 128,
  granitemoehybrid: 256,
  falcon_h1: 256,
  bamba: 256,
  mamba2: 256,
  zamba2: 256,
};

/** Tokens per chunk of the state kernels; Mamba-1 has no chunks and counts as 2,048. vllm/config/model.py get_mamba_chunk_size. */
function stateChunk({ config, modelType, textModelType }: ModelSpec): number {
  const stated = config.mambaChunkSize ?? config.chunkSize;
  return typeof stated === 'number' ? stated : (defaultChunks[textModelType ?? modelType] ?? 2048);
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
