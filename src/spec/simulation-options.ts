// The options of `vram simulate` that describe what is simulated, as one table: how each is spelled, what it means, how its value
// is read. Scheduler options are spelled as vLLM's own. What decides where results go is not here.
import { parseNumber } from './count.ts';
import {
  defaultAcceptance,
  type KvGroupOption,
  parseKvGroup,
  parsePositive,
  parseRate,
  parseSchedulingPolicy,
  parseShare,
  parseStepTime,
  parseWatermark,
  parseWhole,
  type Rate,
} from './simulation-values.ts';

export interface SimulationOptions {
  eviction?: string;
  pinPrefixTokens?: number;
  seed?: number;
  rate?: Rate;
  limit?: number;
  concurrency?: number;
  durationSeconds?: number;
  repeat?: number;
  samples?: number;
  beamWidth?: number;
  thinkSeconds?: number;
  workloadModel?: string;
  numGpuBlocks?: number;
  kvGroups?: KvGroupOption[];
  stepTime?: number;
  schedulingPolicy?: 'fcfs' | 'priority';
  longPrefillTokenThreshold?: number;
  longPrefillTokenThresholdAdaptive?: boolean;
  prefillScheduleInterval?: number;
  schedulerReserveFullIsl?: boolean;
  watermark?: number;
  swapSpaceGiB?: number;
  kvOffloadingSizeGiB?: number;
  kvOffloadingDiskGiB?: number;
  diskBandwidth?: number;
  acceptanceRate?: number;
}

export interface SimulationOptionEntry {
  flags: string;
  description: string;
  key: keyof SimulationOptions;
  read: (raw: string, option: string) => unknown;
  group: 'Workload' | 'Memory' | 'Scheduler' | 'Time';
  /** Exists as --no-... too. */
  negatable?: true;
  /** A flag of `vllm serve`, read from an existing command too. */
  ofEngine?: true;
  /** Makes no sense as one value of a sweep. */
  fixed?: true;
}

const bool = (raw: string): boolean => raw !== 'false';
const positive = (raw: string, option: string): number => parseWhole(raw, option);

