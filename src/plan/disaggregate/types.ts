// Prefill and decode on servers of their own: what is asked, and what comes of it. Every rate and time is an estimate.
import type { Bytes, Tokens } from '../../units.ts';

export interface DisaggregateAsked {
  /** Servers of each kind; undefined: as many as balance on the GPUs named. */
  servers?: { prefill: number; decode: number };
  promptTokens?: number;
  outputTokens?: number;
  requestsPerSecond?: number;
}

export interface PoolPlan {
  servers: number;
  gpu: string;
  gpusPerServer: number;
  fits: boolean;
  kvTokens: Tokens;
  /** Sequences of a prompt and its answer that one server holds. */
  sequences: number;
  /** The most that all servers of the pool can do. */
  requestsPerSecond: number;
  /** At the rate of the comparison. */
  utilization: number;
  /** To start the first of them. */
  command: string;
}

/** At the rate of the comparison; null where it cannot be sustained. */
export interface ServingFigures {
  /** The most that it sustains. */
  requestsPerSecond: number;
  ttftSeconds: number | null;
  tpotSeconds: number | null;
}

export interface DisaggregationPlan {
  connector: string;
  promptTokens: Tokens;
  outputTokens: Tokens;
  /** Of the comparison. */
  requestsPerSecond: number;
  prefill: PoolPlan;
  decode: PoolPlan;
  transfer: {
    bytesPerPrompt: Bytes;
    link: 'nvlink' | 'pcie' | 'network';
    bytesPerSecond: number;
    seconds: number;
    source: string;
  };
  /** The split of as many servers that does the most, and prefill servers for one that decodes. */
  balance: { prefill: number; decode: number; requestsPerSecond: number; ratio: number };
  disaggregated: ServingFigures;
  /** The same GPUs, every server doing both. */
  aggregated: ServingFigures;
  pays: boolean;
  because: string;
  /** Rates and times x (1 +- share). */
  uncertaintyShare: number;
  assumptions: string[];
}
