// What a paged server is configured with, and the rules in which vLLM's releases differ. Names of the configuration follow vLLM's
// flags; the history of each rule, with its source, is presets/engines/vllm/scheduler.yaml.
import type { FreeOrder } from './block-pool.ts';
import type { PoolEviction } from './eviction-pool.ts';
import type { MambaSplit } from './mamba-split.ts';
import type { OffloadRules } from './offload/rules.ts';
import type { PartialTail } from './partial-tail.ts';
import type { RetainedBoundaries } from './retention.ts';

export const groupTypes = ['full', 'sliding', 'chunked', 'mamba'] as const;

/** One KV-cache group: layers of one kind that share block tables. All groups draw on one pool. */
export interface GroupConfig {
  type: (typeof groupTypes)[number];
  /** Tokens of a block of this group, where it is not the configuration's blockSize. */
  blockSize?: number;
  /** sliding: tokens of the window; chunked: tokens of a local chunk. */
  window?: number;
  chunk?: number;
}

export interface SpeculationConfig {
  /** ngram takes no look-ahead slots; eagle and draft_model take `tokens` more per sequence. */
  method: 'ngram' | 'eagle' | 'draft_model';
  tokens: number;
}

/** Native KV offloading to host memory (OffloadingConnector). */
export interface OffloadConfig {
  cpuBlocks: number;
  blockSizeFactor?: number;
  policy?: 'lru' | 'arc';
  storeThreshold?: number;
  /** Seconds one GPU block takes between GPU and host; absent: what a call moves is there when it ends. */
  blockSeconds?: number;
  /** A tier below the host: offloaded blocks it holds, and seconds a GPU block takes to be read or written. */
  disk?: { blocks: number; blockSeconds?: number };
}

export interface PagedConfig {
  /** Blocks of the pool, the null block included. */
  numBlocks: number;
  blockSize: number;
  groups: readonly GroupConfig[];
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  maxModelLen: number;
  policy: 'fcfs' | 'priority';
  longPrefillTokenThreshold: number;
  chunkedPrefill: boolean;
  prefixCaching: boolean;
  /** The admission gate: the whole prompt must find free blocks, not only its first chunk. */
  reserveFullPrompt: boolean;
  watermark?: number;
  spec?: SpeculationConfig;
  asyncScheduling?: boolean;
  mambaCacheMode?: 'none' | 'align' | 'all';
  longPrefillAdaptive?: boolean;
  prefillScheduleInterval?: number;
  maxLoras?: number;
  /** prefix_cache_retention_interval of vLLM: 0 or tokens; absent: window and Mamba groups keep every prefix findable. */
  retentionInterval?: number;
  /** Decode context parallel: a block of a full-attention group holds blockSize x dcp tokens. */
  dcp?: number;
  offload?: OffloadConfig;
  /** Another order of giving up cached blocks than vLLM's; absent: vLLM's own. */
  eviction?: PoolEviction;
}

