// Runs one pool under several policies, side by side in worker threads where that pays. What comes out does not depend on the threads.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Io } from '../io.ts';
import type { SharedRun } from '../sim/sharing/types.ts';
import { type PoolOutcome, type PoolRunOptions, runPool } from './simulate-pool-run.ts';
import type { SharedAnswer, SharedJob } from './simulate-pool-worker.ts';

/** Below so many requests a run is over before a thread has started. */
const smallRequests = 300;

export interface PoolJobOptions {
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
    shown?.update?.(
      `simulating ${runs.length} ${runs.length === 1 ? 'policy' : 'policies'}: ${Math.floor(done * 100)} %`,
    );
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
    return await inThreads(runs, { threads: Math.min(threads, runs.length), worker, tell, optionsOf });
  } finally {
    shown?.();
  }
}

type JobChoice = Omit<PoolRunOptions, 'progress'>;

interface ThreadOptions {
  threads: number;
  worker: string;
  tell: (index: number, share: number) => void;
  optionsOf: (index: number) => JobChoice;
}

function inThreads(
  runs: readonly SharedRun[],
  { threads, worker, tell, optionsOf }: ThreadOptions,
): Promise<PoolOutcome[]> {
  const outcomes = new Array<PoolOutcome>(runs.length);
  let next = 0;
  let left = runs.length;
  return new Promise((resolve, reject) => {
    const all: Worker[] = [];
    const end = (act: () => void): void => {
      for (const thread of all) void thread.terminate();
      act();
    };
    const start = (): void => {
      const thread = new Worker(worker);
      all.push(thread);
      const give = (): void => {
        if (next >= runs.length) return;
        const index = next++;
        thread.postMessage({ index, run: runs[index]!, ...optionsOf(index) } satisfies SharedJob);
      };
      thread.on('message', (answer: SharedAnswer) => {
        if (answer.kind === 'progress') return tell(answer.index, answer.share);
        if (answer.kind === 'fault') return end(() => reject(new Error(answer.stack)));
        outcomes[answer.index] = answer.outcome;
        tell(answer.index, 1);
        if (--left === 0) end(() => resolve(outcomes));
        else give();
      });
      thread.on('error', (error) => end(() => reject(error)));
      give();
    };
    for (let i = 0; i < threads; i++) start();
  });
}
