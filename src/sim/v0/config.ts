// Limits and switches of the V0 engine, by vLLM's own names. Defaults are V0's; what a release changed is a field here and
// becomes a value outside (the simulator compares no versions). Laws: vllm/core/scheduler.py, vllm/core/block_manager.py (0.6.6 to
// 0.10.2), vllm/core/block_manager_v1.py (to 0.6.3), and section 4 of the PagedAttention paper.

import { publishedPerplexity, type TextPerplexity } from './predictability.ts';

export const v0Preemptions = ['auto', 'recompute', 'swap'] as const;
export type V0Preemption = (typeof v0Preemptions)[number];

export interface V0Config {
  /** GPU blocks; V0 has no null block, all of them are usable. */
  readonly numBlocks: number;
  /** Blocks of the CPU swap space (`--swap-space`, 4 GiB by default, over the bytes of a block). */
  readonly numCpuBlocks: number;
  readonly blockSize: number;
  readonly maxNumSeqs: number;
  readonly maxNumBatchedTokens: number;
  readonly maxModelLen: number;
  readonly policy?: 'fcfs' | 'priority';
  readonly chunkedPrefill?: boolean;
  readonly prefixCaching?: boolean;
  /** Fraction of the GPU blocks kept free on admission and swap-in; 0.01. */
  readonly watermark?: number;
  /** `auto`: recompute a group of one sequence, swap a group of several. */
  readonly preemption?: V0Preemption;
  /**
   * n samples of a prompt are one sequence group that forks after the prefill (paper; vLLM up to 0.6.3). Off: n requests that share
   * nothing but what the prefix cache finds (0.6.4 and later).
   */
  readonly sequenceGroups?: boolean;
  /** A block that several sequences of a group share is moved once (block manager v1). Off: once per sequence (v2, 0.6.4 on). */
  readonly swapKeepsSharing?: boolean;
  /** A waiting request keeps the hit length of its first lookup until it runs (0.6.5 to 0.8). Off: looked up again each time. */
  readonly rememberHits?: boolean;
  /** Chunked prefill: prefills that end in this step go before those that do not (0.7 and later). */
  readonly finishingPrefillsFirst?: boolean;
  readonly maxNumPartialPrefills?: number;
  readonly maxLongPartialPrefills?: number;
  /** 0: 4 % of the model length when several partial prefills are allowed, as vLLM derives it. */
  readonly longPrefillTokenThreshold?: number;
  /** Seed of the beam stream. */
  readonly seed?: number;
  /** How sure the model is of what beam search writes, which decides how long beams live side by side; see predictability.ts. */
  readonly beamPerplexity?: TextPerplexity;
}

export type ResolvedV0Config = Required<V0Config>;

export function resolveV0Config(config: V0Config): ResolvedV0Config {
  const partial = config.maxNumPartialPrefills ?? 1;
  const threshold = config.longPrefillTokenThreshold ?? 0;
  return {
    policy: 'fcfs',
    chunkedPrefill: false,
    prefixCaching: false,
    watermark: 0.01,
    preemption: 'auto',
    sequenceGroups: true,
    swapKeepsSharing: true,
    rememberHits: true,
    finishingPrefillsFirst: true,
    maxLongPartialPrefills: 1,
    seed: 0,
    beamPerplexity: publishedPerplexity,
    ...config,
    maxNumPartialPrefills: partial,
    longPrefillTokenThreshold: threshold === 0 && partial > 1 ? Math.trunc(config.maxModelLen * 0.04) : threshold,
  };
}
