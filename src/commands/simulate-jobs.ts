// Makes several runs side by side in worker threads, and a single one right here. What comes out does not depend on how many
// threads there are or which of them ends first.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Io, Progress } from '../io.ts';
import type { PerRequest, RunResult } from '../sim/result.ts';
import { NoStepTime, type Run, type RunHooks, simulateRun } from '../sim/simulate.ts';
import type { WorkerAnswer, WorkerJob } from './simulate-worker.ts';
import { inThreads } from './threads.ts';

export type JobResult = { ok: true; result: RunResult; perRequest?: PerRequest } | { ok: false; reason: string };

export interface JobOptions {
  io: Io;
  /** Threads at most; default: the processors. */
  threads?: number | undefined;
  perRequest?: boolean;
  /** What the progress says is being done. */
  doing?: string;
  /** Only for a single run. */
  events?: RunHooks['events'];
}

/** Below so many requests a run is over before a thread has started. */
const smallRequests = 3000;
/** Between two updates of the progress. */
const updateMilliseconds = 100;

export async function runJobs(runs: readonly Run[], options: JobOptions): Promise<JobResult[]> {
  const { io, events } = options;
  const size = runs.reduce((sum, { workload }) => sum + workload.requests.length, 0);
  const shown = size > smallRequests ? await io.progress?.(options.doing ?? 'simulating') : undefined;
  const meter = new Meter(runs, shown, options.doing ?? 'simulating');
  const worker = fileURLToPath(new URL('./simulate-worker.cjs', import.meta.url));
  const threads = Math.min(options.threads ?? availableParallelism(), runs.length);
  try {
    const alone = threads <= 1 && (events !== undefined || runs.length === 1 || !io.errIsTerminal);
    if (alone || size <= smallRequests || !existsSync(worker))
      return runs.map((run, i) => runHere(run, options, meter.of(i)));
    return await runsInThreads(runs, { ...options, threads, worker, meter });
  } finally {
    shown?.();
  }
}

function runHere(run: Run, { events, perRequest }: JobOptions, progress: RunHooks['progress']): JobResult {
  try {
    const hooks = { ...(events ? { events } : {}), ...(progress ? { progress } : {}) };
    const outcome = simulateRun(run, hooks);
    return { ok: true, result: outcome.result, ...(perRequest ? { perRequest: outcome.perRequest } : {}) };
  } catch (error) {
    if (error instanceof NoStepTime) return { ok: false, reason: error.message };
    throw error;
  }
}

interface ThreadOptions extends JobOptions {
  threads: number;
  worker: string;
  meter: Meter;
}

function runsInThreads(
  runs: readonly Run[],
  { threads, worker, meter, perRequest = false }: ThreadOptions,
): Promise<JobResult[]> {
  const workloads = [...new Set(runs.map(({ workload }) => workload))];
  return inThreads<WorkerAnswer, JobResult>({
    worker,
    threads,
    jobs: runs.length,
    sender() {
      const known = new Set<number>();
      return (index): WorkerJob => {
        const { workload, ...run } = runs[index]!;
        const workloadKey = workloads.indexOf(workload);
        const isKnown = known.has(workloadKey);
        known.add(workloadKey);
        return { index, run: { ...run, ...(isKnown ? {} : { workload }) }, workloadKey, perRequest };
      };
    },
    heard(answer) {
      if (answer.kind === 'progress') {
        meter.update(answer.index, answer.ended, answer.total);
        return undefined;
      }
      meter.done(answer.index);
      return answer.kind === 'refused' ? { ok: false, reason: answer.reason } : { ok: true, ...answer.outcome };
    },
  });
}

/** How much of all runs is done, as words. */
class Meter {
  private readonly shares: number[];
  private shownAt = 0;

  constructor(
    runs: readonly Run[],
    private readonly shown: Progress | undefined,
    private readonly doing: string,
  ) {
    this.shares = runs.map(() => 0);
  }

  of(index: number): RunHooks['progress'] {
    return this.shown?.update ? (ended, total) => this.update(index, ended, total) : undefined;
  }

  update(index: number, ended: number, total: number): void {
    this.shares[index] = total > 0 ? ended / total : 1;
    const now = Date.now();
    if (now - this.shownAt < updateMilliseconds) return;
    this.shownAt = now;
    this.show();
  }

  done(index: number): void {
    this.shares[index] = 1;
    this.show();
  }

  private show(): void {
    const { shares } = this;
    const share = shares.reduce((sum, one) => sum + one, 0) / shares.length;
    const ended = shares.filter((one) => one === 1).length;
    const runs = shares.length > 1 ? `, ${ended} of ${shares.length} runs` : '';
    this.shown?.update?.(`${this.doing}: ${Math.floor(share * 100)} %${runs}`);
  }
}
