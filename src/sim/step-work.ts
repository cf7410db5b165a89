// How one scheduled sequence adds to the work of a step, and the zeros that a serving system or who reads it starts from. Sums only:
// what a step costs in time is a step-time model's business.
import type { MemoryShares, QueueState, StepWork, SystemCounters } from './types.ts';

export function emptyWork(): StepWork {
  return {
    tokens: 0,
    sequences: 0,
    prefillTokens: 0,
    prefillSequences: 0,
    decodeContext: 0,
    prefillAttention: 0,
    rows: 0,
    transferTokens: 0,
  };
}

export function clearWork(work: StepWork): void {
  work.tokens = 0;
  work.sequences = 0;
  work.prefillTokens = 0;
  work.prefillSequences = 0;
  work.decodeContext = 0;
  work.prefillAttention = 0;
  work.rows = 0;
  work.transferTokens = 0;
}

/** `tokens` computed behind `context` tokens whose KV is there; `samples`: a token is sampled after them. */
export function addToWork(work: StepWork, context: number, tokens: number, samples: boolean): void {
  work.tokens += tokens;
  work.sequences++;
  if (samples) work.rows++;
  if (tokens === 1 && samples) {
    work.decodeContext += context + 1;
    return;
  }
  work.prefillTokens += tokens;
  work.prefillSequences++;
  work.prefillAttention += tokens * context + (tokens * tokens) / 2;
}

export function zeroCounters(): SystemCounters {
  return {
    preemptions: 0,
    swapPreemptions: 0,
    preemptedComputedTokens: 0,
    swappedBlocks: 0,
    queriedTokens: 0,
    hitTokens: 0,
    queriedBlocks: 0,
    hitBlocks: 0,
    evictions: 0,
    copies: 0,
    sharedBlocksPeak: 0,
    savedBlockSteps: 0,
    unsharedBlockSteps: 0,
    storedBlocks: 0,
    loadedBlocks: 0,
    diskReadBlocks: 0,
    diskWrittenBlocks: 0,
    draftTokens: 0,
    acceptedTokens: 0,
  };
}

export function zeroShares(): MemoryShares {
  return { tokenStates: 0, reserved: 0, internal: 0, external: 0, free: 0 };
}

export function zeroQueues(): QueueState {
  return { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
}
