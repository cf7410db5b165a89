// How many blocks one request of a given length can hold in a layer or a group: the arithmetic of the specs'
// max_memory_usage_bytes. Source: vllm/v1/kv_cache_interface.py, 0.8 to 0.33; V0 keeps every token.
import { divCeil } from '../../../units.ts';
import type { KvGroup, KvLayerSpec, KvPlanInput } from './types.ts';

export interface RequestContext {
  /** Tokens that may be scheduled and not yet settled: window and chunked layers keep them besides their reach. */
  inFlightTokens: number;
  /** Ranks that share the tokens of a sequence (decode context parallelism). */
  contextShards: number;
}

export function requestContext(input: KvPlanInput): RequestContext {
  return {
    inFlightTokens: inFlightTokens(input),
    contextShards: input.decodeContextParallelSize ?? 1,
  };
}

/** Blocks of one layer that a request of `length` tokens can need. */
export function layerBlocks(spec: KvLayerSpec, length: number, context: RequestContext): number {
  switch (spec.kind) {
    case 'full':
    case 'mla':
      return divCeil(divCeil(length, context.contextShards), spec.blockSize);
    case 'window':
    case 'window-mla':
      // One more: the window need not start at the beginning of a block.
      return divCeil(Math.min((spec.window ?? 0) - 1 + context.inFlightTokens, length), spec.blockSize) + 1;
    case 'chunked':
      return divCeil(Math.min((spec.chunk ?? 0) + context.inFlightTokens, length), spec.blockSize);
    case 'mamba': {
      const states = spec.states ?? { fixed: 1 };
      return 'fixed' in states ? states.fixed : divCeil(length, spec.blockSize) + states.extra;
    }
    case 'cross':
      return divCeil(spec.encoderTokens ?? 0, spec.blockSize);
    case 'ring':
      return 1;
  }
}

/** Blocks of one group: all its layers move together. */
export function groupBlocks(group: KvGroup, length: number, context: RequestContext): number {
  let most = 0;
  for (const spec of group.specs) most = Math.max(most, layerBlocks(spec, length, context));
  return most;
}

/** Blocks of the pool that one request of `length` tokens can hold. */
export function requestBlocks(groups: readonly KvGroup[], length: number, context: RequestContext): number {
  let total = 0;
  for (const group of groups) total += groupBlocks(group, length, context);
  return total;
}

/**
 * The longest length in [1, limit] for which `fits` holds; 0 when not even 1 does. `fits` is monotone, so this is what the
 * engine's own binary search finds.
 */
export function longestLength(limit: number, fits: (length: number) => boolean): number {
  if (limit < 1 || !fits(1)) return 0;
  let low = 1;
  let high = limit;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * One batch up to 0.25; from 0.26 every batch that can be in flight at once, since blocks are freed only when their step has
 * been processed (config/vllm.py max_in_flight_tokens).
 */
function inFlightTokens(input: KvPlanInput): number {
  switch (input.profile['kv.windowReserve']) {
    case 'batchesInFlight':
      return input.maxNumBatchedTokens * input.maxConcurrentBatches;
    default:
      return input.maxNumBatchedTokens;
  }
}
