// What fits at most, on loads of Llama-3.1-8B Q4_K_M measured in v0.5.0 (one GPU, -c 32768): all 33 layers take 9,059,174,784 bytes;
// with layers on the CPU the compute buffer is 260,049,152 bytes because weights are copied through it.
import { describe, expect, it } from 'vitest';
import { expertsOnCpu, largestContext, type MemoryPerGpu, mostLayers } from '../../../src/engines/llamacpp/capacity.ts';

const model = 4_617_396_480;
const [fullCompute, partialCompute] = [146_811_008, 260_049_152];
const block = 3_816_218_880 - 3_677_282_560;

const dense: MemoryPerGpu = ({ gpuLayers, ctxSize = 32_768 }) => {
  const layers = gpuLayers === 'all' || gpuLayers === undefined ? 33 : Number(gpuLayers);
  const cache = 4096 * ctxSize * Math.min(Math.max(layers - 1, 0), 32);
  if (layers === 33) return [model + cache + fullCompute];
  return [(layers > 0 ? 3_816_218_880 - (27 - layers) * block : 0) + cache + partialCompute];
};

describe('largest context', () => {
  it('is a multiple of 256, and one step more does not fit', () => {
    const free = 8192 * 2 ** 20;
    const found = largestContext({ options: {}, freeBytes: [free], memory: dense }, 131_072)!;
    expect(found.value).toBe(Math.floor((free - model - fullCompute) / 131_072 / 256) * 256);
    expect(found.options.ctxSize).toBe(found.value);
  });

  it('is no longer than asked, and a multiple per stream', () => {
    const input = { options: {}, freeBytes: [1e12], memory: dense };
    expect(largestContext(input, 131_072)?.value).toBe(131_072);
    expect(largestContext(input, 131_071, 4)?.value).toBe(131_071 - (131_071 % 1024));
    expect(largestContext({ ...input, freeBytes: [1e9] }, 131_072)).toBeUndefined();
  });
});

describe('most layers', () => {
  it('takes 26 of 33 at 8 GiB less 1 GiB, as -fit does', () => {
    const input = { options: { ctxSize: 32_768 }, freeBytes: [7168 * 2 ** 20], memory: dense };
    expect(mostLayers(input, 32)).toMatchObject({ value: 26, options: { gpuLayers: 26 } });
  });

  it('takes all of them where one less would not fit', () => {
    const tight: MemoryPerGpu = ({ gpuLayers }) => [gpuLayers === 33 ? 100 : Number(gpuLayers) * 4];
    expect(mostLayers({ options: {}, freeBytes: [100], memory: tight }, 32)?.value).toBe(33);
    expect(mostLayers({ options: {}, freeBytes: [99], memory: tight }, 32)?.value).toBe(24);
  });
});

describe('experts on the CPU', () => {
  // GLM-4.5-Air by shape: 46 blocks, the first without experts.
  const moe: MemoryPerGpu = ({ cpuMoeLayers = 0 }) => [4000 + (45 - Math.max(cpuMoeLayers - 1, 0)) * 1000];

  it('is the smallest number that fits', () => {
    const smallest = (free: number) => expertsOnCpu({ options: {}, freeBytes: [free], memory: moe }, 46)?.value;
    expect([49_000, 48_999, 24_000, 4000, 3999].map(smallest)).toEqual([0, 2, 26, 46, undefined]);
  });

  it('passes over what the build refuses', () => {
    expect(expertsOnCpu({ options: {}, freeBytes: [1], memory: () => undefined }, 46)).toBeUndefined();
  });
});
