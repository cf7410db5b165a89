// What every layer of a model keeps in the KV cache of one rank, as the release's own classes describe it: kind, block size,
// page bytes, per pipeline stage. Source: vllm/v1/kv_cache_interface.py and get_kv_cache_spec of the layer classes, 0.8 to
// 0.33; V0: worker/cache_engine.py get_cache_block_size.
import type { CacheLayout, LayerCaches } from '../../../architecture/types.ts';
import { stageBounds } from '../pipeline.ts';
import { blockSizeOf } from './alignment.ts';
import { cachesOf, layerCount, withCacheDefaults } from './caches.ts';
import { backendOf, indexerBackend, refusalOf } from './choice.ts';
import type { KvSpecsInput } from './input.ts';
import { type CacheFacts, layerSpec } from './layer.ts';
import { stateRefusal } from './state.ts';
import type { KvLayerSpec } from './types.ts';

export type { KvSpecsInput };

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
  const error = undivided(layers, options.tensorParallelSize);
  if (error !== undefined) {
    const stages = Array.from({ length: options.pipelineParallelSize }, () => []);
    return { stages, blockSize: 16, backends: {}, disableHybridManager: false, logLines: [], error };
  }
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
  const facts: CacheFacts = { ...input, block, backends, layers: layerCount(input) };
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

/** A state that the ranks cannot share has no page on any of them. */
function undivided(layers: readonly LayerCaches[], tp: number): string | undefined {
  if (tp === 1) return undefined;
  for (const { caches } of layers) {
    for (const cache of caches) {
      const error = cache.kind === 'state' ? stateRefusal(cache.state, tp) : undefined;
      if (error !== undefined) return error;
    }
  }
  return undefined;
}

function chunkedTurnsOff({ options, profile }: KvSpecsInput): boolean {
  return profile['kv.chunkedDisablesHybrid'] && options.env?.VLLM_ALLOW_CHUNKED_LOCAL_ATTN_WITH_HYBRID_KV_CACHE !== '1';
}

function placeLayers(input: KvSpecsInput, layers: readonly LayerCaches[], facts: CacheFacts): KvLayerSpec[][] {
  const { options, profile } = input;
  const count = facts.layers;
  const bounds = stageBounds({
    layers: count,
    stages: options.pipelineParallelSize,
    split: profile['weights.pipelineSplit'],
    partition: options.env?.VLLM_PP_LAYER_PARTITION,
  });
  // A partition that does not add up is refused with the weights; here the layers stay on the first stage.
  const ends = 'error' in bounds ? [0, count] : bounds;
  const stages: KvLayerSpec[][] = Array.from({ length: options.pipelineParallelSize }, () => []);
  // Layers of one layout differ in nothing but their number, unless some are left unquantized.
  const known = options.kvCacheDtype.startsWith('turboquant_') ? undefined : new Map<CacheLayout, KvLayerSpec>();
  for (const { layer, caches } of layers) {
    const stage = layer >= count ? stages.length - 1 : ends.findIndex((end) => end > layer) - 1;
    for (const layout of caches) {
      const alike = known?.get(layout);
      const spec = alike ? { ...alike, layer } : layerSpec(layer, layout, facts);
      if (!spec) continue;
      known?.set(layout, spec);
      stages[stage]!.push(spec);
    }
  }
  return stages;
}
