// Several models on the same GPUs, simulated: a run under one policy, its figures or why it cannot be made.
import { NoStepTime } from '../simulate.ts';
import type { SharedResult } from './result.ts';
import { SharedRefusal, simulateShared } from './run.ts';
import type { SharedRun } from './types.ts';

export type SharedOutcome = { ok: true; result: SharedResult } | { ok: false; reason: string };

export function runShared(run: SharedRun, progress?: (share: number) => void): SharedOutcome {
  try {
    const result = simulateShared(run, progress ? { progress: (ended, total) => progress(ended / total) } : {});
    return { ok: true, result };
  } catch (error) {
    if (error instanceof SharedRefusal || error instanceof NoStepTime) return { ok: false, reason: error.message };
    throw error;
  }
}

/** The same models with all their arrivals so many times as fast. */
export function atRate(run: SharedRun, scale: number): SharedRun {
  return { ...run, models: run.models.map((model) => ({ ...model, run: { ...model.run, rateScale: scale } })) };
}
