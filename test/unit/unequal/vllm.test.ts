// Pipelines cut by memory over unequal GPUs: no other cut of a small model holds more (all are tried), the layers add up, and what tensor
// parallelism leaves unused is the difference of the budgets.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planVllm } from '../../../src/engines/vllm/plan.ts';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { vllmRegistry } from '../../../src/load/flags.ts';
import { findPreset, loadPreset } from '../../../src/load/presets.ts';
import type { PlanRequest } from '../../../src/plan/request.ts';
import { isUnequal } from '../../../src/plan/unequal/is-unequal.ts';
import { allDeals, bestShares, proportional } from '../../../src/plan/unequal/shares.ts';
import { solvePartition, tensorParallelNote, unequalWay } from '../../../src/plan/unequal/vllm.ts';
import { defaultParallel, type EngineOptions } from '../../../src/spec/options.ts';

const engine = resolveEngineRef('vllm');
const plan = (request: PlanRequest) => planVllm(request, vllmRegistry());

function requestOf(model: string, gpus: string[], options: Partial<EngineOptions> = {}): PlanRequest {
  const { version, release, profile } = engine;
  const spec = findPreset('models', model)!;
  return {
    spec,
    version,
    release,
    profile,
    gpus: gpus.map((id) => loadPreset('gpus', id)),
    options: { ...defaultParallel, ...options },
  };
}

function input(model: string, gpus: string[], options: Partial<EngineOptions> = {}) {
  const request = requestOf(model, gpus, options);
  return { request, planned: plan(request), plan };
}

const tokensAt = (of: ReturnType<typeof input>, sizes: readonly number[], tp = 1): number => {
  const options = {
    ...of.request.options,
    tensorParallelSize: tp,
    pipelineParallelSize: sizes.length,
    env: { VLLM_PP_LAYER_PARTITION: sizes.join(',') },
  };
  const { plan: cut } = plan({ ...of.request, options });
  return cut.verdict.fits ? cut.kvCache.tokens : 0;
};

describe('solvePartition', () => {
  it.each([
    ['qwen3-0.6b', ['rtx4090', 'rtx3060-12gb'], 28],
    ['llama-3.2-1b', ['rtx3060-12gb', 'rtx4090', 'rtx4060ti-16gb'], 16],
    // Sliding windows in five of six layers: layers are not alike.
    ['gemma-3-1b', ['rtx4090', 'rtx3060-12gb'], 26],
  ])('%s on %j: no cut holds more', (model, gpus, layers) => {
    const of = input(model, gpus);
    const found = solvePartition({ ...of, tp: 1, stages: gpus.length })!;
    expect(found.sizes.reduce((a, b) => a + b, 0)).toBe(layers);
    const best = Math.max(...allDeals(layers, gpus.length, 1).map((sizes) => tokensAt(of, sizes)));
    expect(found.planned.plan.kvCache.tokens).toBe(best);
    expect(found.planned.plan.verdict.fits).toBe(true);
  });

  it('leaves less than a layer between the GPUs of a model that fills them', () => {
    const of = input('qwen2.5-14b', ['rtx4090', 'rtx4060ti-16gb'], { maxModelLen: 8192 });
    const found = solvePartition({ ...of, tp: 1, stages: 2 })!;
    const left = found.planned.ranks.map(({ budget }, i) => budget.availableBytes / found.sizes[i]!);
    // Every stage fits, and moving one layer to the richer one would make it the poorer one.
    expect(Math.min(...left)).toBeGreaterThan(0);
    const [a, b] = found.sizes as [number, number];
    for (const other of [
      [a - 1, b + 1],
      [a + 1, b - 1],
    ])
      expect(tokensAt(of, other)).toBeLessThanOrEqual(found.planned.plan.kvCache.tokens);
    expect(a).toBeGreaterThan(b);
  });

  it('cuts between groups of equal GPUs, too', () => {
    const of = input('qwen3-32b', ['rtx4090', 'rtx4090', 'l40s', 'l40s'], {
      tensorParallelSize: 2,
      pipelineParallelSize: 2,
      maxModelLen: 8192,
    });
    const found = solvePartition({ ...of, tp: 2, stages: 2 })!;
    expect(found.sizes[1]!).toBeGreaterThan(found.sizes[0]!);
    expect(found.planned.plan.kvCache.tokens).toBeGreaterThan(of.planned.plan.kvCache.tokens);
  });
});

