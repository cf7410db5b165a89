// What a simulation answers: the `result` of `vram simulate` in the JSON contract, as plain data. The clock (run/) fills it in;
// renderers format it and never compute. Block counts, preemptions and hits are exact; times are a step-time model's.
import type { PhaseBounds } from './time/index.ts';

export interface LatencySummary {
  mean: number;
  p50: number;
  p90: number;
  p99: number;
}

/** Time-weighted shares of the pool's token slots; they sum to 1. */
export interface SharesResult {
  tokenStates: number;
  reserved: number;
  internalFragmentation: number;
  externalFragmentation: number;
  free: number;
}

/** Requests that can never run, by reason. */
export interface Rejection {
  reason: string;
  count: number;
  /** Id of the first such request. */
  first: string;
}

/** State of the pool and the queues at time t, and what happened since the point before. */
export interface TimelinePoint {
  t: number;
  running: number;
  waiting: number;
  swapped: number;
  usedBlocks: number;
  /** Free blocks that still hold a cached prefix. */
  cachedBlocks: number;
  /** Shares of the pool's token slots; what is missing to 1 is free or cached. */
  tokenStates: number;
  reserved: number;
  internalFragmentation: number;
  externalFragmentation: number;
  /** Preemptions since the point before. */
  preemptions: number;
}

export interface RunResult {
  requests: {
    total: number;
    finished: number;
    rejected: number;
    /** Finished, but their answers were cut at max_model_len. */
    cut: number;
    rejections: Rejection[];
  };
  /** Steps that scheduled something. */
  steps: number;
  scheduledTokens: number;
  /** From the first arrival to the last token. */
  makespanSeconds: number;
  /** CRC-32 of `id,firstTokenStep,finishStep` lines, when every step lasts 1; otherwise null. */
  perRequestCrc32: number | null;
  pool: {
    numBlocks: number;
    blockSize: number;
    /** Bytes of one block over all layers; null when no model is given. */
    bytesPerBlock: number | null;
  };
  memory: {
    /** Used blocks over usable blocks, time-weighted, and the largest instant. */
    meanUtilization: number;
    peakUtilization: number;
    shares: SharesResult;
  };
  prefixCache: {
    queriedTokens: number;
    hitTokens: number;
    hitRate: number;
    queriedBlocks: number;
    hitBlocks: number;
    blockHitRate: number;
    evictions: number;
  };
  preemptions: {
    recompute: number;
    swap: number;
    recomputedTokens: number;
    swappedBlocks: number;
  };
  copyOnWrite: {
    copies: number;
    sharedBlocksPeak: number;
    /** Blocks saved by sharing over the blocks that would be held without it, summed over steps. */
    savedBlocksShare: number;
  };
  /** Blocks of the pool copied to host memory and back; blocks of that memory read from the disk and written. Only where any were. */
  offload?: {
    storedBlocks: number;
    loadedBlocks: number;
    diskReadBlocks: number;
    diskWrittenBlocks: number;
  };
  /** Tokens drafted and accepted; only where any were drafted. */
  speculation?: { draftTokens: number; acceptedTokens: number };
  latency: {
    ttftSeconds: LatencySummary;
    tpotSeconds: LatencySummary;
    e2eSeconds: LatencySummary;
    /** `fixed`: --step-time gave every step the same duration. */
    estimate: 'roofline' | 'fitted' | 'fixed';
    uncertainty: string;
    /** What steps with prefill, and steps of decode alone, spent most of their time on; absent with fixed step times. */
    bound?: PhaseBounds;
  };
  throughput: {
    requestsPerSecond: number;
    outputTokensPerSecond: number;
    /** Running requests per step. */
    meanBatch: number;
  };
  timeline: TimelinePoint[];
  /** Every field of a scheduler run's `expect`, under the same name (--run-config). */
  counters?: Record<string, number>;
}

/** One line a request, in file order; NaN for a time that never came. */
export interface PerRequest {
  /** Tokens of its answer: less than it asked for where max_model_len cut it. */
  generated: Float64Array;
  arrival: Float64Array;
  firstToken: Float64Array;
  finish: Float64Array;
  preemptions: Uint32Array;
  /** Why it was rejected, by index of the request. */
  rejected: Map<number, string>;
}

/** One point of a hit-rate curve (--cache-only). */
export interface CurvePoint {
  eviction: string;
  /** null: unlimited. */
  capacityBlocks: number | null;
  queriedBlocks: number;
  hitBlocks: number;
  blockHitRate: number;
}
