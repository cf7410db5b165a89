// Reads the lines in which released vLLMs say what their own classes answered, and plans each case the way a start would.
import { readFileSync } from 'node:fs';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { resolveOptions } from '../../../src/engines/vllm/defaults/index.ts';
import { planKvCache } from '../../../src/engines/vllm/kv/plan.ts';
import { type KvSpecs, kvLayerSpecs } from '../../../src/engines/vllm/kv/specs.ts';
import type { KvPlan, KvProfile } from '../../../src/engines/vllm/kv/types.ts';
import { resolveProfile } from '../../../src/engines/vllm/profile.ts';
import type { ResolvedOptions } from '../../../src/engines/vllm/resolved.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { defaultParallel, type EngineOptions } from '../../../src/spec/options.ts';

export interface OracleLine {
  id: string;
  engine: string;
  model: string;
  capability: string;
  tp: number;
  pp: number;
  ep: boolean;
  stage?: number;
  quantization: string | null;
  flags?: Record<string, unknown>;
  resolved: { dtype: string; maxModelLen: number; batchedTokens: number; prefixCaching: boolean };
  kv?: { layers: readonly OracleLayer[]; blockSize: number };
  pools?: readonly OraclePool[];
}

type OracleLayer = [
  count: number,
  kind: string,
  pageBytes: number,
  blockSize: number,
  heads: number | null,
  headSize: number | null,
  dtype: string | null,
  reach: number | null,
  extras?: { realBytes?: number },
];

export interface OraclePool {
  availableBytes: number;
  maxModelLen: number;
  numBlocks?: number;
  tokens?: number;
  concurrency?: number;
  error?: string;
}

export function oracleLines(): OracleLine[] {
  const text = readFileSync(new URL('../../ground-truth/vllm-oracle.jsonl', import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as OracleLine);
}

const gpuOf: Readonly<Record<string, string>> = {
  '8.0': 'a100-80gb-sxm',
  '8.9': 'l40s',
  '9.0': 'h100-sxm',
  '10.0': 'b200',
};

const profiles = new Map<string, KvProfile>();

function profileOf(version: string): KvProfile {
  let profile = profiles.get(version);
  if (!profile) {
    profile = resolveProfile(loadPresets('vllm-rules'), version) as unknown as KvProfile;
    profiles.set(version, profile);
  }
  return profile;
}

export interface Start {
  model: string;
  version: string;
  gpu?: string;
  options?: Partial<EngineOptions>;
}

/** Layer specs of a start, and a planner for any pool and length. */
export function start({ model, version, gpu = 'h100-sxm', options = {} }: Start): {
  specs: KvSpecs;
  resolved: ResolvedOptions;
  pool: (availableBytes: number, maxModelLen?: number) => KvPlan;
} {
  const spec = loadPreset('models', model);
  const card = loadPreset('gpus', gpu);
  const profile = profileOf(version);
  const architecture = expandArchitecture(spec);
  const asked: EngineOptions = { ...defaultParallel, ...options };
  const { resolved } = resolveOptions({
    options: asked,
    spec,
    architecture,
    gpu: card,
    profile: profile as unknown as Parameters<typeof resolveOptions>[0]['profile'],
  });
  const build = (maxModelLen: number) =>
    kvLayerSpecs({
      architecture,
      model: spec,
      gpu: card,
      options: { ...resolved, maxModelLen },
      profile,
      askedKvCacheDtype: options.kvCacheDtype,
    });
  const specs = build(resolved.maxModelLen);
  const pool = (availableBytes: number, maxModelLen = resolved.maxModelLen): KvPlan => {
    const at = maxModelLen === resolved.maxModelLen ? specs : build(maxModelLen);
    return planKvCache({
      profile,
      engine: resolved.engine,
      stages: at.stages,
      availableBytes: at.stages.map(() => availableBytes),
      maxModelLen,
      autoMaxModelLen: resolved.autoMaxModelLen,
      maxNumBatchedTokens: resolved.maxNumBatchedTokens,
      maxConcurrentBatches: resolved.maxConcurrentBatches,
      decodeContextParallelSize: resolved.decodeContextParallelSize,
      numGpuBlocksOverride: options.numGpuBlocksOverride,
      disableHybridManager: at.disableHybridManager,
      error: at.error,
    });
  };
  return { specs, resolved, pool };
}

export function startOf(line: OracleLine): ReturnType<typeof start> {
  const flags = line.flags ?? {};
  return start({
    model: line.model,
    version: line.engine.replace('vllm@', ''),
    gpu: gpuOf[line.capability]!,
    options: {
      tensorParallelSize: line.tp,
      pipelineParallelSize: line.pp,
      enableExpertParallel: line.ep,
      dtype: line.resolved.dtype,
      maxModelLen: line.resolved.maxModelLen,
      maxNumBatchedTokens: line.resolved.batchedTokens,
      enablePrefixCaching: flags.enable_prefix_caching === false ? false : undefined,
      blockSize: flags.block_size as number | undefined,
      kvCacheDtype: flags.kv_cache_dtype as string | undefined,
    },
  });
}
