// Measured serving runs (meta.json, requests.jsonl, timeseries.csv of LLMServingSim's bench) simulated as the engine that served them:
// release, model, device, limits and pool come from the run, arrivals from the engine's own clock; nothing is fitted here.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { resolveArguments } from '../../src/commands/plan-request.ts';
import { planVllm, type VllmPlanned } from '../../src/engines/vllm/plan.ts';
import type { Io } from '../../src/io.ts';
import { vllmRegistry } from '../../src/load/flags.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import { readTrace } from '../../src/load/traces/read.ts';
import type { PlanRequest } from '../../src/plan/request.ts';
import type { PagedConfig } from '../../src/sim/paged/config.ts';
import { PagedSystem } from '../../src/sim/paged/system.ts';
import { createParallel } from '../../src/sim/parallel/index.ts';
import { Clock } from '../../src/sim/run/clock.ts';
import { createStepTime, type StepTime } from '../../src/sim/time/index.ts';
import type { QueueState, ServingSystem, Workload } from '../../src/sim/types.ts';
import type { EngineOptions } from '../../src/spec/options.ts';
import { type Comparison, compareRun, type MeasuredRequest, type Sample, type SeriesRow } from './measured-figures.ts';

export interface MeasuredMeta {
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

export interface MeasuredOptions {
  /** The device, where meta.json does not name it. */
  gpu?: string;
}

export async function simulateMeasured(directory: string, options: MeasuredOptions = {}): Promise<MeasuredRun> {
  const meta = JSON.parse(readFileSync(`${directory}/meta.json`, 'utf8')) as MeasuredMeta;
  const gpu = options.gpu ?? meta.hardware?.device_name;
  if (gpu === undefined) throw new Error(`${directory}: meta.json names no device; add --gpu`);
  const { request, planned } = await planOf(meta, gpu);
  const { workload } = await readTrace(`${directory}/requests.jsonl`, { env: process.env });
  const blocks = meta.kv_cache?.num_gpu_blocks ?? planned.kv.numBlocks;
  const stepTime = stepTimeOf(request, planned);
  const { clock, system, samples } = simulate({ request, planned, workload, blocks, stepTime });
  const observed = readFileSync(`${directory}/requests.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as MeasuredRequest);
  return {
    name: basename(directory),
    gpu: request.gpus[0]!.id,
    estimate: `${stepTime.estimate}: ${stepTime.uncertainty}`,
    blocks,
    preemptions: system.counters.preemptions,
    comparison: compareRun({ workload, times: clock.times, samples, observed, series: readSeries(directory) }),
  };
}

async function planOf(meta: MeasuredMeta, gpu: string): Promise<{ request: PlanRequest; planned: VllmPlanned }> {
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
  const words = { model: meta.model, gpu, engine: `vllm@${meta.vllm_version}`, given };
  const resolved = await resolveArguments({ ...words, require: [], matrix: false, explain: false }, quiet);
  const { request } = resolved.devices!;
  return { request, planned: planVllm(request, vllmRegistry()) };
}

function stepTimeOf(request: PlanRequest, { resolved, architecture }: VllmPlanned): StepTime {
  const { spec, scheme, gpus } = request;
  const stepTime = createStepTime({ spec, architecture, gpu: gpus[0]!, scheme, options: resolved });
  if (!stepTime) throw new Error(`${gpus[0]!.id}: bandwidth not known`);
  return stepTime;
}

interface Simulated {
  clock: Clock;
  system: ServingSystem;
  samples: Sample[];
}

/** One scheduler and pool per data-parallel rank; the state after every step's output is kept, as the engine's own logger keeps it. */
function simulate({
  request,
  planned,
  workload,
  blocks,
  stepTime,
}: {
  request: PlanRequest;
  planned: VllmPlanned;
  workload: Workload;
  blocks: number;
  stepTime: StepTime;
}): Simulated {
  const clock = new Clock(workload);
  const { resolved } = planned;
  const config: PagedConfig = {
    numBlocks: blocks,
    blockSize: planned.kv.blockSize,
    groups: [{ type: 'full' }],
    maxNumSeqs: resolved.maxNumSeqs,
    maxNumBatchedTokens: resolved.maxNumBatchedTokens,
    maxModelLen: resolved.maxModelLen,
    policy: 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: resolved.enableChunkedPrefill,
    prefixCaching: resolved.enablePrefixCaching,
    reserveFullPrompt: true,
    asyncScheduling: resolved.asyncScheduling,
  };
  const rules = schedulerRules(request.profile);
  const ranks = Array.from(
    { length: resolved.dataParallelSize },
    () => new PagedSystem(config, rules, workload, clock),
  );
  const stepSeconds = stepTime.seconds;
  const system = createParallel({ ranks, synchronized: stepTime.synchronizedRanks > 1, stepSeconds });
  const samples: Sample[] = [];
  const queues: QueueState = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };
  clock.run(system, {
    stepSeconds,
    observer: {
      scheduled(time) {
        system.queues(queues);
        const { running, waiting, usedBlocks } = queues;
        samples.push({ time, running, waiting, kvPercent: (usedBlocks / system.usableBlocks) * 100 });
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
