// The order in which cached blocks are given up. An order knows the ids that may be evicted and what happened to them, not what
// they hold nor how many fit: the cache (replay.ts) and the paged pool decide when somebody has to go.
import { AdaptiveOrder } from './adaptive.ts';
import { ArcOrder } from './arc.ts';
import { LfuOrder } from './lfu.ts';
import { FifoOrder, LruOrder } from './lru.ts';
import { SlruOrder } from './slru.ts';

export const evictionPolicies = ['lru', 'lfu', 'fifo', 'slru', 'arc', 'adaptive'] as const;
export type EvictionPolicy = (typeof evictionPolicies)[number];

export interface EvictionOrder {
  /** Ids inside. */
  readonly size: number;
  /** An id enters: its block has just been filled. */
  insert(id: number): void;
  /** An id inside is used again. */
  touch(id: number): void;
  /** Takes the next victim out to make room for `incoming`; -1 when nothing is inside. */
  evict(incoming: number): number;
  /** Takes an id out that was not evicted. */
  remove(id: number): void;
}

export interface OrderOptions {
  /** Ids run from 0 to ids - 1. */
  readonly ids: number;
  /** Blocks that can be inside at the same time: sizes the segments of slru and arc and the window of adaptive. */
  readonly capacity: number;
  /** slru: hits that make a block protected. */
  readonly protectedHits?: number;
  /** slru: the most of the capacity that can be protected. */
  readonly protectedShare?: number;
  /** adaptive: references over which the reuse is measured. */
  readonly reuseWindow?: number;
}

export function createOrder(policy: EvictionPolicy, options: OrderOptions): EvictionOrder {
  switch (policy) {
    case 'lru':
      return new LruOrder(options.ids);
    case 'fifo':
      return new FifoOrder(options.ids);
    case 'lfu':
      return new LfuOrder(options.ids);
    case 'slru':
      return new SlruOrder(options);
    case 'arc':
      return new ArcOrder(options);
    case 'adaptive':
      return new AdaptiveOrder(options);
  }
}
