// A thread that makes runs: gets one after the other as plain data, answers with its figures, says now and then how far it is.
import { parentPort } from 'node:worker_threads';
import { NoStepTime, type Run, type RunOutcome, simulateRun } from '../sim/simulate.ts';
import { type Fault, faultOf } from './threads.ts';

/** A run to make; the workload comes along only when the thread does not have it yet. */
export interface WorkerJob {
  index: number;
  run: Omit<Run, 'workload'> & { workload?: Run['workload'] };
  workloadKey: number;
  /** Send the times of single requests too. */
  perRequest: boolean;
}

export type WorkerAnswer =
  | { kind: 'progress'; index: number; ended: number; total: number }
  | { kind: 'done'; index: number; outcome: RunOutcome | Omit<RunOutcome, 'perRequest'> }
  | { kind: 'refused'; index: number; reason: string };

const workloads = new Map<number, Run['workload']>();

parentPort?.on('message', (job: WorkerJob) => {
  parentPort!.postMessage(answer(job, (message) => parentPort!.postMessage(message)));
});

function answer(
  { index, run, workloadKey, perRequest }: WorkerJob,
  tell: (message: WorkerAnswer) => void,
): WorkerAnswer | Fault {
  if (run.workload) workloads.set(workloadKey, run.workload);
  try {
    const outcome = simulateRun(
      { ...run, workload: run.workload ?? workloads.get(workloadKey)! },
      { progress: (ended, total) => tell({ kind: 'progress', index, ended, total }) },
    );
    return { kind: 'done', index, outcome: perRequest ? outcome : { result: outcome.result } };
  } catch (error) {
    if (error instanceof NoStepTime) return { kind: 'refused', index, reason: error.message };
    return faultOf(index, error);
  }
}
