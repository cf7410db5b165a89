// One policy's run, in whatever thread: at the load of the file and, where asked for, at multiples of it until requests are no longer
// served well.
import { highestRate } from '../plan/rate-search.ts';
import type { SharedMaxRate } from '../plan/shared-output.ts';
import { requestsPerSecond } from '../sim/requests.ts';
import { atRate, runShared, type SharedOutcome } from '../sim/sharing/index.ts';
import type { SharedRun } from '../sim/sharing/types.ts';

export type PoolOutcome = SharedOutcome & { maxRate?: SharedMaxRate };

export interface PoolRunOptions {
  findMaxRate: boolean;
  keepsRequests: boolean;
  progress?: (share: number) => void;
}

/** The share of all requests that has to hold its model's objective (MuxServe and Prism report the load at 99 %). */
const attainment = 0.99;
/** The answer is known to about this share of itself, and looked for between these multiples of the load. */
const precision = 0.03;
const furthest = 64;

export async function runPool(
  run: SharedRun,
  { findMaxRate, keepsRequests, progress }: PoolRunOptions,
): Promise<PoolOutcome> {
  const outcome = runShared(run, { progress, keepsRequests });
  if (!findMaxRate || !outcome.ok) return outcome;
  const trials: SharedMaxRate['trials'] = [];
  const holdsAt = async (scale: number): Promise<boolean> => {
    const tried = scale === 1 ? outcome : runShared(atRate(run, scale));
    const value = tried.ok ? tried.result.pool.sloAttainment : 0;
    trials.push({ scale, sloAttainment: value, holds: value >= attainment });
    return value >= attainment;
  };
  const { holds, fails } = await highestRate(holdsAt, { precision, furthest });
  trials.sort((a, b) => a.scale - b.scale);
  const offered = requestsPerSecond(run.models.flatMap((model) => [...model.run.workload.requests])) ?? 0;
  const maxRate = {
    sloAttainment: attainment,
    scale: holds,
    requestsPerSecond: holds === null ? null : offered * holds,
    failsAtScale: fails,
    trials,
  };
  return { ...outcome, maxRate };
}
