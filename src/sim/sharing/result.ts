// What a run of several models on the same GPUs answers, as plain data: the figures of every engine as of a run alone, what became of
// the memory between them, and who held what over time. Block counts are exact, times are the step-time model's.
import type { LatencySummary, RunResult } from '../result.ts';

/** One model among several: the figures of a run of its own, and what sharing adds. */
export interface SharedModelResult extends RunResult {
  id: string;
  pages: {
    /** Bytes of a page id: one page in every tensor; 0 where memory is not handed out in pages. */
    bytes: number;
    /** Page ids mapped and given back, and the seconds that took. */
    mapped: number;
    unmapped: number;
    mapSeconds: number;
    unmapSeconds: number;
    /** A page was wanted and the pool had none. */
    denied: number;
    peakMapped: number;
  };
  /** Mapped bytes over time: mean and peak; of these, in blocks in use, in prefixes cached for later, and in tokens. */
  memoryBytes: { meanMapped: number; peakMapped: number; meanUsed: number; meanCached: number; meanTokens: number };
  /** Times the head of the queue was refused for want of blocks (once a wait), and the seconds it waited. */
  refusals: { count: number; seconds: number };
  /**
   * Loads of the weights, by where they came from; unloads, of these taken off while busy; the seconds of loading, and those in which
   * requests were there and the weights were not.
   */
  loads: {
    fromHost: number;
    fromDisk: number;
    unloads: number;
    switches: number;
    seconds: number;
    waitSeconds: number;
  };
  slo: { attained: number; total: number; attainment: number };
  /** Mean over requests of the time alone on the GPU over the time it took; 0 for those that never ended. */
  relativeSpeed: number;
}

export interface SharedSummary {
  /** Bytes of all GPUs for KV, when every model is in memory as it starts. */
  poolBytes: number;
  /** Time-weighted shares of poolBytes: in tokens, in blocks in use, in prefixes cached for later, mapped. */
  tokenShare: number;
  usedShare: number;
  cachedShare: number;
  mappedShare: number;
  /** Mapped, and neither used nor cached: mean bytes, and as a share of what is mapped. */
  fragmentationBytes: number;
  fragmentationShare: number;
  /** Free in one model while another refuses: mean bytes over that time, and the share of the time. */
  strandedBytes: number;
  strandedTimeShare: number;
  requests: { total: number; finished: number; rejected: number };
  preemptions: number;
  refusals: number;
  refusedSeconds: number;
  maps: number;
  unmaps: number;
  mapSeconds: number;
  unmapSeconds: number;
  denied: number;
  loads: number;
  unloads: number;
  switches: number;
  loadSeconds: number;
  /** Summed over the models. */
  loadWaitSeconds: number;
  ttftSeconds: LatencySummary;
  tpotSeconds: LatencySummary;
  e2eSeconds: LatencySummary;
  queueSeconds: LatencySummary;
  sloAttainment: number;
  /** Jain's index over the models' relative speeds: 1 when all are served alike. */
  fairness: number;
  makespanSeconds: number;
  outputTokensPerSecond: number;
  /** The share of the time that some model computed. */
  busyShare: number;
}

/** Who holds what at time t, in bytes of all GPUs, by model in their order. */
export interface SharedPoint {
  t: number;
  models: {
    weights: number;
    mapped: number;
    used: number;
    waiting: number;
    running: number;
    /** The head of its queue finds no memory. */
    refused: boolean;
  }[];
}

export interface SharedResult {
  models: SharedModelResult[];
  pool: SharedSummary;
  timeline: SharedPoint[];
}
