// `--find-max-rate`: the highest rate of the workload at which every objective holds, every trial a whole run.
import { inputError } from '../diagnostics.ts';
import { highestRate } from '../plan/rate-search.ts';
import type { MaxRate, RateTrial } from '../plan/simulate-output.ts';
import { type Objective, objectivesHold, objectiveValue } from '../plan/slo.ts';
import type { RunResult } from '../sim/result.ts';
import type { Run } from '../sim/simulate.ts';
import { type JobOptions, type JobResult, runJobs } from './simulate-jobs.ts';

/** The answer is known to about this share of itself. */
const precision = 0.02;
const furthestFactor = 2 ** 12;

interface Search {
  maxRate: MaxRate;
  /** The run at the highest rate that holds; at the lowest tried when none does. */
  best: JobResult & { ok: true };
}

/** A run that cannot be made at all comes back as its refusal. */
export async function findMaxRate(
  run: Run,
  objectives: readonly Objective[],
  options: JobOptions,
): Promise<Search | (JobResult & { ok: false })> {
  checkSearch(run, objectives);
  const trials: RateTrial[] = [];
  const results = new Map<number, JobResult & { ok: true }>();
  let refusal: (JobResult & { ok: false }) | undefined;
  const holdsAt = async (scale: number): Promise<boolean> => {
    const doing = `rate ${scale}x`;
    const [result] = await runJobs([{ ...run, rateScale: scale }], { ...options, doing });
    if (!result!.ok) {
      refusal = result as JobResult & { ok: false };
      return false;
    }
    const figures = (result as JobResult & { ok: true }).result;
    const holds = servedAll(figures) && objectivesHold(figures, objectives);
    results.set(scale, result as JobResult & { ok: true });
    trials.push({
      scale,
      requestsPerSecond: offeredRate(run, scale),
      holds,
      values: objectives.map((objective) => objectiveValue(figures, objective)),
    });
    return holds;
  };
  const search = { precision, furthest: furthestFactor, stop: () => refusal !== undefined };
  const { holds: best, fails: worst } = await highestRate(holdsAt, search);
  if (refusal) return refusal;
  trials.sort((a, b) => a.scale - b.scale);
  return {
    maxRate: {
      slo: objectives.map(({ text }) => text),
      scale: best,
      requestsPerSecond: best === null ? null : offeredRate(run, best),
      failsAtScale: worst,
      trials,
    },
    best: results.get(best ?? trials[0]!.scale)!,
  };
}

function checkSearch({ workload }: Run, objectives: readonly Objective[]): void {
  if (objectives.length === 0) {
    throw inputError('VRAM665', '--find-max-rate needs an objective', {
      hint: "e.g. --slo 'ttft_p99<2s' --slo 'tpot_mean<50ms'",
      path: '--slo',
    });
  }
  const { requests, concurrency } = workload;
  if (concurrency !== undefined || requests.every(({ arrival }) => arrival === requests[0]!.arrival)) {
    throw inputError('VRAM666', '--find-max-rate needs arrivals that can come faster or slower', {
      hint: 'take a workload with arrival times, or give --rate 1/s; a closed loop (--concurrency) has no rate',
      path: '--find-max-rate',
    });
  }
}

/** Requests that can never fit say nothing about a rate; an empty run does not hold. */
function servedAll({ requests }: RunResult): boolean {
  return requests.finished > 0 && requests.finished + requests.rejected === requests.total;
}

function offeredRate({ workload: { requests } }: Run, scale: number): number {
  const span = requests.at(-1)!.arrival - requests[0]!.arrival;
  return span > 0 ? ((requests.length - 1) / span) * scale : 0;
}
