// Settings of the radix server with SGLang's defaults, and its constants. Sources: sglang/srt/server_args.py, environ.py,
// managers/schedule_policy.py and managers/tp_worker.py (0.5.9).
import type { RadixEviction } from './strategy.ts';

export interface RadixConfig {
  /** Token slots of the pool (max_total_num_tokens). */
  readonly poolTokens: number;
  readonly maxModelLen: number;
  /** Default: 512 sequences of the model's length for the pool's tokens, at least 2048 and at most 4096. */
  readonly maxRunningRequests?: number;
  /** Tokens of one prefill step; a longer prompt is cut. Infinity: never. SGLang's default by GPU memory: 2048 below 35 GiB, 4096 below 60, 8192 below 160. */
  readonly chunkedPrefillSize?: number;
  /** Prompts beyond the first of a step fit under this many tokens together. */
  readonly maxPrefillTokens?: number;
  readonly eviction?: RadixEviction;
  /** fcfs, or longest cached prefix first. */
  readonly schedulePolicy?: 'fcfs' | 'lpm';
  /** Off: nothing is cached, a finished request's slots are free at once. */
  readonly prefixCaching?: boolean;
  readonly scheduleConservativeness?: number;
}

/** Room kept free per running request: this share of what it may still generate, of at most so many tokens. */
export const initialNewTokenRatio = 0.7;
export const minNewTokenRatioFactor = 0.14;
export const newTokenRatioDecaySteps = 600;
export const clipMaxNewTokens = 4096;
/** After a retraction the room is estimated anew, and made, for so many decode steps. */
export const retractDecodeSteps = 20;

/** lpm: above so many waiting requests the order is fcfs. */
export const lpmQueueLimit = 128;
/** lpm: a request with no longer cached prefix than this is put last when one before it in the queue has so long a prefix in common. */
export const inBatchPrefix = 32;

/** Longest request: one less than the model's length and than the pool; a prompt leaves room for five tokens more. */
export function maxRequestTokens({ maxModelLen, poolTokens }: RadixConfig): number {
  return Math.min(maxModelLen - 1, poolTokens - 1);
}

export function maxInputTokens(config: RadixConfig): number {
  return maxRequestTokens(config) - 5;
}

export function defaultMaxRunning({ poolTokens, maxModelLen }: RadixConfig): number {
  return Math.min(Math.max(Math.floor((poolTokens / maxModelLen) * 512), 2048), 4096);
}
