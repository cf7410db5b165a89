// The memory flow by release on one model: worked example of the activation peak, what is charged where, leaves that sum up.
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { resolveOptions } from '../../../src/engines/vllm/defaults/index.ts';
import { memoryBudget, memoryItems } from '../../../src/engines/vllm/memory/index.ts';
import type { MemoryInput } from '../../../src/engines/vllm/memory/types.ts';
import { refusalText, startupLog } from '../../../src/engines/vllm/messages/index.ts';
import { defaultParallel, type EngineOptions } from '../../../src/spec/options.ts';
import { GiB, sum } from '../../../src/units.ts';
import { gpuOf, modelOf, profileOf } from './start.ts';

function input(
  version: string,
  options: Partial<EngineOptions> = {},
  over: Partial<MemoryInput> & { model?: string; gpuId?: string } = {},
): MemoryInput {
  const spec = modelOf(over.model ?? 'llama-3.1-8b');
  const architecture = expandArchitecture(spec);
  const gpu = gpuOf(over.gpuId ?? 'h100-sxm');
  const profile = profileOf(version);
  const { resolved } = resolveOptions({
    options: { ...defaultParallel, ...options },
    spec,
    architecture,
    gpu,
    profile,
  });
  const loadedBytes = Math.round(14.99 * GiB);
  return {
    spec,
    architecture,
    options: resolved,
    gpu,
    profile,
    place: { tensorRank: 0, stage: 0 },
    weights: { tensorBytes: loadedBytes, loadedBytes },
    ...over,
  };
}

const small = { maxNumBatchedTokens: 2048, maxNumSeqs: 256 };

describe('activation peak of Llama-3.1-8B on H100', () => {
  // Peaks counted by running each release's own profile run; the allocator adds up to 5 MiB to them.
  it.each([
    ['0.9.2', {}, 4.757],
    ['0.16.0', small, 1.213],
    ['0.19.1', {}, 1.885],
    ['0.19.1', small, 0.542],
    ['0.25.1', {}, 0.924],
    ['0.25.1', small, 0.291],
    ['0.28.0', {}, 0.924],
    ['0.33.0', {}, 1.782],
    ['0.33.0', small, 0.446],
  ] as const)('%s %o: %d GiB', (version, options, gib) => {
    const env = { VLLM_USE_FLASHINFER_SAMPLER: '0' };
    const { peak } = memoryBudget(input(version, { ...options, env }));
    expect(peak.total / GiB - gib).toBeGreaterThan(-0.001);
    expect(peak.total / GiB - gib).toBeLessThan(0.006);
  });

  it('is the same on every tensor rank, and larger on the last pipeline stage', () => {
    const whole = memoryBudget(input('0.19.0')).peak.total;
    expect(memoryBudget(input('0.19.0', { tensorParallelSize: 4 })).peak.total).toBe(whole);
    const pipeline = { pipelineParallelSize: 2 };
    const last = { place: { tensorRank: 0, stage: 1 } };
    expect(memoryBudget(input('0.19.0', pipeline, last)).peak.total / GiB).toBeCloseTo(2.013, 2);
    expect(memoryBudget(input('0.19.0', pipeline)).peak.total).toBeLessThan(whole);
  });
});

describe('what a release charges', () => {
  const available = (version: string, options: Partial<EngineOptions> = {}) =>
    memoryBudget(input(version, { gpuMemoryUtilization: 0.9, ...options })).availableBytes;

  it('subtracts the graph estimate from 0.20, unless told not to', () => {
    const env = { VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS: '0' };
    expect(memoryBudget(input('0.19.0')).graphEstimateBytes).toBe(0);
    expect(memoryBudget(input('0.20.2')).graphEstimateBytes).toBeGreaterThan(0);
    expect(memoryBudget(input('0.20.2', { env })).graphEstimateBytes).toBe(0);
    expect(available('0.20.2', { enforceEager: true })).toBeGreaterThan(available('0.20.2'));
  });

  it('subtracts nothing for graphs on the second runner before 0.29', () => {
    expect(memoryBudget(input('0.28.0')).graphEstimateBytes).toBe(0);
    expect(memoryBudget(input('0.29.0')).graphEstimateBytes).toBeGreaterThan(0);
  });

  it('charges the sampling state of the second runner from 0.27', () => {
    const before = memoryBudget(input('0.26.0', { gpuMemoryUtilization: 0.9 }));
    const after = memoryBudget(input('0.27.1', { gpuMemoryUtilization: 0.9 }));
    expect(before.buffers.bytes / 2 ** 20).toBeCloseTo(550, -1);
    const nonTorch = before.nonTorch.bytes - after.nonTorch.bytes;
    expect(before.availableBytes - after.availableBytes).toBe(after.buffers.bytes - nonTorch);
  });

  it('prints a smaller peak from 0.27: what stays is in the consumed memory', () => {
    const { printed, peak, graphEstimateBytes } = memoryBudget(input('0.27.1'));
    expect(printed.activationBytes).toBe(peak.total - peak.kept + graphEstimateBytes);
    expect(printed.consumedBytes).toBeGreaterThan(14.99 * GiB);
  });

  it('counts the CUDA context in V1 of 0.8 only', () => {
    expect(memoryBudget(input('0.8.5')).context.bytes).toBe(0);
    expect(memoryBudget(input('0.9.2')).context.bytes).toBeGreaterThan(0);
  });
});

