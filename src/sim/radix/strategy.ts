// Which leaf of the radix tree goes first. Law: sglang/srt/mem_cache/evict_policy.py (008b79d): each strategy orders leaves by one
// or two numbers, the smallest first.
import { assertNever } from '../../assert.ts';

export const radixEvictions = ['lru', 'lfu', 'fifo', 'mru', 'filo', 'priority', 'slru'] as const;
export type RadixEviction = (typeof radixEvictions)[number];

/** What a strategy knows of a leaf. Times are counts of operations. */
export interface LeafFacts {
  readonly lastAccess: number;
  readonly created: number;
  readonly hits: number;
  readonly priority: number;
}

/** Hits from which slru protects a leaf. */
export const protectedHits = 2;

/** The first of the two numbers; 0 where there is only one. */
export function evictionClass(strategy: RadixEviction, leaf: LeafFacts): number {
  switch (strategy) {
    case 'lru':
    case 'fifo':
    case 'mru':
    case 'filo':
      return 0;
    case 'lfu':
      return leaf.hits;
    case 'priority':
      return leaf.priority;
    case 'slru':
      return leaf.hits >= protectedHits ? 1 : 0;
    default:
      return assertNever(strategy);
  }
}

export function evictionTime(strategy: RadixEviction, leaf: LeafFacts): number {
  switch (strategy) {
    case 'lru':
    case 'lfu':
    case 'priority':
    case 'slru':
      return leaf.lastAccess;
    case 'fifo':
      return leaf.created;
    case 'mru':
      return -leaf.lastAccess;
    case 'filo':
      return -leaf.created;
    default:
      return assertNever(strategy);
  }
}
