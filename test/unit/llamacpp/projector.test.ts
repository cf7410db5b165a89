// Multimodal projectors against clip.cpp itself: the bytes of its tensors and of the buffers that its warm-up reserves, and against the
// sizes of published files.
import { describe, expect, test } from 'vitest';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { toMmproj } from '../../../src/architecture/gguf/mmproj.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { projectorBuffers } from '../../../src/engines/llamacpp/graph/projector/index.ts';
import { graphRules } from '../../../src/engines/llamacpp/graph/rules.ts';
import { planLlama } from '../../../src/engines/llamacpp/plan.ts';
import { loadProjector } from '../../../src/engines/llamacpp/projector.ts';
import type { LlamaRequest } from '../../../src/engines/llamacpp/request.ts';
import type { LlamaRules } from '../../../src/engines/llamacpp/rules.ts';
import { findPreset, loadLlamaRules } from '../../../src/load/presets.ts';
import { tensorBytes } from '../../../src/spec/ggml-types.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { MiB, sum } from '../../../src/units.ts';
import { projectorFigures } from './projector-figures.ts';

const rulesOf = (build: string): LlamaRules => loadLlamaRules(buildNumber(build)!);
const newest = rulesOf('v0.5.0');

function mmproj(id: string, type: 'f16' | 'bf16' | 'q8_0' = 'f16'): GgufModel {
  const spec = findPreset('models', id)!;
  return toMmproj(spec, expandArchitecture(spec), type)!;
}

const bytesOf = (tensors: GgufModel['tensors']): number => sum(tensors.map(({ type, ne }) => tensorBytes(type, ne)));

/** What clip.cpp loads for pictures: sound has a context of its own, bounds are no tensors. */
const seen = ({ tensors }: GgufModel): GgufModel['tensors'] =>
  tensors.filter(({ name }) => !/^(?:a|mm\.a)\.|put_(?:min|max)$/.test(name));

describe('clip.cpp of v0.5.0', () => {
  test.each(projectorFigures)('$model $type, -fa $flashAttn', ({ model, type, flashAttn, ...figure }) => {
    const projector = mmproj(model, type);
    expect(bytesOf(seen(projector))).toBe(figure.tensorBytes);
    const flash = flashAttn === 'auto';
    const buffers = projectorBuffers({ model: projector, flash, devices: 1, rules: graphRules(newest) });
    expect(buffers).toEqual({ gpu: figure.gpuBytes, host: figure.hostBytes });
  });
});

describe('published files', () => {
  // File sizes in bytes, and what a start-up log of Qwen3.6-27B printed in MiB; the rest of a file is its header.
  test.each([
    ['gemma-3-4b', 'f16', 851_251_104],
    ['llava-1.5-7b', 'f16', 624_434_336],
    ['qwen2.5-vl-7b', 'f16', 1_354_163_040],
  ] as const)('%s %s', (id, type, fileBytes) => {
    const header = fileBytes - bytesOf(mmproj(id, type).tensors);
    expect(header).toBeGreaterThan(0);
    expect(header).toBeLessThan(64 * 1024);
  });

  test('Qwen3.6-27B: 887.99 MiB of model, 248.10 MiB of compute buffer', () => {
    const { modelBytes, computeBytes } = loadProjector(mmproj('qwen3.6-27b', 'bf16'), {}, newest);
    expect(modelBytes / MiB).toBeCloseTo(887.99, 1);
    expect((computeBytes / MiB).toFixed(2)).toBe('248.10');
  });
});

