// -ts by memory over unequal GPUs: no other split of a small model leaves the poorest GPU more (all are tried), the layers add up, and the
// context that is promised is planned and fits.
import { describe, expect, it } from 'vitest';
import { resolveLlamaArguments } from '../../../src/commands/plan-llama.ts';
import { totalsOf } from '../../../src/engines/llamacpp/devices.ts';
import { bytesAt } from '../../../src/engines/llamacpp/load.ts';
import { planLlama } from '../../../src/engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../../../src/engines/llamacpp/request.ts';
import type { Io } from '../../../src/io.ts';
import { solveSplit, suggestSplit } from '../../../src/plan/unequal/llama.ts';
import { allDeals } from '../../../src/plan/unequal/shares.ts';
import type { LlamaOptions } from '../../../src/spec/llama-options.ts';

const io = { env: {} } as Io;

async function requestOf(model: string, quantization: string, gpu: string, llama: LlamaOptions): Promise<LlamaRequest> {
  const args = {
    engine: 'llama.cpp',
    model,
    gpu,
    given: { quantization },
    llama,
    require: [],
    matrix: false,
    explain: false,
  };
  const { request, gpus } = await resolveLlamaArguments(args as never, io);
  return { ...request, gpus: gpus! };
}

describe('solveSplit', () => {
  it('is the best of all splits', async () => {
    const request = await requestOf('qwen3-0.6b', 'q8_0', 'rtx3060-12gb,rtx3050-6gb', { ctxSize: 32768 });
    const options: LlamaOptions = { ...request.options, gpuLayers: 'all', fit: false };
    const { split, room } = solveSplit(request, options)!;
    const roomAt = (layers: number[]): number => {
      const { load } = planLlama({ ...request, options: { ...options, tensorSplit: layers } });
      expect(load.placement.layersPerGpu).toEqual(layers);
      return Math.min(
        ...totalsOf(request).map(({ usableBytes }, i) => (usableBytes - bytesAt(load, `gpu${i}`)) / layers[i]!),
      );
    };
    expect(split.reduce((a, b) => a + b, 0)).toBe(29);
    expect(room).toBe(Math.max(...allDeals(29, 2, 1).map(roomAt)));
  });
});

describe('suggestSplit', () => {
  it('promises a context that fits, longer than with the split by free memory', async () => {
    const request = await requestOf('llama-3.3-70b', 'q3_k_m', 'rtx4090,rtx4060ti-16gb', {
      ctxSize: 4096,
      gpuLayers: 'all',
    });
    const planned = planLlama(request, { answers: true });
    const [suggestion] = suggestSplit(request, planned);
    const split = suggestion!.flags
      .find(({ flag }) => flag === '-ts')!
      .value!.split(',')
      .map(Number);
    const [longest, before] = /up to ([\d,]+) tokens instead of ([\d,]+)/
      .exec(suggestion!.effect)!
      .slice(1)
      .map((text) => Number(text.replaceAll(',', ''))) as [number, number];
    const fits = (ctxSize: number, tensorSplit?: number[]): boolean =>
      planLlama({
        ...request,
        options: { ...request.options, ctxSize, gpuLayers: 'all', fit: false, ...(tensorSplit ? { tensorSplit } : {}) },
      }).plan.verdict.fits;
    expect(before).toBe(planned.plan.offload!.largestContext);
    expect(fits(longest, split)).toBe(true);
    expect(fits(longest)).toBe(false);
  });

  it('says nothing of equal GPUs or a split of the user', async () => {
    const equal = await requestOf('qwen3-0.6b', 'q8_0', '2x rtx3060-12gb', { ctxSize: 4096 });
    expect(suggestSplit(equal, planLlama(equal))).toEqual([]);
    const own = await requestOf('qwen3-0.6b', 'q8_0', 'rtx3060-12gb,rtx3050-6gb', {
      ctxSize: 4096,
      tensorSplit: [1, 1],
    });
    expect(suggestSplit(own, planLlama(own))).toEqual([]);
  });
});
