// Several models on the same GPUs, simulated: a run under one policy, its figures or why it cannot be made.
import { NoStepTime } from '../simulate.ts';
import type { SharedResult } from './result.ts';
import { SharedRefusal, simulateSharedRequests } from './run.ts';
import type { SharedRequests } from './summary.ts';
import type { SharedRun } from './types.ts';

export type SharedOutcome =
  | { ok: true; result: SharedResult; requests?: SharedRequests }
  | { ok: false; reason: string };

interface SharedOptions {
  progress?: ((share: number) => void) | undefined;
  /** Keep what became of every request. */
  keepsRequests?: boolean;
}

export function runShared(run: SharedRun, { progress, keepsRequests = false }: SharedOptions = {}): SharedOutcome {
  try {
    const hooks = progress ? { progress: (ended: number, total: number) => progress(ended / total) } : {};
    const { result, requests } = simulateSharedRequests(run, hooks);
    return { ok: true, result, ...(keepsRequests ? { requests } : {}) };
  } catch (error) {
    if (error instanceof SharedRefusal || error instanceof NoStepTime) return { ok: false, reason: error.message };
    throw error;
  }
}

/** The same models with all their arrivals so many times as fast. */
export function atRate(run: SharedRun, scale: number): SharedRun {
  return { ...run, models: run.models.map((model) => ({ ...model, run: { ...model.run, rateScale: scale } })) };
}
