// What the contiguous systems share: a queue, what they tell of their pieces, and the requests that no server of a given model
// length takes.
import type { SimRequest } from '../types.ts';

/** Why a request can never run; undefined when it can. */
export type Refusal = string | undefined;

/** A prompt has to leave room for one token; a longer output ends at the model's length (as in vLLM). */
export function refusal(request: SimRequest, maxModelLen: number): Refusal {
  if (request.promptTokens < 1) return 'the prompt is empty';
  if (request.promptTokens < maxModelLen) return undefined;
  return `${request.promptTokens} prompt tokens leave no room for output in a model length of ${maxModelLen}`;
}

/** Who takes and gives back which slots, for those who want to see each. */
export interface PieceEvents {
  taken(request: number, start: number, slots: number): void;
  freed(request: number, start: number, slots: number): void;
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
