// What the caches of a model amount to, worked out once per model: sweeps ask it for every GPU.
import type { Architecture, CacheLayout, StateLayout } from './types.ts';

export interface CacheSummary {
  kinds: ReadonlySet<CacheLayout['kind']>;
  /** Kinds of recurrent state, one layout each. */
  states: ReadonlyMap<StateLayout['type'], StateLayout>;
}

const summaries = new WeakMap<Architecture, CacheSummary>();

export function cacheSummary(architecture: Architecture): CacheSummary {
  let summary = summaries.get(architecture);
  if (!summary) {
    const kinds = new Set<CacheLayout['kind']>();
    const states = new Map<StateLayout['type'], StateLayout>();
    for (const entry of architecture.caches) {
      for (const cache of entry.caches) {
        kinds.add(cache.kind);
        if (cache.kind === 'state' && !states.has(cache.state.type)) states.set(cache.state.type, cache.state);
      }
    }
    summary = { kinds, states };
    summaries.set(architecture, summary);
  }
  return summary;
}
