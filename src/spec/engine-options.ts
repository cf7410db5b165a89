// The engine options that every planning command takes, as one table: how each is spelled, what it means, how its value is
// read and where it lands in EngineOptions. The command line, --from-command and the generated flags all go by this table.

import { GiB } from '../units.ts';
import { parseCount, parseFraction, parseJsonObject, parseNumber } from './count.ts';
import type { EngineOptions } from './options.ts';

export interface EngineOptionEntry {
  /** commander flags, e.g. "--tp, --tensor-parallel-size <n>". */
  flags: string;
  description: string;
  key: keyof EngineOptions;
  /** Reads the raw value; boolean options get true or false. */
  read: (raw: string, option: string) => unknown;
  group: 'Model' | 'Parallelism' | 'Memory and batching' | 'Features';
}

const text = (raw: string): string => raw;
const count = (raw: string, option: string): number => parseCount(raw, option);
const parallel = (raw: string, option: string): number => parseCount(raw, option, { min: 1, max: 65_536 });
const bool = (raw: string): boolean => raw !== 'false';
const maxModelLen = (raw: string, option: string): number | 'auto' =>
  raw === 'auto' || raw === '-1' ? 'auto' : parseCount(raw, option);
const sizes = (raw: string, option: string): number[] =>
  raw
    .split(/[\s,]+/)
    .filter(Boolean)
    .map((part) => parseCount(part, option));

export const engineOptionTable: readonly EngineOptionEntry[] = [
  {
    group: 'Model',
    key: 'quantization',
    flags: '-q, --quantization <scheme>',
    description: 'scheme id, e.g. fp8, awq, w4a16, q4_k_m; none for 16 bit',
    read: text,
  },
  {
    group: 'Model',
    key: 'dtype',
    flags: '--dtype <type>',
    description: 'auto, half, float16, bfloat16, float, float32',
    read: text,
  },
  {
    group: 'Model',
    key: 'kvCacheDtype',
    flags: '--kv-cache-dtype <type>',
    description: 'auto, fp8, fp8_e5m2, nvfp4, ...',
    read: text,
  },
  {
    group: 'Parallelism',
    key: 'tensorParallelSize',
    flags: '--tp, --tensor-parallel-size <n>',
    description: 'GPUs that share each layer',
    read: parallel,
  },
  {
    group: 'Parallelism',
    key: 'pipelineParallelSize',
    flags: '--pp, --pipeline-parallel-size <n>',
    description: 'stages of layers',
    read: parallel,
  },
  {
    group: 'Parallelism',
    key: 'dataParallelSize',
    flags: '--dp, --data-parallel-size <n>',
    description: 'replicas (experts are spread over them)',
    read: parallel,
  },
  {
    group: 'Parallelism',
    key: 'enableExpertParallel',
    flags: '--enable-expert-parallel',
    description: 'whole experts per GPU',
    read: bool,
  },
  {
    group: 'Parallelism',
    key: 'decodeContextParallelSize',
    flags: '--dcp, --decode-context-parallel-size <n>',
    description: 'GPUs that share the KV cache by sequence',
    read: parallel,
  },
  {
    group: 'Memory and batching',
    key: 'maxModelLen',
    flags: '--max-model-len <tokens>',
    description: 'longest sequence; auto fits it to the memory',
    read: maxModelLen,
  },
  {
    group: 'Memory and batching',
    key: 'maxNumSeqs',
    flags: '--max-num-seqs <n>',
    description: 'sequences in one batch',
    read: count,
  },
  {
    group: 'Memory and batching',
    key: 'maxNumBatchedTokens',
    flags: '--max-num-batched-tokens <n>',
    description: 'tokens in one step',
    read: count,
  },
  {
    group: 'Memory and batching',
    key: 'gpuMemoryUtilization',
    flags: '--gpu-memory-utilization <fraction>',
    description: 'share of the GPU the engine may use',
    read: parseFraction,
  },
  {
    group: 'Memory and batching',
    key: 'kvCacheMemoryBytes',
    flags: '--kv-cache-memory-bytes <bytes>',
    description: 'KV cache size, instead of utilization',
    read: (raw, option) => parseKvBytes(raw, option),
  },
  {
    group: 'Memory and batching',
    key: 'numGpuBlocksOverride',
    flags: '--num-gpu-blocks-override <n>',
    description: 'number of KV blocks',
    read: count,
  },
  {
    group: 'Memory and batching',
    key: 'blockSize',
    flags: '--block-size <tokens>',
    description: 'tokens per KV block',
    read: count,
  },
  {
    group: 'Memory and batching',
    key: 'cpuOffloadBytes',
    flags: '--cpu-offload-gb <GiB>',
    description: 'GiB of weights kept in host memory',
    read: (raw, option) => parseNumber(raw, option) * GiB,
  },
  {
    group: 'Features',
    key: 'enforceEager',
    flags: '--enforce-eager',
    description: 'no CUDA graphs, no compilation',
    read: bool,
  },
  {
    group: 'Features',
    key: 'enablePrefixCaching',
    flags: '--enable-prefix-caching',
    description: 'share the KV blocks of equal prefixes',
    read: bool,
  },
  {
    group: 'Features',
    key: 'enableChunkedPrefill',
    flags: '--enable-chunked-prefill',
    description: 'split long prompts over steps',
    read: bool,
  },
  { group: 'Features', key: 'enableLora', flags: '--enable-lora', description: 'serve LoRA adapters', read: bool },
  { group: 'Features', key: 'maxLoras', flags: '--max-loras <n>', description: 'adapters in one batch', read: count },
  {
    group: 'Features',
    key: 'maxLoraRank',
    flags: '--max-lora-rank <n>',
    description: 'largest adapter rank',
    read: count,
  },
  {
    group: 'Features',
    key: 'limitMmPerPrompt',
    flags: '--limit-mm-per-prompt <json>',
    description: 'multimodal items of a prompt',
    read: parseLimit,
  },
  {
    group: 'Features',
    key: 'languageModelOnly',
    flags: '--language-model-only',
    description: 'leave the encoders out',
    read: bool,
  },
  {
    group: 'Features',
    key: 'skipMmProfiling',
    flags: '--skip-mm-profiling',
    description: 'do not profile the encoders',
    read: bool,
  },
  {
    group: 'Features',
    key: 'mmEncoderTpMode',
    flags: '--mm-encoder-tp-mode <mode>',
    description: 'weights or data',
    read: text,
  },
  {
    group: 'Features',
    key: 'speculativeConfig',
    flags: '--speculative-config <json>',
    description: 'draft model or method, as in vLLM',
    read: parseJsonObject,
  },
  {
    group: 'Features',
    key: 'asyncScheduling',
    flags: '--async-scheduling',
    description: 'overlap scheduling with the step',
    read: bool,
  },
  {
    group: 'Features',
    key: 'performanceMode',
    flags: '--performance-mode <mode>',
    description: 'balanced, interactivity, throughput',
    read: text,
  },
  {
    group: 'Features',
    key: 'mambaCacheMode',
    flags: '--mamba-cache-mode <mode>',
    description: 'none, align, all',
    read: text,
  },
  {
    group: 'Features',
    key: 'mambaCacheDtype',
    flags: '--mamba-cache-dtype <type>',
    description: 'type of the state cache',
    read: text,
  },
  {
    group: 'Features',
    key: 'mambaSsmCacheDtype',
    flags: '--mamba-ssm-cache-dtype <type>',
    description: 'type of the SSM state',
    read: text,
  },
  {
    group: 'Features',
    key: 'disableHybridKvCacheManager',
    flags: '--disable-hybrid-kv-cache-manager',
    description: 'treat every layer as full attention',
    read: bool,
  },
  {
    group: 'Features',
    key: 'cudagraphCaptureSizes',
    flags: '--cudagraph-capture-sizes <sizes>',
    description: 'batch sizes to capture, comma-separated',
    read: sizes,
  },
  {
    group: 'Features',
    key: 'maxCudagraphCaptureSize',
    flags: '--max-cudagraph-capture-size <n>',
    description: 'largest batch size to capture',
    read: count,
  },
  {
    group: 'Features',
    key: 'compilationConfig',
    flags: '--compilation-config <json>',
    description: 'cudagraph_mode and capture sizes are read',
    read: parseJsonObject,
  },
];

