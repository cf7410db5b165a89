// What one call of the scheduler decided: the sequences of the step in order, their tokens and drafts. Kept until the output of the
// step is processed; flat arrays that are used again.
import type { Sequence } from './sequence.ts';

export class Batch {
  readonly sequences: (Sequence | undefined)[] = [];
  readonly tokens: number[] = [];
  readonly drafts: number[] = [];
  /** 1: samples a token at the end of the step; 2: was admitted in this step (its drafts are padding). */
  readonly flags: number[] = [];
  count = 0;
  /** Entries taken out again (a victim already scheduled). */
  removed = 0;

  clear(): void {
    this.count = 0;
    this.removed = 0;
  }

  add(sequence: Sequence, tokens: number, drafts: number, flags: number): void {
    const i = this.count++;
    this.sequences[i] = sequence;
    this.tokens[i] = tokens;
    this.drafts[i] = drafts;
    this.flags[i] = flags;
    sequence.batchIndex = i;
    sequence.scheduled = tokens;
  }

  remove(sequence: Sequence): void {
    this.sequences[sequence.batchIndex] = undefined;
    this.removed++;
    sequence.batchIndex = -1;
    sequence.scheduled = 0;
  }
}

export const samplesFlag = 1;
export const admittedFlag = 2;
