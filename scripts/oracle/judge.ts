// One line of an oracle file against the library: builds the run it describes (model preset, scheme, release, place) and
// compares weights within 0.01 %, pools exactly, refusals by kind.
import { expandArchitecture } from '../../src/architecture/index.ts';
import type { Architecture } from '../../src/architecture/types.ts';
import { InputError } from '../../src/diagnostics.ts';
import { type Profile, resolveProfile } from '../../src/engines/vllm/profile.ts';
import type { ResolvedOptions } from '../../src/engines/vllm/resolved.ts';
import { rankWeights } from '../../src/engines/vllm/weights/index.ts';
import { loadPresets } from '../../src/load/presets.ts';
import type { Dtype, ModelSpec } from '../../src/spec/model.ts';
import { findScheme, type QuantizationScheme, schemeOfCheckpoint } from '../../src/spec/quantization.ts';
import { kvChecks } from './kv.ts';

export interface OracleLine {
  id: string;
  engine: string;
  model: string;
  capability: string;
  tp: number;
  pp: number;
  dp?: number;
  ep: boolean;
  quantization: string | null;
  flags?: Record<string, unknown>;
  resolved?: {
    architecture: string;
    dtype: string;
    maxModelLen: number;
    batchedTokens: number;
    maxNumSeqs: number;
    prefixCaching: boolean;
    kvDtype: string;
  };
  rank?: number | null;
  stage?: number | null;
  weights?: {
    constructed: { total: number; allocator: number };
    afterProcessing: { total: number; allocator: number } | 'same' | null;
  };
  pools?: OraclePool[];
  error?: string;
}

export interface OraclePool {
  availableBytes: number;
  maxModelLen: number;
  numBlocks?: number;
  tokens?: number;
  concurrency?: number;
  error?: string;
}

export interface Verdict {
  line: OracleLine;
  failures: string[];
  checks: { name: string; passed: boolean }[];
}

/** Everything about one line's run that the checks share. */
export interface OracleRun {
  line: OracleLine;
  spec: ModelSpec;
  architecture: Architecture;
  scheme: QuantizationScheme | undefined;
  profile: Profile;
  gpu: { computeCapability: string; multiprocessors: number; vendor: 'nvidia' };
  options: ResolvedOptions;
  place: { tensorRank: number; stage: number };
}

const multiprocessors: Record<string, number> = {
  '7.5': 40,
  '8.0': 108,
  '8.6': 80,
  '8.9': 142,
  '9.0': 132,
  '10.0': 148,
};
const models = new Map(loadPresets('models').map((model) => [model.id, model]));
const architectures = new Map<string, Architecture>();

export async function judgeLine(line: OracleLine, what: { weights: boolean; kv: boolean }): Promise<Verdict> {
  const verdict: Verdict = { line, failures: [], checks: [] };
  const check = (name: string, failure: string | undefined): void => {
    verdict.checks.push({ name, passed: failure === undefined });
    if (failure !== undefined) verdict.failures.push(failure);
  };
  try {
    const run = oracleRun(line);
    if (what.weights) checkWeights(run, check);
    if (what.kv) await kvChecks(run, check);
  } catch (error) {
    if (line.error) check('refused', undefined);
    else check('planned', `planning failed: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
    if (!(error instanceof InputError) && process.env.ORACLE_TRACE) console.error(error);
  }
  return verdict;
}

function checkWeights(run: OracleRun, check: (name: string, failure: string | undefined) => void): void {
  const { line } = run;
  const planned = rankWeights(run);
  if (line.error) {
    if ('error' in planned) check('refused', undefined);
    return;
  }
  const observed = line.weights?.afterProcessing === 'same' ? line.weights.constructed : line.weights?.afterProcessing;
  if (!observed) return;
  if ('error' in planned) {
    check('weights', `weights: refused (${planned.error}), the release holds ${observed.total}`);
    return;
  }
  const error = planned.tensorBytes / observed.total - 1;
  const parts = (observed as { parts?: Record<string, number> }).parts ?? {};
  check(
    'weights',
    Math.abs(error) <= 1e-4
      ? undefined
      : `weights: ${planned.tensorBytes} planned, ${observed.total} held, ${(error * 100).toFixed(3)} % ${differences(planned.parts, parts)}`,
  );
}

function differences(planned: Record<string, number>, observed: Record<string, number>): string {
  const names = [...new Set([...Object.keys(planned), ...Object.keys(observed)])];
  return names
    .map((name) => [name, (planned[name] ?? 0) - (observed[name] ?? 0)] as const)
    .filter(([, delta]) => delta !== 0)
    .map(([name, delta]) => `${name} ${delta > 0 ? '+' : ''}${delta}`)
    .join(', ');
}

function oracleRun(line: OracleLine): OracleRun {
  const preset = models.get(line.model);
  if (!preset) throw new Error(`no preset ${line.model}`);
  const spec = { ...preset, architecture: line.resolved?.architecture ?? preset.architecture };
  let architecture = architectures.get(line.model);
  if (!architecture) {
    architecture = expandArchitecture(preset);
    architectures.set(line.model, architecture);
  }
  const scheme = line.quantization
    ? findScheme(loadPresets('quantizations'), line.quantization)
    : spec.quantization && schemeOfCheckpoint(spec.quantization);
  if (line.quantization && !scheme) throw new Error(`no scheme ${line.quantization}`);
  const rank = line.rank ?? 0;
  return {
    line,
    spec,
    architecture,
    scheme,
    profile: resolveProfile(loadPresets('vllm-rules'), line.engine.split('@')[1]!),
    gpu: {
      computeCapability: line.capability,
      multiprocessors: multiprocessors[line.capability] ?? 132,
      vendor: 'nvidia',
    },
    options: optionsOf(line, spec),
    place: { tensorRank: rank % line.tp, stage: line.stage ?? 0 },
  };
}

function optionsOf(line: OracleLine, spec: ModelSpec): ResolvedOptions {
  const { resolved } = line;
  return {
    tensorParallelSize: line.tp,
    pipelineParallelSize: line.pp,
    dataParallelSize: line.dp ?? 1,
    decodeContextParallelSize: 1,
    enableExpertParallel: line.ep,
    engine: 'v1',
    runner: 'v1',
    dtype: (resolved?.dtype ?? spec.config.dtype ?? 'bfloat16') as Dtype,
    maxModelLen: resolved?.maxModelLen ?? spec.config.maxPositionEmbeddings ?? 4096,
    autoMaxModelLen: false,
    maxNumSeqs: resolved?.maxNumSeqs ?? 256,
    maxNumBatchedTokens: resolved?.batchedTokens ?? 8192,
    gpuMemoryUtilization: 0.9,
    kvCacheDtype: resolved?.kvDtype ?? 'auto',
    enforceEager: true,
    cudagraphMode: 'NONE',
    captureSizes: [],
    enablePrefixCaching: resolved?.prefixCaching ?? true,
    enableChunkedPrefill: true,
    asyncScheduling: true,
    maxConcurrentBatches: 2,
    mambaCacheMode: 'none',
    speculativeTokens: 0,
  };
}