describe('leaves', () => {
  it.each(['0.6.3', '0.7.3', '0.8.5', '0.11.0', '0.19.0', '0.24.0', '0.27.1', '0.33.0'])(
    'of %s sum to the total',
    (version) => {
      const budget = memoryBudget(input(version, { tensorParallelSize: 2, enableLora: true }));
      const items = memoryItems(budget, { numBlocks: 12345, bytesPerBlock: 65536, given: false });
      expect(sum(items.map((item) => item.bytes))).toBe(budget.totalBytes);
      for (const item of items) {
        expect(item.lowBytes).toBeLessThanOrEqual(item.bytes);
        expect(item.highBytes).toBeGreaterThanOrEqual(item.bytes);
        expect(Number.isInteger(item.bytes)).toBe(true);
      }
      expect(items.find((item) => item.id === 'lora')?.bytes).toBeGreaterThan(0);
    },
  );

  it('call the KV cache as sure as what it is left by, unless its size is given', () => {
    const budget = memoryBudget(input('0.19.0'));
    const cache = (given: boolean) =>
      memoryItems(budget, { numBlocks: 12345, bytesPerBlock: 65536, given }).find((item) => item.id === 'kv-cache')!;
    expect(cache(true)).toMatchObject({ confidence: 'exact', lowBytes: 12345 * 65536, highBytes: 12345 * 65536 });
    expect(cache(false).confidence).toBe('estimated');
    const below = cache(false).bytes - cache(false).lowBytes;
    expect(Math.abs(below - (budget.availableBytes - budget.availableLowBytes))).toBeLessThanOrEqual(65536);
  });
});

describe('messages', () => {
  const kv = { numBlocks: 30464, tokens: 487424, maxConcurrency: 3.71875, maxModelLen: 131072, bytesPerBlock: 2097152 };
  const log = (version: string, options: Partial<EngineOptions> = {}): string[] => {
    const given = input(version, options);
    const budget = memoryBudget(given);
    return startupLog({
      profile: given.profile,
      resolved: given.options,
      ranks: [{ gpu: given.gpu, budget }],
      kv,
      kvCache: { bytes: Math.round(58.5 * GiB) },
    });
  };

  it('print two decimals without padding from 0.14', () => {
    expect(log('0.13.0')[0]).toBe('Model loading took 14.9900 GiB memory and ... seconds');
    expect(log('0.19.0')[0]).toBe('Model loading took 14.99 GiB memory and ... seconds');
    expect(log('0.13.0')).toContain('Available KV cache memory: 58.50 GiB');
    expect(log('0.19.0')).toContain('Available KV cache memory: 58.5 GiB');
  });

  it('print tokens and concurrency in one line from 0.28', () => {
    expect(log('0.19.0')).toContain('GPU KV cache size: 487,424 tokens');
    expect(log('0.19.0')).toContain('Maximum concurrency for 131,072 tokens per request: 3.72x');
    expect(log('0.33.0')).toContain(
      'GPU KV cache size: 487,424 tokens, Maximum concurrency for 131,072 tokens per request: 3.72x',
    );
  });

  it('print blocks in V0', () => {
    expect(log('0.7.3')).toContain('# cuda blocks: 30464, # CPU blocks: 2048');
  });

  it('refuse in the words of the release', () => {
    const figures = { kind: 'kv', refusal: tooLong } as const;
    const at = (version: string, engine: 'v0' | 'v1' = 'v1') =>
      refusalText({ ...figures, profile: profileOf(version), resolved: { engine, gpuMemoryUtilization: 0.9 } });
    expect(at('0.19.0')).toBe(
      "To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, which is larger " +
        'than the available KV cache memory (3.2 GiB). Based on the available memory, the estimated maximum model length is ' +
        '26208. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine. See ' +
        'https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details.',
    );
    expect(at('0.10.2')).toContain('(16.00 GiB KV cache is needed');
    expect(at('0.33.0')).toContain("with the model's max seq len");
    expect(at('0.7.3', 'v0')).toContain('stored in KV cache (26208)');
  });
});

const tooLong = {
  kind: 'too-long',
  neededBytes: 16 * GiB,
  availableBytes: 3.2 * GiB,
  estimatedMaxLen: 26208,
  maxModelLen: 131072,
} as const;

describe('expert workspace and forward pass at 8192 tokens, eager, 0.19', () => {
  // MiB counted by running the release's own profile run: workspace exact, forward pass with it to 7 %.
  it.each([
    ['mixtral-8x7b', 2, 672, 1008],
    ['qwen3-30b-a3b', 1, 512, 824],
    ['deepseek-v2-lite', 1, 456, 1129],
    ['qwen1.5-moe-a2.7b', 1, 304, 697],
    ['deepseek-v3', 8, 1792, 2464],
    ['qwen3-next-80b-a3b', 2, 640, 1153],
    ['gpt-oss-20b', 1, 0, 557],
  ] as const)('%s on %d ranks', (model, tensorParallelSize, workspace, total) => {
    const { peak } = memoryBudget(input('0.19.1', { tensorParallelSize, enforceEager: true }, { model }));
    expect(peak.workspace / 2 ** 20).toBe(workspace);
    expect(Math.abs((peak.forward + peak.workspace) / 2 ** 20 / total - 1)).toBeLessThan(0.07);
  });
});
