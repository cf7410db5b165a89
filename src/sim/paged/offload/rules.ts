// How one vLLM release's offloading connector does what others do differently. Each field is a rule `offload.<field>` of the
// engine's profile (presets/engines/vllm/offload.yaml), which has the releases and the sources.
import type { ArcFallback } from './arc.ts';
import type { LruScope } from './lru.ts';

export interface OffloadRules {
  /** A block whose store still runs ends the hit like a missing one, or makes the request ask again in the next call. */
  pendingHit: 'ends' | 'defers';
  /** When stored blocks become readable: once their request has ended (which keeps its GPU blocks till then), or each by itself. */
  storesComplete: 'atRequestEnd' | 'each';
  /** Blocks of prompt and output are stored, or of the prompt alone (offload_prompt_only, which became the default). */
  storedTokens: 'known' | 'prompt';
  /** What a store marks as used: the request's blocks up to the stored ones, or all that its tokens fill. */
  touchedByStore: 'computed' | 'known';
  /**
   * A request that starts again after a preemption: its place among the offered blocks stays, goes back with its computed tokens,
   * or starts again with each lookup.
   */
  progress: 'keeps' | 'follows' | 'restarts';
  /** A request that has ended offers what it has not stored. */
  offersAtEnd: boolean;
  /** What makes a block recently used: every lookup and store, or a whole request once, when it has ended. */
  recency: 'touches' | 'requests';
  /** In which order the requests of a step offer their blocks: new, running, resumed; or as they were scheduled. */
  storeOrder: 'newFirst' | 'scheduled';
  /** Waiting requests that hold blocks for a load go before all others. */
  loadsGoFirst: boolean;
  /** What a load must leave free: nothing; what prompts and loads in flight still need; that, and a step with all drafts. */
  reservesInFlight: 'nothing' | 'prompts' | 'promptsAndDrafts';
  /** A request with transfers in flight is not looked up. */
  waitsForTransfers: boolean;
  /** What the order of use covers: all blocks, the idle ones, or ranks that requests give their blocks. */
  lruScope: LruScope | 'ranks';
  arcFallback: ArcFallback;
  /** What counts as seen for the store threshold: all keys of a lookup, those up to the first miss, or the keys offered. */
  seenKeys: 'lookup' | 'lookupToMiss' | 'offered';
  /** EAGLE: the last block of a hit is not loaded, and the last complete one not stored: never, or while answers are generated. */
  eagleTail: 'kept' | 'neverStored' | 'notStoredInDecode';
}
