// A thread that runs models that share GPUs, under one policy after the other: plain data in, figures out.
import { parentPort } from 'node:worker_threads';
import { runShared, type SharedOutcome } from '../sim/sharing/index.ts';
import type { SharedRun } from '../sim/sharing/types.ts';

export interface SharedJob {
  index: number;
  run: SharedRun;
}

export type SharedAnswer =
  | { kind: 'progress'; index: number; share: number }
  | { kind: 'done'; index: number; outcome: SharedOutcome }
  | { kind: 'fault'; index: number; stack: string };

parentPort?.on('message', ({ index, run }: SharedJob) => {
  const tell = (answer: SharedAnswer): void => parentPort!.postMessage(answer);
  try {
    tell({ kind: 'done', index, outcome: runShared(run, (share) => tell({ kind: 'progress', index, share })) });
  } catch (error) {
    tell({ kind: 'fault', index, stack: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