export const simulationOptionTable: readonly SimulationOptionEntry[] = [
  {
    group: 'Workload',
    key: 'rate',
    flags: '--rate <rate>',
    description: '2x scales the arrivals, 4/s sets requests per second',
    read: parseRate,
  },
  {
    group: 'Workload',
    key: 'limit',
    flags: '--limit <n>',
    description: 'only the first n requests',
    read: positive,
  },
  {
    group: 'Workload',
    key: 'concurrency',
    flags: '--concurrency <n>',
    description: 'closed loop: n unfinished requests at a time',
    read: positive,
  },
  {
    group: 'Workload',
    key: 'durationSeconds',
    flags: '--duration <seconds>',
    description: 'only what arrives so long after the start',
    read: parsePositive,
  },
  {
    group: 'Workload',
    key: 'repeat',
    flags: '--repeat <n>',
    description: 'the workload n times in a row',
    read: (raw, option) => parseWhole(raw, option, { max: 10_000 }),
  },
  {
    group: 'Workload',
    key: 'samples',
    flags: '--samples <n>',
    description: 'parallel samples of every prompt',
    read: (raw, option) => parseWhole(raw, option, { max: 1000 }),
  },
  {
    group: 'Workload',
    key: 'beamWidth',
    flags: '--beam-width <n>',
    description: 'beam search of this width for every prompt',
    read: (raw, option) => parseWhole(raw, option, { max: 1000 }),
  },
  {
    group: 'Workload',
    key: 'thinkSeconds',
    flags: '--think <seconds>',
    description: 'pause before the next turn of a conversation',
    read: (raw, option) => parseNumber(raw, option),
  },
  {
    group: 'Workload',
    key: 'workloadModel',
    flags: '--workload-model <name>',
    description: "only this model's rows of the trace",
    read: (raw) => raw,
  },
  {
    group: 'Workload',
    key: 'seed',
    flags: '--seed <n>',
    description: 'of everything drawn (default 0)',
    read: (raw, option) => parseWhole(raw, option, { min: 0, max: 2 ** 31 - 1 }),
  },
  {
    group: 'Memory',
    key: 'numGpuBlocks',
    flags: '--num-gpu-blocks <n>',
    description: 'blocks of the pool, the null block included; default: the plan',
    read: (raw, option) => parseWhole(raw, option, { min: 2, max: 2 ** 24 }),
  },
  {
    group: 'Memory',
    key: 'kvGroups',
    flags: '--kv-group <kind>',
    description: 'full, sliding:W, chunked:C (repeatable), instead of the model',
    read: (raw, option) => raw.split(',').map((part) => parseKvGroup(part, option)),
    fixed: true,
  },
  {
    group: 'Memory',
    key: 'eviction',
    flags: '--eviction <policy>',
    description: 'lru, lfu, fifo, slru, ... of cached blocks',
    read: (raw) => raw,
  },
  {
    group: 'Memory',
    key: 'pinPrefixTokens',
    flags: '--pin-prefix <tokens>',
    description: 'keep the blocks of the first tokens of every request to the last',
    read: positive,
  },
  {
    group: 'Memory',
    key: 'swapSpaceGiB',
    flags: '--swap-space <GiB>',
    description: 'host memory for preempted sequences (V0)',
    read: (raw, option) => parseNumber(raw, option),
    ofEngine: true,
  },
  {
    group: 'Memory',
    key: 'kvOffloadingSizeGiB',
    flags: '--kv-offloading-size <GiB>',
    description: 'host memory for KV blocks (0.11.2 and later)',
    read: (raw, option) => parseNumber(raw, option),
    ofEngine: true,
  },
  {
    group: 'Memory',
    key: 'kvOffloadingDiskGiB',
    flags: '--kv-offloading-disk <GiB>',
    description: 'a disk below that memory, holding copies of what it stores',
    read: (raw, option) => parseNumber(raw, option),
  },
  {
    group: 'Memory',
    key: 'diskBandwidth',
    flags: '--disk-bandwidth <GB/s>',
    description: 'of that disk, read and written (default 5)',
    read: parsePositive,
  },
  {
    group: 'Scheduler',
    key: 'schedulingPolicy',
    flags: '--scheduling-policy <policy>',
    description: 'fcfs or priority',
    read: parseSchedulingPolicy,
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'longPrefillTokenThreshold',
    flags: '--long-prefill-token-threshold <n>',
    description: 'most tokens of one prompt in a step',
    read: (raw, option) => parseWhole(raw, option, { min: 0 }),
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'longPrefillTokenThresholdAdaptive',
    flags: '--long-prefill-token-threshold-adaptive',
    description: 'divide the step among the running (0.31)',
    read: bool,
    negatable: true,
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'prefillScheduleInterval',
    flags: '--prefill-schedule-interval <n>',
    description: 'admit only every n steps (0.24)',
    read: positive,
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'schedulerReserveFullIsl',
    flags: '--scheduler-reserve-full-isl',
    description: 'admit only what fits whole (0.19)',
    read: bool,
    negatable: true,
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'watermark',
    flags: '--watermark <fraction>',
    description: 'blocks kept free on admission (0.24)',
    read: parseWatermark,
    ofEngine: true,
  },
  {
    group: 'Scheduler',
    key: 'acceptanceRate',
    flags: '--acceptance-rate <fraction>',
    description: `of draft tokens, with --speculative-config (default ${defaultAcceptance})`,
    read: parseShare,
  },
  {
    group: 'Time',
    key: 'stepTime',
    flags: '--step-time <seconds>',
    description: 'every step lasts so long, instead of the estimate',
    read: parseStepTime,
  },
];
