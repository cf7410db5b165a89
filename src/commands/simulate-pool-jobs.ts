// Runs one pool under several policies, side by side in worker threads where that pays. What comes out does not depend on the threads.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Io } from '../io.ts';
import type { SharedRun } from '../sim/sharing/types.ts';
import { type PoolOutcome, type PoolRunOptions, runPool } from './simulate-pool-run.ts';
import type { SharedAnswer, SharedJob } from './simulate-pool-worker.ts';
import { inThreads } from './threads.ts';

/** Below so many requests a run is over before a thread has started. */
const smallRequests = 300;

interface PoolJobOptions {
  io: Io;
  threads?: number | undefined;
  findMaxRate: boolean;
  /** Keep what became of every request under the first policy. */
  perRequest: boolean;
}

export async function runPools(
  runs: readonly SharedRun[],
  { io, threads = availableParallelism(), findMaxRate, perRequest }: PoolJobOptions,
): Promise<PoolOutcome[]> {
  const size = runs.reduce(
    (sum, { models }) => sum + models.reduce((all, { run }) => all + run.workload.requests.length, 0),
    0,
  );
  const optionsOf = (index: number): JobChoice => ({ findMaxRate, keepsRequests: perRequest && index === 0 });
  const shown = size > smallRequests ? await io.progress?.('simulating') : undefined;
  const shares = runs.map(() => 0);
  const tell = (index: number, share: number): void => {
    shares[index] = share;
    const done = shares.reduce((sum, one) => sum + one, 0) / shares.length;
    shown?.update?.(`simulating ${runs.length} ${runs.length === 1 ? 'run' : 'runs'}: ${Math.floor(done * 100)} %`);
  };
  const worker = fileURLToPath(new URL('./simulate-pool-worker.cjs', import.meta.url));
  try {
    if ((size <= smallRequests && !findMaxRate) || runs.length === 1 || threads <= 1 || !existsSync(worker)) {
      const outcomes: PoolOutcome[] = [];
      for (const [index, run] of runs.entries()) {
        outcomes.push(await runPool(run, { ...optionsOf(index), progress: (share) => tell(index, share) }));
        tell(index, 1);
      }
      return outcomes;
    }
    return await inThreads<SharedAnswer, PoolOutcome>({
      worker,
      threads: Math.min(threads, runs.length),
      jobs: runs.length,
      sender: () => (index) => ({ index, run: runs[index]!, ...optionsOf(index) }) satisfies SharedJob,
      heard(answer) {
        tell(answer.index, answer.kind === 'progress' ? answer.share : 1);
        return answer.kind === 'progress' ? undefined : answer.outcome;
      },
    });
  } finally {
    shown?.();
  }
}

type JobChoice = Omit<PoolRunOptions, 'progress'>;
