// Measured serving runs (meta.json, requests.jsonl, timeseries.csv of LLMServingSim's bench) simulated as the engine that served them:
// release, model, device, limits and pool come from the run, arrivals from the engine's own clock; nothing is fitted here.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expandArchitecture } from '../../src/architecture/index.ts';
import type { SimulateArguments } from '../../src/commands/simulate-arguments.ts';
import { setupSource } from '../../src/commands/simulate-setup.ts';
import type { Io } from '../../src/io.ts';
import { readTrace } from '../../src/load/traces/read.ts';
import { createParallel } from '../../src/sim/parallel/index.ts';
import { Clock } from '../../src/sim/run/clock.ts';
import { createServing } from '../../src/sim/serving.ts';
import type { SimSetup } from '../../src/sim/setup.ts';
import { createStepTime, type StepTime } from '../../src/sim/time/index.ts';
import type { QueueState, ServingSystem, Workload } from '../../src/sim/types.ts';
import type { EngineOptions } from '../../src/spec/options.ts';
import { type Comparison, compareRun, type MeasuredRequest, type Sample, type SeriesRow } from './measured-figures.ts';

interface MeasuredMeta {
  model: string;
  vllm_version: string;
  engine_kwargs: {
    tensor_parallel_size: number;
    data_parallel_size: number;
    enable_expert_parallel: boolean;
    max_num_seqs: number;
    max_num_batched_tokens: number;
    max_model_len: number | null;
    dtype: string;
    kv_cache_dtype: string;
  };
  kv_cache?: { num_gpu_blocks?: number | null };
  hardware?: { device_name?: string };
}

export interface MeasuredRun {
  name: string;
  gpu: string;
  estimate: string;
  blocks: number;
  preemptions: number;
  comparison: Comparison[];
}

interface MeasuredOptions {
  /** The device, where meta.json does not name it. */
  gpu?: string;
}

export async function simulateMeasured(directory: string, options: MeasuredOptions = {}): Promise<MeasuredRun> {
  const meta = JSON.parse(readFileSync(`${directory}/meta.json`, 'utf8')) as MeasuredMeta;
  const gpu = options.gpu ?? meta.hardware?.device_name;
  if (gpu === undefined) throw new Error(`${directory}: meta.json names no device; add --gpu`);
  const setup = await setupOf(meta, gpu);
  const { workload } = await readTrace(`${directory}/requests.jsonl`, { env: process.env });
  if (setup.time.kind !== 'model') throw new Error('steps without a model');
  const stepTime = createStepTime({ ...setup.time, architecture: expandArchitecture(setup.time.spec) });
  if (!stepTime) throw new Error(`${gpu}: bandwidth not known`);
  const { clock, system, samples } = simulate(setup, workload, stepTime);
  const observed = readFileSync(`${directory}/requests.jsonl`, 'utf8')
    .trim()
    .split(/\r?\n/)
    .map((line) => JSON.parse(line) as MeasuredRequest);
  return {
    name: basename(directory),
    gpu: setup.time.gpu.id,
    estimate: stepTime.uncertainty,
    blocks: setup.paged.numBlocks,
    preemptions: system.counters.preemptions,
    comparison: compareRun({ workload, times: clock.times, samples, observed, series: readSeries(directory) }),
  };
}

/** The run's own options, as `vram simulate` reads them; its pool where it says how large it was. */
async function setupOf(meta: MeasuredMeta, gpu: string): Promise<SimSetup> {
  const { engine_kwargs: kwargs } = meta;
  const given: Partial<EngineOptions> = {
    tensorParallelSize: kwargs.tensor_parallel_size,
    dataParallelSize: kwargs.data_parallel_size,
    enableExpertParallel: kwargs.enable_expert_parallel,
    maxNumSeqs: kwargs.max_num_seqs,
    maxNumBatchedTokens: kwargs.max_num_batched_tokens,
    ...(kwargs.max_model_len === null ? {} : { maxModelLen: kwargs.max_model_len }),
    dtype: kwargs.dtype,
    kvCacheDtype: kwargs.kv_cache_dtype,
  };
  const numGpuBlocks = meta.kv_cache?.num_gpu_blocks ?? undefined;
  const words: SimulateArguments = {
    ...nothingElse,
    model: meta.model,
    gpu,
    engine: `vllm@${meta.vllm_version}`,
    given,
    simulation: numGpuBlocks === undefined ? {} : { numGpuBlocks },
  };
  const source = await setupSource(words, quiet);
  const made = source.make({}, source.defaultPolicy, 'lru');
  if (!made.ok) throw new Error(made.reason);
  return made.setup;
}

const nothingElse = {
  require: [],
  matrix: false,
  explain: false,
  policies: [],
  loadings: [],
  evictions: [],
  cacheOnly: false,
  capacityBlocks: [],
  sweeps: [],
  findMaxRate: false,
  objectives: [],
  advice: false,
};

interface Simulated {
  clock: Clock;
  system: ServingSystem;
  samples: Sample[];
}

/** The state after every step's output is kept, as the engine's own logger keeps it. */
function simulate(setup: SimSetup, workload: Workload, stepTime: StepTime): Simulated {
  const clock = new Clock(workload);
  const ranks = Array.from({ length: setup.replicas }, () => createServing(setup, workload, clock));
  const { seconds: stepSeconds, synchronizedRanks } = stepTime;
  const system = createParallel({ ranks, synchronized: synchronizedRanks > 1, stepSeconds });
  const samples: Sample[] = [];
  const queues: QueueState = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
  let outputTime = 0;
  const complete = system.complete.bind(system);
  system.complete = () => {
    const completed = complete();
    if (completed) {
      system.queues(queues);
      const { running, waiting, usedBlocks } = queues;
      samples.push({ time: outputTime, running, waiting, kvPercent: (usedBlocks / system.usableBlocks) * 100 });
    }
    return completed;
  };
  clock.run(system, {
    stepSeconds,
    stepByStep: true,
    observer: {
      scheduled(time, seconds) {
        outputTime = time + seconds;
      },
      idle(_, to) {
        outputTime = to;
      },
    },
  });
  return { clock, system, samples };
}

function readSeries(directory: string): SeriesRow[] {
  const [header, ...lines] = readFileSync(`${directory}/timeseries.csv`, 'utf8').trim().split(/\r?\n/);
  const names = header!.split(',');
  return lines.map((line) => {
    const cells = line.split(',').map(Number);
    const at = (name: string): number => cells[names.indexOf(name)]!;
    return { t: at('t'), running: at('running'), waiting: at('waiting'), kvPercent: at('kv_cache_pct') };
  });
}

const quiet: Io = {
  out() {},
  err() {},
  env: process.env,
  columns: 80,
  colour: false,
  errColour: false,
  errIsTerminal: false,
  cwd: process.cwd(),
};
