// One request inside the scheduler: how many of its tokens are known and computed, and the blocks it holds. What the model will
// generate is not here; only max_tokens is.
import type { SimRequest } from '../types.ts';
import type { BlockKeys } from './block-keys.ts';
import type { OffloadProgress } from './offload/progress.ts';

/** The blocks of one request in one group, in token order; 0 is the null block. */
export class BlockTable {
  ids: Int32Array;
  length = 0;
  /** Leading blocks that are registered (or were hits). */
  registered = 0;
  /** Leading null blocks, counted as far as somebody asked. */
  private nulls = 0;
  /** Whether the request has been admitted to this group since it last held nothing. */
  tracked = false;

  constructor(capacity: number) {
    this.ids = new Int32Array(Math.max(4, capacity));
  }

  /** Index of the first block that is not null. */
  get firstHeld(): number {
    while (this.nulls < this.length && this.ids[this.nulls] === 0) this.nulls++;
    return this.nulls;
  }

  clear(): void {
    this.length = 0;
    this.registered = 0;
    this.nulls = 0;
    this.tracked = false;
  }

  push(block: number): void {
    if (this.length === this.ids.length) {
      const ids = new Int32Array(this.length * 2);
      ids.set(this.ids);
      this.ids = ids;
    }
    this.ids[this.length++] = block;
  }
}

export const sequenceStates = ['waiting', 'loading', 'running', 'preempted', 'finished'] as const;
export type SequenceState = (typeof sequenceStates)[number];

export class Sequence {
  state: SequenceState = 'waiting';
  /** Prompt plus generated tokens. */
  known: number;
  /** Tokens whose KV is in the cache, or will be when the steps in flight end. */
  computed = 0;
  /** Draft tokens to verify in the next step. */
  drafts = 0;
  /** Asynchronous scheduling: output tokens in flight; tokens of steps whose output is not processed. */
  placeholders = 0;
  inFlight = 0;
  /** Tokens in flight from before a preemption, and whether their output is thrown away. */
  stale = 0;
  dropStale = false;
  preemptions = 0;
  /** The model has sampled a token for it. */
  sampled = false;
  isPrefillChunk = false;
  /** Up to this many computed tokens nothing has to be allocated, registered or released. */
  quietUntil = -1;
  /** Aligned length of a prefix that another group has cached further (Mamba, windows); 0 if none. */
  sharedPrefixBoundary = 0;
  /** Tokens scheduled in the current call; position in the batch. */
  scheduled = 0;
  batchIndex = -1;
  /** Registration order within one step (Mamba align). */
  readonly tables: BlockTable[];
  keys: BlockKeys | undefined;
  /** What a KV connector knows of it. */
  offload: OffloadProgress | undefined;
  readonly prompt: number;
  readonly maxTokens: number;
  readonly priority: number;
  readonly lora: number;

  constructor(
    readonly index: number,
    readonly request: SimRequest,
    /** Rank of arrival; ties of priority are broken by it. */
    readonly order: number,
    tables: BlockTable[],
  ) {
    this.tables = tables;
    this.prompt = request.promptTokens;
    this.known = request.promptTokens;
    this.maxTokens = request.maxTokens;
    this.priority = request.priority ?? 0;
    this.lora = request.lora ?? 0;
  }

  get output(): number {
    return this.known - this.prompt;
  }

  /** Whether a preempted or waiting sequence goes before another one under the priority policy. */
  goesBefore(other: Sequence): boolean {
    return this.priority === other.priority ? this.order < other.order : this.priority < other.priority;
  }
}