/** Booleans that also exist as --no-...; the others are plain switches. */
export const negatable: readonly (keyof EngineOptions)[] = [
  'enablePrefixCaching',
  'enableChunkedPrefill',
  'asyncScheduling',
  'enforceEager',
  'enableExpertParallel',
  'disableHybridKvCacheManager',
];

/** The long names of an entry: --tp, --tensor-parallel-size. */
export function longNames(entry: Pick<EngineOptionEntry, 'flags'>): string[] {
  return entry.flags.match(/--[a-z][a-z-]*/g) ?? [];
}

export function takesValue(entry: Pick<EngineOptionEntry, 'flags'>): boolean {
  return entry.flags.includes('<');
}

/** The name as vLLM spells it: the last long name. */
export function vllmName(entry: Pick<EngineOptionEntry, 'flags'>): string {
  return longNames(entry).at(-1)!;
}

function parseKvBytes(raw: string, option: string): number {
  const units = /^(\d+(?:\.\d+)?)\s*([KMG])iB$/.exec(raw.trim());
  if (units) return Math.round(Number(units[1]) * { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }[units[2] as 'K' | 'M' | 'G']);
  return parseCount(raw, option, { min: 1 });
}

/** JSON, or the key=value list of releases before 0.8. */
function parseLimit(raw: string, option: string): unknown {
  if (/^\s*\w+=\d+(\s*,\s*\w+=\d+)*\s*$/.test(raw)) {
    return Object.fromEntries(raw.split(',').map((pair) => [pair.split('=')[0]!.trim(), Number(pair.split('=')[1])]));
  }
  return parseJsonObject(raw, option);
}
