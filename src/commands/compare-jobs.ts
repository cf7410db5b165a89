// Plans the lines of a comparison, on threads where there are many, and hands on what comes out in the order of the lines, however many
// threads there are and whichever ends first.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type Diagnostic, InputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { type Cells, placeOf } from '../plan/compare/cells.ts';
import { parseFilter, type RowFilter } from '../plan/compare/filter.ts';
import { csvLines } from '../render/compare-csv.ts';
import { Evaluator } from './compare-evaluate.ts';
import type { CompareLine, CompareSetup } from './compare-line.ts';

/** What a job answers with: rows as text for a stream of CSV, or as cells. */
export interface Chunk {
  /** Combinations planned, and those that fit, before the filter. */
  planned: number;
  fitting: number;
  csv: string;
  rows: Cells[];
}

export interface JobsInput {
  setup: CompareSetup;
  lines: readonly CompareLine[];
  filter: string | undefined;
  form: 'csv' | 'cells';
  io: Io;
  /** Threads at most; default: the processors. */
  threads?: number | undefined;
  take(chunk: Chunk): Promise<void>;
}

/** What a thread is started with. */
export type WorkerSetup = Pick<JobsInput, 'setup' | 'filter' | 'form'> & { env: Io['env'] };
export interface WorkerJob {
  index: number;
  lines: readonly CompareLine[];
}
export type WorkerAnswer =
  | { index: number; chunk: Chunk }
  | { index: number; fault: string; diagnostics?: readonly Diagnostic[] };

/** Below so much work all is planned before a thread has started, in plans of vLLM. */
const smallPlans = 3000;
/** A plan of llama.cpp builds a graph. */
const llamaPlans = 60;
/** Of a thread: most of what a plan makes is gone after it, and a small nursery is collected too often. */
const youngMegabytes = 96;
/** Work of one job. */
const jobPlans = 3000;

export async function runCompareJobs(input: JobsInput): Promise<void> {
  const { io, lines, setup } = input;
  const jobs = jobsOf(lines, setup.gpus.length);
  const work = lines.reduce((sum, line) => sum + costOf(line), 0) * setup.gpus.length;
  const shown = work > smallPlans ? await io.progress?.('planning') : undefined;
  const total = lines.length * setup.gpus.length;
  let planned = 0;
  const take = async (chunk: Chunk): Promise<void> => {
    planned += chunk.planned;
    await input.take(chunk);
    shown?.update?.(`planning: ${planned.toLocaleString('en-US')} of ${total.toLocaleString('en-US')} combinations`);
  };
  const worker = fileURLToPath(new URL('./compare-worker.cjs', import.meta.url));
  const threads = Math.min(input.threads ?? availableParallelism(), jobs.length);
  try {
    if (work <= smallPlans || threads <= 1 || !existsSync(worker)) {
      const planner = chunkPlanner(input, io);
      for (const job of jobs) {
        await take(await planner(job));
        // Between jobs a closed pipe and Ctrl-C are heard.
        await new Promise((resolve) => setImmediate(resolve));
      }
    } else await inThreads({ ...input, take }, { jobs, worker, threads });
  } finally {
    shown?.();
  }
}

/** Plans jobs one after the other, in this thread. */
export function chunkPlanner(
  { setup, filter, form }: Pick<JobsInput, 'setup' | 'filter' | 'form'>,
  io: Io,
): (lines: readonly CompareLine[]) => Promise<Chunk> {
  const evaluator = new Evaluator(setup, io);
  const keeps: RowFilter = filter === undefined ? () => true : parseFilter(filter);
  return async (lines) => {
    const rows: Cells[] = [];
    let planned = 0;
    let fitting = 0;
    for (const line of lines) {
      await evaluator.line(line, (cells) => {
        planned++;
        if (isFitting(cells)) fitting++;
        if (keeps(cells)) rows.push(cells);
      });
    }
    return form === 'csv' ? { planned, fitting, csv: csvLines(rows), rows: [] } : { planned, fitting, csv: '', rows };
  };
}

/** Lines of one model stay together: what planning remembers of it serves them all. */
function jobsOf(lines: readonly CompareLine[], gpus: number): CompareLine[][] {
  const jobs: CompareLine[][] = [];
  let work = 0;
  for (const line of lines) {
    const last = jobs.at(-1);
    const more = costOf(line) * gpus;
    if (more > jobPlans && gpus > 1) {
      for (const piece of piecesOf(line, gpus)) jobs.push([piece]);
      work = jobPlans;
      continue;
    }
    if (last && last[0]!.model === line.model && work + more <= jobPlans) {
      last.push(line);
      work += more;
    } else {
      jobs.push([line]);
      work = more;
    }
  }
  return jobs;
}

/** A line that is too long for one thread, by its GPUs. */
function piecesOf(line: CompareLine, gpus: number): CompareLine[] {
  const step = Math.max(1, Math.floor(jobPlans / costOf(line)));
  const starts = Array.from({ length: Math.ceil(gpus / step) }, (_, i) => i * step);
  return starts.map((from) => ({ ...line, only: { from, to: Math.min(gpus, from + step) } }));
}

function costOf({ engine }: CompareLine): number {
  return engine.id === 'vllm' ? 1 : llamaPlans;
}

interface Threads {
  jobs: CompareLine[][];
  worker: string;
  threads: number;
}

/** Chunks that come early wait for those before them; a thread that is far ahead gets nothing more to do meanwhile. */
function inThreads(input: JobsInput, { jobs, worker, threads }: Threads): Promise<void> {
  const { setup, filter, form, io, take } = input;
  const early = new Map<number, Chunk>();
  const idle: Worker[] = [];
  const workerData: WorkerSetup = { setup, filter, form, env: { ...io.env } };
  let given = 0;
  let taken = 0;
  let taking = Promise.resolve();
  return new Promise((resolve, reject) => {
    const all: Worker[] = [];
    const end = (act: () => void): void => {
      for (const thread of all) void thread.terminate();
      act();
    };
    const give = (thread: Worker): void => {
      if (given >= jobs.length || given - taken > 8 * threads) {
        idle.push(thread);
        return;
      }
      const index = given++;
      thread.postMessage({ index, lines: jobs[index]! } satisfies WorkerJob);
    };
    const drain = async (): Promise<void> => {
      for (let chunk = early.get(taken); chunk; chunk = early.get(taken)) {
        early.delete(taken++);
        await take(chunk);
        for (const thread of idle.splice(0)) give(thread);
      }
      if (taken === jobs.length) end(resolve);
    };
    for (let i = 0; i < threads; i++) {
      const thread = new Worker(worker, { workerData, resourceLimits: { maxYoungGenerationSizeMb: youngMegabytes } });
      all.push(thread);
      thread.on('error', (error) => end(() => reject(error)));
      thread.on('message', (answer: WorkerAnswer) => {
        if ('fault' in answer) return end(() => reject(faultOf(answer)));
        early.set(answer.index, answer.chunk);
        taking = taking.then(drain).catch((error: unknown) => end(() => reject(error)));
        give(thread);
      });
      give(thread);
    }
  });
}

function faultOf({ fault, diagnostics }: { fault: string; diagnostics?: readonly Diagnostic[] }): Error {
  return diagnostics ? new InputError(diagnostics) : new Error(fault);
}

const fitsAt = placeOf('fits');

function isFitting(cells: Cells): boolean {
  return cells[fitsAt] === true;
}
