// A sequence (one output of a request) and the group of sequences that share a prompt. State only; who changes it is the block
// manager (tables), the scheduler (queues, chunks) and the output processor (tokens, forks).
import type { SimRequest } from '../types.ts';

export class Sequence {
  /** Tokens known: prompt and generated, the one to be computed next included. */
  tokens: number;
  /** Of these, tokens that have a slot in the table. */
  slots = 0;
  /** Block ids, of the GPU pool or of the CPU pool while swapped. */
  table: number[] = [];
  /** Names of what its full blocks hold, as far as known; empty without prefix caching. */
  contents: number[] = [];
  /** Scheduling call that last ran it; -1 before the first. */
  lastAccess = -1;

  constructor(tokens: number) {
    this.tokens = tokens;
  }
}

export class SequenceGroup {
  readonly sequences: Sequence[];
  /** Most sequences it will ever run: samples, or the beam width. */
  readonly width: number;
  readonly beam: boolean;
  /** Tokens each sequence has generated. */
  generated = 0;
  /** Computed tokens of the (re)computation under way; equals the known tokens when decoding. */
  computed = 0;
  prefilling = true;
  /** Hit length of the lookup before the prefill; -1 when there was none. */
  cachedTokens = -1;
  /** What this step computes: tokens, and how many of a prefill chunk were found in the cache. */
  chunk = 0;
  chunkCached = 0;
  /** Log-probabilities of the beams, in the order of `sequences`. */
  scores: Float64Array | null = null;
  swapped = false;
  /** Calls that scheduled it. */
  steps = 0;
  /** Most tokens it has had computed at one time. */
  furthest = 0;

  constructor(
    readonly index: number,
    readonly request: SimRequest,
    readonly order: number,
    shape: { width: number; beam: boolean },
  ) {
    this.width = shape.width;
    this.beam = shape.beam;
    this.sequences = [new Sequence(request.promptTokens)];
  }

  get first(): Sequence {
    return this.sequences[0]!;
  }

  get tokens(): number {
    return this.first.tokens;
  }

  get priority(): number {
    return this.request.priority ?? 0;
  }
}