describe('loadProjector', () => {
  test('pictures of a fixed size leave no range', () => {
    const { computeLow, computeBytes, computeHigh, confidence } = loadProjector(mmproj('gemma-3-4b'), {}, newest);
    expect([computeLow, computeHigh, confidence]).toEqual([computeBytes, computeBytes, 'exact']);
  });

  test('larger pictures than the warm-up take more', () => {
    const { computeLow, computeBytes, computeHigh, confidence } = loadProjector(mmproj('qwen2.5-vl-7b'), {}, newest);
    expect(computeLow).toBe(computeBytes);
    expect(computeHigh).toBeGreaterThan(computeBytes * 2);
    expect(confidence).toBe('estimated');
  });

  test('builds whose graphs were not compared are estimates, without flash attention before b8390', () => {
    const [old, recent] = ['b6673', 'b10361'].map((build) => loadProjector(mmproj('gemma-3-4b'), {}, rulesOf(build)));
    expect(old!.computeBytes).toBeGreaterThan(recent!.computeBytes);
    expect([old!.confidence, recent!.confidence]).toEqual(['estimated', 'estimated']);
  });

  test('without offload everything is on the host', () => {
    const { place, hostBytes, computeBytes } = loadProjector(mmproj('gemma-3-4b'), { noMmprojOffload: true }, newest);
    expect([place, hostBytes]).toEqual(['cpu', 0]);
    expect(computeBytes).toBeGreaterThan(0);
  });

  test('sound: 101.19 MiB beside the picture of Gemma 4 E2B', () => {
    const { computeBytes } = loadProjector(mmproj('gemma-4-e2b'), {}, newest);
    const picture = projectorFigures.find(({ model, flashAttn }) => model === 'gemma-4-e2b' && flashAttn === 'auto')!;
    expect((computeBytes - picture.gpuBytes) / MiB).toBeCloseTo(101.19, 2);
  });

  test('an unknown kind of projector is an estimate', () => {
    const model = mmproj('gemma-3-4b');
    const unknown = { ...model, metadata: { ...model.metadata, projector_type: 'novel' } };
    const { computeBytes, computeLow, computeHigh, confidence } = loadProjector(unknown, {}, newest);
    expect(confidence).toBe('estimated');
    expect(computeLow).toBeLessThan(121.25 * MiB);
    expect(computeHigh).toBeGreaterThan(121.25 * MiB);
    expect(computeBytes).toBeGreaterThan(0);
  });
});

test('models without towers and towers that no converter knows have no projector', () => {
  for (const id of ['llama-3.1-8b', 'molmo-7b-d', 'phi-3.5-vision', 'llama-3.2-11b-vision']) {
    const spec = findPreset('models', id)!;
    expect(toMmproj(spec, expandArchitecture(spec))).toBeUndefined();
  }
});

test('q8_0 leaves rows that are no multiple of 32 in 16 bits', () => {
  const types = new Set(mmproj('gemma-3-4b', 'q8_0').tensors.map(({ type }) => type));
  expect([...types].sort()).toEqual(['f16', 'f32', 'q8_0']);
});

describe('a plan', () => {
  const spec = findPreset('models', 'gemma-3-4b')!;
  const request = (options: LlamaRequest['options'], more: Partial<LlamaRequest> = {}): LlamaRequest => ({
    spec,
    model: plain,
    scheme: 'f16',
    gpus: [findPreset('gpus', 'rtx3060')!],
    version: 'v0.5.0',
    build: buildNumber('v0.5.0')!,
    rules: newest,
    options,
    ...more,
  });
  const plain = tiny();
  const projector = mmproj('gemma-3-4b');
  const gpuItem = (planned: ReturnType<typeof planLlama>) =>
    planned.plan.devices[0]!.items.find(({ id }) => id === 'projector')?.bytes;

  test('counts it on the first GPU, in the headroom and in what fits', () => {
    const options = { ctxSize: 8192, gpuLayers: 99, parallel: 1 } as const;
    const without = planLlama(request(options), { answers: true });
    const planned = planLlama(request(options, { projector }), { answers: true });
    const { modelBytes, computeBytes } = loadProjector(projector, {}, newest);
    expect(planned.plan.projector).toEqual({
      modelBytes,
      computeBytes,
      largestBytes: computeBytes,
      place: 'gpu0',
    });
    expect(gpuItem(planned)).toBe(modelBytes + computeBytes);
    expect(without.plan.verdict.headroomBytes - planned.plan.verdict.headroomBytes).toBe(modelBytes + computeBytes);
    expect(planned.plan.buffersBytes).toEqual(without.plan.buffersBytes);
    const most = (p: typeof planned) => p.plan.offload!.largestContext!;
    expect(most(planned)).toBeLessThanOrEqual(most(without));
  });

  test('widens the margin of -fit where the build adds it, and leaves it alone before', () => {
    const gpus = [{ ...findPreset('gpus', 'rtx3060')!, cudaTotalBytes: 5 * 1024 * MiB }];
    const options = { parallel: 1 } as const;
    const fitted = (build: string, also: Partial<LlamaRequest> = {}) =>
      planLlama(request(options, { gpus, build: buildNumber(build)!, rules: rulesOf(build), ...also })).plan.fit!;
    const [alone, beside] = [fitted('b10361'), fitted('b10361', { projector })];
    expect(beside.nCtx).toBeLessThan(alone.nCtx);
    const { nCtx } = fitted('b8390', { projector });
    expect(nCtx).toBe(fitted('b8390').nCtx);
  });
});

/** Llama 3.2 1B in 16 bits: long contexts take memory. */
function tiny(): GgufModel {
  const llama = findPreset('models', 'llama-3.2-1b')!;
  return toGguf(llama, expandArchitecture(llama))!;
}
