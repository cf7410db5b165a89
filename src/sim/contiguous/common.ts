// What the contiguous systems share: a queue, empty work and counters, and the requests that no server of a given model length takes.
import type { SimRequest, StepWork, SystemCounters } from '../types.ts';

/** Why a request can never run; undefined when it can. */
export type Refusal = string | undefined;

/** A prompt has to leave room for one token; a longer output ends at the model's length (as in vLLM). */
export function refusal(request: SimRequest, maxModelLen: number): Refusal {
  if (request.promptTokens < 1) return 'the prompt is empty';
  if (request.promptTokens < maxModelLen) return undefined;
  return `${request.promptTokens} prompt tokens leave no room for output in a model length of ${maxModelLen}`;
}

export function noWork(): StepWork {
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

/** Nothing is preempted, cached, shared or copied in contiguous memory. */
export function noCounters(): SystemCounters {
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
  };
}

/** Sequences that a request decodes side by side; contiguous memory shares nothing between them. */
export function sequencesOf(request: SimRequest): number {
  return request.samples ?? request.beamWidth ?? 1;
}

/** First come, first served, at constant cost whatever the length. */
export class Fifo {
  readonly #items: number[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: number): void {
    this.#items.push(item);
  }

  /** The oldest item; only of a queue that is not empty. */
  peek(): number {
    return this.#items[this.#head]!;
  }

  shift(): void {
    this.#head++;
    if (this.#head < 1024 || this.#head * 2 < this.#items.length) return;
    this.#items.splice(0, this.#head);
    this.#head = 0;
  }
}
