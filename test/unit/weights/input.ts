// A rank of a preset, for the tests of the weights.
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { ResolvedOptions } from '../../../src/engines/vllm/resolved.ts';
import type { WeightsInput } from '../../../src/engines/vllm/weights/index.ts';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { findScheme, schemeOfCheckpoint } from '../../../src/spec/quantization.ts';

export interface RankOf {
  model: string;
  version: string;
  /** Scheme id; absent: the checkpoint's own. */
  scheme?: string;
  capability?: string;
  draft?: string;
  tensorRank?: number;
  stage?: number;
  options?: Partial<ResolvedOptions>;
}

export function weightsInput(of: RankOf): WeightsInput {
  const { model, version, scheme, capability = '9.0', draft, tensorRank = 0, stage = 0, options = {} } = of;
  const target = subject(model);
  const own = target.spec.quantization && schemeOfCheckpoint(target.spec.quantization);
  return {
    ...target,
    scheme: scheme === undefined ? own : findScheme(loadPresets('quantizations'), scheme),
    profile: resolveEngineRef(`vllm@${version}`).profile,
    gpu: { computeCapability: capability, multiprocessors: 132, vendor: 'nvidia' },
    options: { ...plainOptions, dtype: target.spec.config.dtype ?? 'bfloat16', ...options },
    place: { tensorRank, stage },
    ...(draft ? { draft: subject(draft) } : {}),
  };
}

const subjects = new Map<string, Pick<WeightsInput, 'spec' | 'architecture'>>();

function subject(id: string): Pick<WeightsInput, 'spec' | 'architecture'> {
  let known = subjects.get(id);
  if (!known) {
    const spec = loadPreset('models', id);
    known = { spec, architecture: expandArchitecture(spec) };
    subjects.set(id, known);
  }
  return known;
}

const plainOptions: ResolvedOptions = {
  tensorParallelSize: 1,
  pipelineParallelSize: 1,
  dataParallelSize: 1,
  decodeContextParallelSize: 1,
  enableExpertParallel: false,
  engine: 'v1',
  runner: 'v1',
  dtype: 'bfloat16',
  maxModelLen: 8192,
  autoMaxModelLen: false,
  maxNumSeqs: 256,
  maxNumBatchedTokens: 8192,
  gpuMemoryUtilization: 0.9,
  kvCacheDtype: 'auto',
  enforceEager: true,
  cudagraphMode: 'NONE',
  captureSizes: [],
  enablePrefixCaching: true,
  enableChunkedPrefill: true,
  asyncScheduling: true,
  maxConcurrentBatches: 2,
  mambaCacheMode: 'none',
  speculativeTokens: 0,
};
