// The steady state of one server that always has n sequences: how many of them decode at once, how many prompt tokens every step
// computes beside, and so how long a request takes. Law: continuous batching with chunked prefill (vllm/v1/core/sched/scheduler.py:
// running requests first, then prompts as the token budget allows), its averages instead of its steps.
import { emptyWork } from '../../sim/step-work.ts';
import type { StepTime } from '../../sim/time/index.ts';
import type { StepWork } from '../../sim/types.ts';

export interface LoopInput {
  time: StepTime;
  sequences: number;
  promptTokens: number;
  outputTokens: number;
  /** Tokens of a step at most. */
  budget: number;
  /** Prompts are computed in pieces beside decoding; else alone and whole (V0's default). */
  mixed: boolean;
}

export interface LoopRates {
  requestsPerSecond: number;
  /** Sequences that decode in one step. */
  decoding: number;
  /** Between two tokens of one sequence, steps with prompts in them included. */
  tokenSeconds: number;
}

/**
 * Per finished request, D = output - 1 steps of one sequence are D / b steps of a batch of b, and its prompt takes k pieces. Where there
 * are fewer pieces than steps, the others only decode. Where there are more, every step has prompt tokens, up to the budget: then so
 * many sequences decode as the budget feeds.
 */
export function loopRates({ time, sequences, promptTokens, outputTokens, budget, mixed }: LoopInput): LoopRates {
  const context = promptTokens + outputTokens / 2;
  const decodes = Math.max(outputTokens - 1, 0);
  const piece = Math.max(1, Math.min(promptTokens, budget - (mixed ? sequences : 0)));
  const pieces = promptTokens / piece;
  const b = decodes > 0 ? (sequences * decodes) / (decodes + pieces) : 0;
  const step = (decoding: number, prefill: number): number =>
    time.seconds(mixedWork(decoding, { context, prefill, promptTokens }));
  const rates = (seconds: number, decoding: number): LoopRates => ({
    requestsPerSecond: 1 / seconds,
    decoding,
    tokenSeconds: decodes > 0 ? (seconds * decoding) / decodes : 0,
  });
  if (decodes === 0 || !mixed) {
    const seconds = pieces * step(0, piece) + (decodes > 0 ? (decodes / b) * step(b, 0) : 0);
    return rates(seconds, b);
  }
  const steps = decodes / b;
  if (steps >= pieces) return rates((steps - pieces) * step(b, 0) + pieces * step(b, piece), b);
  const beside = promptTokens / steps;
  if (beside + b <= budget) return rates(steps * step(b, beside), b);
  const fed = (budget * decodes) / (decodes + promptTokens);
  return rates((decodes / fed) * step(fed, budget - fed), fed);
}

/** Sequences that decode at this context, and prompt tokens that see half of their prompt on average. */
export function mixedWork(
  decoding: number,
  { context, prefill, promptTokens }: { context: number; prefill: number; promptTokens: number },
): StepWork {
  const work = emptyWork();
  const prompts = prefill > 0 ? Math.max(1, prefill / promptTokens) : 0;
  work.tokens = decoding + prefill;
  work.sequences = decoding + prompts;
  work.prefillTokens = prefill;
  work.prefillSequences = prompts;
  work.decodeContext = decoding * context;
  work.prefillAttention = (prefill * promptTokens) / 2;
  work.rows = decoding + prefill / promptTokens;
  return work;
}
