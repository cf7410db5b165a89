// A thread that plans lines of a comparison: gets the lists once and then one job after the other, answers with its rows.
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { isInputError } from '../diagnostics.ts';
import { quietIo } from '../io.ts';
import { chunkPlanner, type WorkerAnswer, type WorkerJob, type WorkerSetup } from './compare-jobs.ts';

if (parentPort) serve(parentPort, workerData as WorkerSetup);

function serve(port: MessagePort, given: WorkerSetup): void {
  const planChunk = chunkPlanner(given, quietIo(given.env));
  const answer = async ({ index, lines }: WorkerJob): Promise<WorkerAnswer> => {
    try {
      return { index, chunk: await planChunk(lines) };
    } catch (error) {
      const fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
      return { index, fault, ...(isInputError(error) ? { diagnostics: error.diagnostics } : {}) };
    }
  };
  let before: Promise<unknown> = Promise.resolve();
  port.on('message', (job: WorkerJob) => {
    before = before.then(async () => port.postMessage(await answer(job)));
  });
}
