// Which offloaded block goes when host memory is full. A policy holds the blocks in its own order and never gives up one that a
// transfer reads or writes; capacity, buffers and pins are counted by the host cache. Law: vllm/v1/kv_offload/cpu/policies.

import type { HostBlock } from './host-block.ts';

export type OffloadPolicyName = 'lru' | 'arc';

/** What one request did with its blocks: the keys it stored or loaded, in order of position, and which of them it found there. */
export interface RequestUse {
  readonly keys: readonly number[];
  readonly stored: ReadonlySet<number>;
  readonly reused: ReadonlySet<number>;
}

/** Whose blocks are used together; the policy gives it its rank. */
export interface UseRank {
  rank: number;
}

export interface HostEviction {
  /** Blocks held, ghosts not counted. */
  readonly size: number;
  /** The block of a key, also while its store runs; ghosts are not found. */
  find(key: number): HostBlock | undefined;
  insert(block: HostBlock): void;
  /** Used again: keys[0] .. keys[end - 1], the first becoming the newest. Unknown keys are no error. */
  touch(keys: readonly number[], end: number): void;
  /** Takes out the `count` oldest idle blocks that are not protected; null, and nothing changed, when there are fewer. */
  evict(count: number, isProtected: (key: number) => boolean): HostBlock[] | null;
  /** No transfer uses the block any more (its store or its last load has finished). */
  released(block: HostBlock): void;
  /** Keys that a request is about to store for the first time (releases in which a use is a request's). */
  missed(keys: readonly number[]): void;
  /** A request uses keys for the first time; positions grow along its tokens. */
  used(keys: readonly number[], positions: readonly number[], owner: UseRank): void;
  /** A request has ended: its blocks were used once, together. */
  requestEnded(use: RequestUse): void;
  /** The first load pins an idle block. */
  pinned(block: HostBlock): void;
}
