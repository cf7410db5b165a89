// Weight bytes of Llama ranks against what released vLLMs hold (test/ground-truth/vllm-oracle.jsonl holds the lines).
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { resolveProfile } from '../../../src/engines/vllm/profile.ts';
import type { ResolvedOptions } from '../../../src/engines/vllm/resolved.ts';
import { rankWeights } from '../../../src/engines/vllm/weights/index.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { findScheme } from '../../../src/spec/quantization.ts';

const options = (over: Partial<ResolvedOptions> = {}): ResolvedOptions => ({
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
  ...over,
});

function plan(
  model: string,
  version: string,
  over: Partial<ResolvedOptions> & { scheme?: string; stage?: number } = {},
) {
  const { scheme, stage = 0, ...rest } = over;
  const spec = loadPresets('models').find((entry) => entry.id === model)!;
  return rankWeights({
    spec,
    architecture: expandArchitecture(spec),
    scheme: scheme ? findScheme(loadPresets('quantizations'), scheme) : undefined,
    profile: resolveProfile(loadPresets('vllm-rules'), version),
    gpu: { computeCapability: '9.0', multiprocessors: 132, vendor: 'nvidia' },
    options: options(rest),
    place: { tensorRank: 0, stage },
  });
}

describe('weights of a Llama rank', () => {
  it.each([
    ['llama-1-7b', '0.33.0', { dtype: 'float16' as const }, 13477356288],
    ['llama-3.1-8b', '0.33.0', {}, 16094077696],
    ['llama-3.1-8b', '0.33.0', { scheme: 'fp8' }, 9114756352],
    ['llama-3.1-8b', '0.33.0', { scheme: 'gptq' }, 5761409792],
    ['llama-3.1-8b', '0.20.2', { scheme: 'gptq-act' }, 5764817792],
  ])('%s in %s %o', (model, version, over, bytes) => {
    const planned = plan(model, version, over);
    expect('error' in planned ? planned.error : planned.tensorBytes).toBe(bytes);
  });

  it('prints blocks of the allocator, as the start-up line of 0.6.4 does', () => {
    const planned = plan('llama-3.1-8b', '0.6.4');
    expect('error' in planned ? 0 : planned.loadedBytes / 2 ** 30).toBeCloseTo(14.9888, 3);
  });

  it('refuses heads that do not divide', () => {
    expect(plan('qwen2.5-0.5b', '0.33.0', { tensorParallelSize: 4 })).toEqual({
      error: 'Total number of attention heads (14) must be divisible by tensor parallel size (4).',
    });
  });
});
