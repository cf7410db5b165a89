// What a framework's allocator makes of models that come and go. The figures of the three 8B models are those of PyTorch 2.10.0's own
// allocator (libc10_cuda.so of the wheel, on a CUDA runtime that only counts) for the same 9,000 requests and frees.
import { describe, expect, it } from 'vitest';
import { planVllm } from '../../../src/engines/vllm/plan.ts';
import { allocatedBytes } from '../../../src/engines/vllm/weights/allocator.ts';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { vllmRegistry } from '../../../src/load/flags.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { PlanRequest } from '../../../src/plan/request.ts';
import { type AllocatorModel, type AllocatorView, allocatorView } from '../../../src/plan/sharing/allocator.ts';
import { allocatorModel } from '../../../src/plan/sharing/allocator-model.ts';
import { poolAllocators } from '../../../src/plan/sharing/allocator-pool.ts';
import { defaultSchedule, neededBytes } from '../../../src/plan/sharing/allocator-schedule.ts';
import { allocatorSections } from '../../../src/render/sharing-allocator.ts';
import { createAllocator } from '../../../src/sim/cuda-allocator/index.ts';
import { defaultParallel } from '../../../src/spec/options.ts';
import { GiB, MiB } from '../../../src/units.ts';

const engine = resolveEngineRef('vllm@0.19.0');
const registry = vllmRegistry();
const gpu = loadPresets('gpus').find(({ id }) => id === 'a100-80gb-sxm')!;

function request(model: string): PlanRequest {
  return {
    spec: loadPresets('models').find(({ id }) => id === model)!,
    gpus: [gpu],
    version: engine.version,
    release: engine.release,
    profile: engine.profile,
    options: { ...defaultParallel, maxModelLen: 8192 },
  };
}

function loaded(id: string, kvBytes: number): AllocatorModel {
  return allocatorModel({ id, request: request(id), planned: planVllm(request(id), registry), kvBytes });
}

const trio = ['llama-3.1-8b', 'qwen3-8b', 'mistral-7b-v0.3'];
const by = (views: readonly AllocatorView[], kind: AllocatorView['kind']) => views.find((view) => view.kind === kind)!;

describe('three 8B models on an A100, two at a time', () => {
  const deviceBytes = 78.75 * GiB;
  const viewOf = (kvGib: number) => {
    const models = trio.map((id) => loaded(id, kvGib * GiB));
    return allocatorView({ deviceBytes, models, schedule: defaultSchedule({ models, deviceBytes }) });
  };

  it.each([
    // KV GiB a model, most reserved by either allocator in GiB, refusals of the first
    [2, 45.7578125, 0, 34.634765625],
    [22, 78.6640625, 2, 74.751953125],
    [24, 78.703125, 8, 78.736328125],
  ])('%i GiB of KV cache each: what PyTorch reserves and refuses', (kv, caching, refused, expandable) => {
    const views = viewOf(kv);
    expect(by(views, 'caching').peakReservedBytes / GiB).toBe(caching);
    expect(by(views, 'caching').failures).toHaveLength(refused);
    expect(by(views, 'expandable').peakReservedBytes / GiB).toBe(expandable);
    expect(by(views, 'expandable').failures).toHaveLength(0);
  });

  it('what it refuses was free, in pieces; a buffer of one’s own has it', () => {
    const views = viewOf(22);
    for (const failure of by(views, 'caching').failures) {
      expect(failure.fragmented).toBe(true);
      expect(failure.freeBytes).toBeGreaterThan(failure.wantedBytes);
    }
    expect(by(views, 'manual')).toMatchObject({ failures: [], calls: { deviceAllocations: 1, deviceFrees: 0 } });
    expect(by(views, 'manual').mostScatteredBytes).toBeLessThan(512);
    expect(by(views, 'expandable').mostScatteredBytes).toBeLessThan(by(views, 'caching').mostScatteredBytes / 10);
  });
});

