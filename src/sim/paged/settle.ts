// What one scheduled step comes to: its tokens count as computed from now on, before their forward pass, and asynchronous scheduling
// counts the output tokens to come as placeholders. Law: _update_after_schedule in vllm/v1/core/sched/{scheduler,async_scheduler}.py.
import type { StepWork } from '../types.ts';
import { type Batch, samplesFlag } from './batch.ts';

export interface SettleOptions {
  asynchronous: boolean;
  /** Drafts that every decoding sequence gets for its next step (asynchronous scheduling; else the output brings them). */
  draftTokens: number;
  /** Up to 0.15 a token is sampled once all known tokens are computed, also where more is in flight. */
  samplesAtKnown: boolean;
}

/** Advances every sequence of the batch, marks those that sample, fills `work`; returns the tokens of the step. */
export function settleStep(
  batch: Batch,
  work: StepWork,
  { asynchronous, draftTokens, samplesAtKnown }: SettleOptions,
): number {
  const { sequences, tokens, drafts, flags, count } = batch;
  let total = 0;
  let decodeContext = 0;
  let rows = 0;
  work.prefillTokens = work.prefillSequences = work.prefillAttention = 0;
  for (let i = 0; i < count; i++) {
    const sequence = sequences[i];
    if (sequence === undefined) continue;
    const n = tokens[i] as number;
    const before = sequence.computed;
    const known = sequence.known + sequence.placeholders;
    const computed = before + n;
    sequence.computed = computed;
    sequence.scheduled = 0;
    total += n;
    const chunk = computed < known;
    sequence.isPrefillChunk = chunk;
    if (before < known - 1) {
      work.prefillTokens += n;
      work.prefillSequences++;
      work.prefillAttention += n * before + (n * n) / 2;
    } else decodeContext += computed;
    if (asynchronous) sequence.inFlight += n;
    if (chunk) {
      if (samplesAtKnown && computed >= sequence.known) flags[i] = (flags[i] as number) | samplesFlag;
      continue;
    }
    rows += 1 + (drafts[i] as number);
    flags[i] = (flags[i] as number) | samplesFlag;
    if (asynchronous) {
      sequence.placeholders += 1 + (drafts[i] as number);
      sequence.drafts = draftTokens;
    }
  }
  work.decodeContext = decodeContext;
  work.rows = rows;
  work.tokens = total;
  work.sequences = count - batch.removed;
  return total;
}