describe('stages of different size', () => {
  it('allocate the blocks of their own layers, and have room by them', () => {
    const of = input('llama-3.1-8b', ['rtx4090', 'rtx4060ti-16gb'], {
      pipelineParallelSize: 2,
      env: { VLLM_PP_LAYER_PARTITION: '20,12' },
    });
    const { devices, kvCache, verdict } = of.planned.plan;
    // 8 heads x 128 x 2 (K, V) x 2 bytes x 16 tokens a layer and block.
    const caches = devices.map(({ items }) => items.find(({ id }) => id === 'kv-cache')!.bytes);
    expect(caches).toEqual([20, 12].map((layers) => kvCache.numBlocks * layers * 65536));
    for (const { items, totalBytes } of devices)
      expect(items.reduce((all, { bytes }) => all + bytes, 0)).toBe(totalBytes);
    expect(verdict.headroomBytes > 0).toBe(verdict.fits);
  });
});

describe('unequalWay', () => {
  it('offers the cut with its variable, where it holds more', () => {
    const of = input('qwen3-14b', ['rtx4090', 'rtx4060ti-16gb'], { pipelineParallelSize: 2, maxModelLen: 8192 });
    const way = unequalWay(of)!;
    const partition = way.suggestion.environment!.VLLM_PP_LAYER_PARTITION!;
    expect(
      partition
        .split(',')
        .map(Number)
        .reduce((a, b) => a + b, 0),
    ).toBe(40);
    expect(plan(way.request).plan.kvCache.tokens).toBeGreaterThan(of.planned.plan.kvCache.tokens);
  });

  it('offers a pipeline instead of tensor parallelism, and says what that leaves unused', () => {
    const of = input('qwen3-14b', ['rtx4090', 'rtx4060ti-16gb'], { tensorParallelSize: 2, maxModelLen: 8192 });
    const [a, b] = of.planned.ranks.map(({ budget }) => budget.availableBytes) as [number, number];
    const [note] = tensorParallelNote(of);
    expect(note!.message).toContain(`${((a - b) / 2 ** 30).toFixed(2)} GiB`);
    expect(unequalWay(of)!.suggestion.flags.map(({ flag }) => flag)).toContain('--pipeline-parallel-size');
  });

  it('says nothing of equal GPUs, or of a cut that the user made', () => {
    expect(isUnequal(['rtx4090', 'rtx4090'].map((id) => loadPreset('gpus', id)))).toBe(false);
    expect(unequalWay(input('qwen3-14b', ['rtx4090', 'rtx4090'], { pipelineParallelSize: 2 }))).toBeUndefined();
    const own = { pipelineParallelSize: 2, maxModelLen: 8192, env: { VLLM_PP_LAYER_PARTITION: '26,14' } };
    expect(unequalWay(input('qwen3-14b', ['rtx4090', 'rtx4060ti-16gb'], own))).toBeUndefined();
  });
});

describe('bestShares', () => {
  it('finds the best of all deals by moves alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 61, max: 1000 }), fc.integer({ min: 0, max: 60 })), {
          minLength: 2,
          maxLength: 4,
        }),
        fc.integer({ min: 8, max: 24 }),
        (takers, total) => {
          // What is left for each of its layers once the weights are in: it only falls with the layers, as the rest fits in any case.
          const worth = (shares: readonly number[]) => {
            const rooms = shares.map((n, i) => (takers[i]![0] - takers[i]![1] - 7 * n) / n);
            return { score: Math.floor(Math.min(...rooms)), rooms };
          };
          const memory = takers.map(([size]) => size);
          const { worth: found } = bestShares({
            total,
            start: proportional(total, memory, 1),
            least: 1,
            worth,
            few: 0,
          });
          const best = Math.max(...allDeals(total, takers.length, 1).map((shares) => worth(shares).score));
          expect(found.score).toBe(best);
        },
      ),
      { numRuns: 200, seed: 7 },
    );
  });

  it('deals in proportion to begin with', () => {
    expect(proportional(10, [3, 1], 1)).toEqual([7, 3]);
    expect(proportional(3, [1, 1, 1], 1)).toEqual([1, 1, 1]);
  });
});
