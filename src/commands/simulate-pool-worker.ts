// A thread that runs models that share GPUs, under one policy after the other: plain data in, figures out.
import { parentPort } from 'node:worker_threads';
import type { SharedRun } from '../sim/sharing/types.ts';
import { type PoolOutcome, type PoolRunOptions, runPool } from './simulate-pool-run.ts';
import { type Fault, faultOf } from './threads.ts';

export interface SharedJob extends Omit<PoolRunOptions, 'progress'> {
  index: number;
  run: SharedRun;
}

export type SharedAnswer =
  | { kind: 'progress'; index: number; share: number }
  | { kind: 'done'; index: number; outcome: PoolOutcome };

parentPort?.on('message', ({ index, run, ...options }: SharedJob) => {
  const tell = (answer: SharedAnswer | Fault): void => parentPort!.postMessage(answer);
  runPool(run, { ...options, progress: (share) => tell({ kind: 'progress', index, share }) }).then(
    (outcome) => tell({ kind: 'done', index, outcome }),
    (error) => tell(faultOf(index, error)),
  );
});