/** How one vLLM release does what others do differently. Each field is a rule `scheduler.<field>` of the preset. */
export interface PagedRules {
  /** Where freed blocks without a key go: a whole request's, a window group's, those that left a window, all without caching. */
  freeUnkeyed: FreeOrder;
  freeWindowGroup: FreeOrder;
  freeWindow: FreeOrder;
  freeUncached: FreeOrder;
  /** Whether blocks of a hit that lie outside the window are held until the next step, or never taken. */
  hitOutsideWindow: 'held' | 'skipped';
  /** Chunked local attention: whether the last block registered stays while chunks before it are given back. */
  chunkRelease: 'keepsLastRegistered' | 'all';
  /** Up to where a window may release: all computed tokens, or only those whose step has been processed. */
  windowRelease: 'computed' | 'processed';
  promptGate: boolean;
  watermark: boolean;
  /** Cap of a window group's need in the gate: none, window plus one batch, or plus every batch in flight. */
  admissionCap: 'none' | 'oneBatch' | 'batchesInFlight';
  lookaheadAtAdmission: boolean;
  draftModelLookahead: boolean;
  /** Which groups drop the last hit block under EAGLE: all on each pass, the flagged ones once; or none, keys look ahead. */
  eagleLookup: 'dropEachPass' | 'dropOnce' | 'lookaheadKeys';
  eagleLookupLimit: 'hitLimit' | 'keys';
  lookupPasses: 'one' | 'untilStable';
  /** Up to where complete blocks are registered at scheduling: known tokens, or less the drafts (held, or scheduled). */
  registerLimit: 'lessDrafts' | 'lessScheduledDrafts' | 'known';
  /** How far a hybrid's blocks are registered: every complete one, up to the common multiple, or one block more for EAGLE. */
  registerLength: 'blocks' | 'aligned' | 'alignedAndEagle';
  /**
   * Which blocks of a window group are registered: all, the tail of each segment of the common multiple, the tail that EAGLE
   * reaches too, or that of each segment a hit can be cut to.
   */
  windowMask: 'all' | 'tail' | 'reachable' | 'reachableByHit';
  /** When the output of an asynchronous (or drafting) step registers blocks, and up to where. */
  registerAtOutput: 'lessPlaceholders' | 'lessInFlight';
  /** A step's tokens are cut to max_model_len less computed, one less, or the request's own last token. */
  lengthCap: 'length' | 'lengthMinusOne' | 'requestEnd';
  /** Asynchronous: a request whose remaining output is all in flight is passed over. */
  skipFinishing: boolean;
  longPrefillScope: 'always' | 'unlessAlone';
  /** Whether the release knows the options of these names. */
  longPrefillAdaptive: boolean;
  prefillInterval: boolean;
  /** Priority: a victim already scheduled stays so, gives its tokens back, and moves the place in RUNNING back. */
  victim: 'staysScheduled' | 'returnsBudget' | 'stepsBack';
  selfPreemption: 'stop' | 'continueUnderPriority';
  /** A prompt longer than the budget without chunked prefill: cut all the same, passed over, or everybody waits. */
  unchunkedPrompt: 'cut' | 'skip' | 'stop';
  /** Whether the release knows the priority policy; without it everything is first come first served. */
  priorityPolicy: boolean;
  /** Where waiting requests that were passed over go: back to the head, or to a queue of their own that goes first. */
  skippedQueue: 'head' | 'own';
  /** First come first served: their order once they are back at the head. */
  skippedOrder: 'kept' | 'reversed';
  /** Draft slots of a draft model: none, taken off the budget for max_num_seqs, or charged per scheduled request. */
  draftSlots: 'none' | 'perSequenceLimit' | 'perScheduled';
  padDrafts: 'never' | 'besideDecodes' | 'besideDecodesIfRoom' | 'decodesIfRoom';
  clearDrafts: 'byOutput' | 'afterScheduling' | 'andAtPreemption';
  /** Asynchronous scheduling: a token is sampled once all known tokens are computed, or those in flight too. */
  sampledFrom: 'known' | 'inFlight';
  /** Asynchronous scheduling: what becomes of output in flight of a preempted request. */
  staleOutput: 'counted' | 'uncounted';
  /**
   * Output thrown away after a reset of running requests: the next one, as many as tokens were in flight (their rejected drafts
   * counted all the same, or not), or what is stale.
   */
  resetDiscard: 'next' | 'placeholders' | 'wholeFrames' | 'stale';
  /** Whether a reset of the prefix cache can preempt what runs; before, it is refused while blocks are in use. */
  resetRunning: boolean;
  loraScope: 'scheduled' | 'running';
  prefillCapacity: 'queue' | 'notDeferred';
  /** The rules `offload.<field>`: KV offloading to the host. */
  offload?: OffloadRules;
  /** Whether a request's salt is part of its keys. */
  saltedKeys: boolean;
  /** Tokens of one key where groups have blocks of different sizes (block-sizes.ts). */
  keySize: 'smallest' | 'commonDivisorUnlessOwn' | 'commonDivisorIfAligned';
  /** Mamba: whether a cached state is ever a hit. */
  mambaLookup: 'never' | 'rightmost';
  /** Mamba: whether a state registered in this step is a hit; or, the last one of a prompt, in any step in which it is still held. */
  mambaSameStepHit: 'hit' | 'refused' | 'refusedWhileHeld';
  /** Mamba: states before the last computed token are kept, given back, less one per draft, or over gaps in the table. */
  mambaRelease: 'never' | 'computed' | 'lessDrafts' | 'sinceLast';
  /** Mamba, mode align: where prefill chunks end (mamba-split.ts). */
  mambaSplit: MambaSplit;
  /** Mamba, mode align: blocks asked for at a time, a fixed number or at most that. */
  mambaBlocks: 'fixed' | 'atMost';
  /** Mamba under EAGLE, in the draft's group: whether the lookup reaches one block further. */
  mambaReach: 'hit' | 'oneBlockMore';
  /** Hits that end inside a block (block-sizes.ts), and the boundary of a prompt kept for them (partial-tail.ts). */
  partialHits: 'never' | 'always' | 'whereAllCan' | 'alsoWithRanks';
  partialTail: PartialTail;
  /** With a retention interval: which prefixes are kept besides (retention.ts), and whether it holds for Mamba groups too. */
  retainedBoundaries: RetainedBoundaries;
  /** What an engine does that is not told: all prefixes, or an interval of 0. */
  defaultRetention: 'all' | 'boundaries';
  mambaRetention: 'all' | 'interval';
  /** In which modes Mamba states can be cached at all. */
  mambaCaching: 'anyMode' | 'aligned';
  /** Several full-attention layouts: whether only the first one's hit is cut to the common length. */
  fullTrim: 'first' | 'all';
}
