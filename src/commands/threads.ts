// Jobs in worker threads, each thread one after the other; the outcomes come in the order of the jobs, whichever ends first. A thread
// answers with messages of its own, and with { kind: 'fault', stack } where something broke.
import { Worker } from 'node:worker_threads';

export interface Fault {
  kind: 'fault';
  index: number;
  stack: string;
}

interface Threads<Message extends { index: number }, Outcome> {
  /** The bundle of the thread. */
  worker: string;
  threads: number;
  jobs: number;
  /** For one thread: what it is sent for a job, which may depend on what it was sent before. */
  sender(): (index: number) => object;
  /** The outcome that a message brings; undefined: it goes on. */
  heard(message: Message): Outcome | undefined;
}

export function inThreads<Message extends { kind: string; index: number }, Outcome>({
  worker,
  threads,
  jobs,
  sender,
  heard,
}: Threads<Message, Outcome>): Promise<Outcome[]> {
  const outcomes = new Array<Outcome>(jobs);
  let next = 0;
  let left = jobs;
  return new Promise((resolve, reject) => {
    const all: Worker[] = [];
    const end = (act: () => void): void => {
      for (const thread of all) void thread.terminate();
      act();
    };
    const start = (): void => {
      const thread = new Worker(worker);
      all.push(thread);
      const jobOf = sender();
      const give = (): void => {
        if (next < jobs) thread.postMessage(jobOf(next++));
      };
      thread.on('message', (message: Message | Fault) => {
        if (message.kind === 'fault') return end(() => reject(new Error((message as Fault).stack)));
        const outcome = heard(message as Message);
        if (outcome === undefined) return;
        outcomes[message.index] = outcome;
        if (--left === 0) end(() => resolve(outcomes));
        else give();
      });
      thread.on('error', (error) => end(() => reject(error)));
      give();
    };
    for (let i = 0; i < threads; i++) start();
  });
}

/** What broke in a thread, as its answer. */
export function faultOf(index: number, error: unknown): Fault {
  return { kind: 'fault', index, stack: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}
