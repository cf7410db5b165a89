// Laws that hold for every model, GPU, release and layout: leaves add up, more memory never holds less, a longer request never
// needs fewer blocks, the shards of a layout never hold less than the whole.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitCommand } from '../../src/engines/vllm/launcher.ts';
import { planVllm } from '../../src/engines/vllm/plan.ts';
import { readReleases } from '../../src/engines/vllm/releases.ts';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { vllmRegistry } from '../../src/load/flags.ts';
import { loadPresets } from '../../src/load/presets.ts';
import type { PlanRequest } from '../../src/plan/request.ts';
import { shellQuote } from '../../src/shell.ts';
import { defaultParallel, type EngineOptions } from '../../src/spec/options.ts';
import { schemeOfCheckpoint } from '../../src/spec/quantization.ts';
import { GiB } from '../../src/units.ts';

const models = loadPresets('models');
const gpus = loadPresets('gpus').filter((gpu) => gpu.vendor === 'nvidia');
const registry = vllmRegistry();

const subject = fc.record({
  spec: fc.constantFrom(...models),
  gpu: fc.constantFrom(...gpus),
  release: fc.constantFrom(...readReleases),
  tp: fc.constantFrom(1, 2, 4, 8),
  utilization: fc.integer({ min: 30, max: 98 }),
  eager: fc.boolean(),
});

function request(
  { spec, gpu, release, tp, utilization, eager }: typeof subject extends fc.Arbitrary<infer T> ? T : never,
  options: Partial<EngineOptions> = {},
): PlanRequest {
  const engine = resolveEngineRef(`vllm@${release}`);
  const scheme = spec.quantization ? schemeOfCheckpoint(spec.quantization) : undefined;
  return {
    spec,
    ...(scheme ? { scheme } : {}),
    gpus: [gpu],
    version: engine.version,
    release: engine.release,
    profile: engine.profile,
    options: {
      ...defaultParallel,
      tensorParallelSize: tp,
      gpuMemoryUtilization: utilization / 100,
      enforceEager: eager,
      ...options,
    },
  };
}

describe('every plan', () => {
  it('has leaves that sum to the total of each GPU, in whole bytes', () => {
    fc.assert(
      fc.property(subject, (s) => {
        for (const device of planVllm(request(s), registry).plan.devices) {
          expect(device.items.reduce((sum, item) => sum + item.bytes, 0)).toBe(device.totalBytes);
          for (const item of device.items) {
            expect(Number.isSafeInteger(item.bytes)).toBe(true);
            expect(item.lowBytes).toBeLessThanOrEqual(item.bytes);
            expect(item.highBytes).toBeGreaterThanOrEqual(item.bytes);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('holds no fewer blocks with more memory for the cache', () => {
    fc.assert(
      fc.property(subject, fc.integer({ min: 1, max: 60 }), (s, size) => {
        const blocks = (bytes: number) =>
          planVllm(request(s, { kvCacheMemoryBytes: bytes }), registry).plan.kvCache.numBlocks;
        expect(blocks((size + 1) * GiB)).toBeGreaterThanOrEqual(blocks(size * GiB));
      }),
      { numRuns: 200 },
    );
  });

  it('admits no more sequences when they are longer', () => {
    fc.assert(
      fc.property(subject, fc.integer({ min: 1, max: 100_000 }), fc.integer({ min: 1, max: 100_000 }), (s, a, b) => {
        const { sequencesAt } = planVllm(request(s, { kvCacheMemoryBytes: 8 * GiB }), registry);
        expect(sequencesAt(Math.max(a, b))).toBeLessThanOrEqual(sequencesAt(Math.min(a, b)));
      }),
      { numRuns: 200 },
    );
  });

  it('keeps at least the whole model on its tensor-parallel ranks together', () => {
    fc.assert(
      fc.property(subject, (s) => {
        const bytes = (tp: 1 | 2 | 4 | 8) => {
          const { plan } = planVllm(request({ ...s, tp }), registry);
          return plan.devices.reduce((sum, device) => sum + device.weights.tensorBytes, 0);
        };
        const split = bytes(s.tp);
        if (split > 0) expect(split).toBeGreaterThanOrEqual(bytes(1) * 0.999);
      }),
      { numRuns: 150 },
    );
  });
});

describe('quoting', () => {
  it('keeps any text one word of a POSIX shell', () => {
    const text = fc.string().filter((value) => !value.includes('\0') && !/[$\n\r]/.test(value) && value !== '');
    fc.assert(
      fc.property(text, (value) => {
        expect(splitCommand(`vllm ${shellQuote(value)}`)).toEqual(['vllm', value]);
      }),
    );
  });
});
