// The load that an estimate of speed is for, from what was asked: sequences of so many tokens, a quarter of them the answer.
import type { SpeedShape } from './types.ts';

/** Tokens of a sequence where nothing is asked for. */
export const usualContext = 4096;

export interface AskedLoad {
  context?: number | undefined;
  concurrency?: number | undefined;
  outputTokens?: number | undefined;
}

export function loadShape({ context, concurrency, outputTokens }: AskedLoad, maxModelLen: number): SpeedShape {
  const length = Math.max(2, Math.min(context ?? usualContext, maxModelLen));
  const output = Math.max(1, Math.min(outputTokens ?? Math.ceil(length / 4), length - 1));
  return { concurrency: concurrency ?? 1, promptTokens: length - output, outputTokens: output };
}