describe('the tensors of a model', () => {
  // "Model loading took 27.39 GiB" for phi-4's 27.31 GiB of tensors: the blocks count, not the tensors.
  it.each(['phi-4', ...trio])('%s takes the blocks that start-ups print', (id) => {
    const { tensors } = loaded(id, 0);
    const allocator = createAllocator('caching', { deviceBytes: 200 * GiB });
    for (const { bytes } of tensors) allocator.allocate(bytes);
    const blocks = allocatedBytes(tensors.map(({ bytes }) => bytes));
    expect(allocator.statistics().allocatedBytes).toBe(blocks);
    if (id === 'phi-4') expect((blocks / GiB).toFixed(2)).toBe('27.39');
  });

  it('has qkv and gate_up in one tensor each, and one KV tensor a layer', () => {
    const { tensors, kvTensors } = loaded('llama-3.1-8b', 4 * GiB);
    const sizes = tensors.map(({ bytes }) => bytes / MiB);
    expect(sizes.filter((mib) => mib === ((4096 + 2 * 1024) * 4096 * 2) / MiB)).toHaveLength(32);
    expect(sizes.filter((mib) => mib === (2 * 14336 * 4096 * 2) / MiB)).toHaveLength(32);
    expect(kvTensors).toEqual(Array.from({ length: 32 }, () => 128 * MiB));
  });
});

describe('events', () => {
  const model = (id: string, mib: number): AllocatorModel => ({
    id,
    tensors: [{ bytes: mib * MiB }],
    kvTensors: [10 * MiB],
    steps: [[4 * MiB]],
  });

  it('a model that is too large is refused without being called fragmented, and what follows leaves it alone', () => {
    const views = allocatorView({
      deviceBytes: 100 * MiB,
      models: [model('a', 60), model('b', 200)],
      schedule: [
        { kind: 'load', model: 'a' },
        { kind: 'load', model: 'b' },
        { kind: 'use', model: 'b' },
        { kind: 'unload', model: 'b' },
        { kind: 'unload', model: 'a' },
      ],
    });
    for (const { failures, moments } of views) {
      expect(failures).toMatchObject([{ event: 1, model: 'b', fragmented: false, bytes: 200 * MiB }]);
      expect(moments.map(({ allocatedBytes }) => allocatedBytes / MiB)).toEqual([70, 70, 70, 70, 0]);
    }
  });

  it('copies that a loader makes on the GPU stay in the cache', () => {
    const staged = { ...model('a', 60), staged: true };
    const schedule = [{ kind: 'load', model: 'a' }] as const;
    const [caching] = allocatorView({ deviceBytes: 200 * MiB, models: [staged], schedule });
    expect(caching!.end.cachedBytes / MiB).toBeGreaterThanOrEqual(60 - 10);
  });

  it('the default schedule keeps within the sum of bytes and loads only what is not there', () => {
    const models = [model('a', 60), model('b', 40), model('c', 30), model('d', 80)];
    const deviceBytes = 160 * MiB;
    const there = new Set<string>();
    for (const { kind, model: id } of defaultSchedule({ models, deviceBytes })) {
      if (kind === 'load') {
        expect(there.has(id)).toBe(false);
        there.add(id);
        expect(neededBytes(models.filter((one) => there.has(one.id)))).toBeLessThanOrEqual(deviceBytes);
        expect(there.size).toBeLessThan(models.length);
      } else if (kind === 'unload') expect(there.delete(id)).toBe(true);
      else expect(there.has(id)).toBe(true);
    }
  });
});

describe('a pool', () => {
  const members = trio.map((id) => ({
    id,
    request: request(id),
    devices: [0],
    minBytes: 0,
    maxBytes: null,
    shared: [],
  }));
  const plan = (one: PlanRequest) => planVllm(one, registry);

  it('says how far each allocator fills the GPU, in 80 columns', () => {
    const gpus = poolAllocators({ gpus: [gpu], members, utilization: 0.95, plan });
    expect(gpus).toHaveLength(1);
    const [caching, expandable, manual] = gpus[0]!.allocators.map(({ usable }) => usable!.share);
    expect(caching).toBeLessThan(expandable!);
    expect(expandable).toBeLessThanOrEqual(manual!);
    expect(manual).toBe(1);
    const text = allocatorSections(gpus, { colour: false, columns: 80 });
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toContain('expandable_segments:True saves');
    expect(text).toContain('REFUSED  caching: ');
  });

  it('has nothing to say of a GPU with one model', () => {
    expect(poolAllocators({ gpus: [gpu], members: members.slice(0, 1), plan })).toEqual([]);
  });
});
