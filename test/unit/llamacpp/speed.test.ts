// The speed estimate against published figures: the middle of the errors, how many lie in the range, and what must hold whatever the
// hardware.
import { describe, expect, it } from 'vitest';
import { applyMix } from '../../../src/accounting/gguf-mix/index.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { contextParams } from '../../../src/engines/llamacpp/context.ts';
import { cacheSpecs } from '../../../src/engines/llamacpp/kv.ts';
import { placeModel } from '../../../src/engines/llamacpp/placement.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import {
  distinctShare,
  estimateSpeed,
  type Speed,
  type SpeedEstimate,
  type SpeedInput,
  type SpeedRules,
} from '../../../src/engines/llamacpp/speed.ts';
import { type SpeedWork, workOfLoad } from '../../../src/engines/llamacpp/speed-work.ts';
import { loadLlamaRules, loadPreset } from '../../../src/load/presets.ts';
import { tensorBytes } from '../../../src/spec/ggml-types.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { figures, heldOut, type SpeedFigure } from './speed-figures.ts';

const models = new Map<string, GgufModel>();
function modelOf(id: string, mix: string): GgufModel {
  const key = `${id} ${mix}`;
  let model = models.get(key);
  if (!model) {
    const spec = loadPreset('models', id);
    model = applyMix(toGguf(spec, expandArchitecture(spec))!, mix, { imatrix: true });
    models.set(key, model);
  }
  return model;
}

function inputOf(figure: SpeedFigure): SpeedInput {
  const { model: id, mix, gpus: ids, context = 64, promptTokens = 512, ubatch = 512, options = {} } = figure;
  const model = modelOf(id, mix);
  const hparams = readHparams(model);
  const rules = loadLlamaRules(buildNumber(figure.build ?? 'v0.5.0')!);
  const gpus = ids.map((gpu) => loadPreset('gpus', gpu));
  const ctxSize = Math.max(4096, context, promptTokens);
  const asked = { ctxSize, parallel: 1, gpuLayers: 999, flashAttn: 'on' as const, ubatch, ...options };
  const freeBytes = gpus.map(({ cudaTotalBytes }) => cudaTotalBytes);
  const placement = placeModel({ model, hparams, options: asked, rules, freeBytes });
  const { context: params } = contextParams({ options: asked, hparams, rules, placement });
  const load = { placement, caches: cacheSpecs({ hparams, context: params, placement, rules }) };
  return {
    work: workOfLoad({ model, hparams, load }, context),
    gpus,
    rules: rules.speed as SpeedRules,
    promptTokens,
    ubatch,
    pipeline: gpus.length > 1,
    ...(figure.host ? { hostBandwidthBytesPerSecond: figure.host } : {}),
  };
}

function workOf(figure: SpeedFigure): SpeedWork {
  return inputOf(figure).work;
}

function speedOf(figure: SpeedFigure): Speed {
  return estimateSpeed(inputOf(figure))!;
}

interface Judged {
  error: number;
  inRange: boolean;
  text: string;
}

function judge(kind: 'decode' | 'prefill', of: readonly SpeedFigure[]): Judged[] {
  return of.flatMap((figure) => {
    const observed = figure[kind];
    if (observed === undefined) return [];
    const { tokensPerSecond, low, high, bound } = speedOf(figure)[kind];
    const error = tokensPerSecond / observed - 1;
    const where = `${figure.model} ${figure.mix} ${figure.gpus.join('+') || 'CPU'} ${JSON.stringify(figure.options ?? {})}`;
    return [
      {
        error,
        inRange: low <= observed && observed <= high,
        text: `${where}: ${observed} observed, ${tokensPerSecond.toFixed(1)} (${low.toFixed(1)}..${high.toFixed(1)}, ${bound}), ${(100 * error).toFixed(0)} %`,
      },
    ];
  });
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

describe('published figures', () => {
  it.each([
    ['decode', figures, 40, 0.1, 0.9],
    ['prefill', figures, 30, 0.15, 0.9],
    ['decode', heldOut, 15, 0.15, 0.85],
    ['prefill', heldOut, 10, 0.35, 0.7],
  ] as const)('%s', (kind, of, count, most, least) => {
    const judged = judge(kind, of);
    const middle = median(judged.map(({ error }) => Math.abs(error)));
    const within = judged.filter(({ inRange }) => inRange).length / judged.length;
    const report = [...judged.map(({ text }) => text), `median ${middle}, in range ${within}`].join('\n');
    if (process.env.SHOW) console.log(report);
    expect(judged.length).toBeGreaterThanOrEqual(count);
    expect(middle, report).toBeLessThan(most);
    expect(within, report).toBeGreaterThanOrEqual(least);
  });
});

describe('what must hold', () => {
  const base: SpeedFigure = { model: 'llama-3.1-8b', mix: 'Q4_K_M', gpus: ['rtx3090'], source: '' };
  const decode = (more: Partial<SpeedFigure> = {}): number => speedOf({ ...base, ...more }).decode.tokensPerSecond;

  it('the estimate lies in its range, and its parts make its time', () => {
    for (const figure of figures) {
      for (const { tokensPerSecond, low, high, seconds } of Object.values(pick(speedOf(figure)))) {
        expect(low).toBeLessThanOrEqual(tokensPerSecond);
        expect(tokensPerSecond).toBeLessThanOrEqual(high);
        expect(Math.min(...Object.values(seconds))).toBeGreaterThanOrEqual(0);
      }
    }
  });

  it('more context, fewer layers on the GPU, more bits are slower; faster host memory is faster', () => {
    expect(decode({ context: 32768 })).toBeLessThan(decode({ context: 1024 }));
    expect(decode({ options: { gpuLayers: 20 } })).toBeLessThan(decode({ options: { gpuLayers: 30 } }));
    expect(decode({ mix: 'Q8_0' })).toBeLessThan(decode());
    const half = { options: { gpuLayers: 16 } };
    expect(decode({ ...half, host: 200e9 })).toBeGreaterThan(decode({ ...half, host: 50e9 }));
    expect(decode({ options: { noKvOffload: true } })).toBeLessThan(decode());
  });

  it('the bound is named', () => {
    expect(speedOf(base).decode.bound).toBe('memory');
    expect(speedOf(base).prefill.bound).toBe('compute');
    expect(speedOf({ ...base, options: { gpuLayers: 4 } }).decode.bound).toBe('host');
    expect(speedOf({ ...base, options: { gpuLayers: 4 } }).prefill.bound).toBe('PCIe');
    expect(speedOf({ ...base, gpus: [] }).prefill.bound).toBe('host');
  });

  it('host memory that nobody stated is said to be assumed', () => {
    expect(speedOf({ ...base, options: { gpuLayers: 4 } }).assumptions.join()).toMatch(/DDR5/);
    expect(speedOf(base).assumptions).toEqual([]);
  });

  it('distinct experts of a batch: 8 of 128 for one token, nearly all for 512', () => {
    expect(distinctShare({ count: 128, used: 8 }, 1)).toBeCloseTo(8 / 128, 12);
    expect(distinctShare({ count: 128, used: 8 }, 2)).toBeCloseTo(1 - (120 / 128) ** 2, 12);
    expect(distinctShare({ count: 128, used: 8 }, 512)).toBeGreaterThan(0.999);
    expect(distinctShare({ count: 1, used: 1 }, 1)).toBe(1);
  });

  it('the work counts every weight that a pass reads, once', () => {
    const model = modelOf('llama-3.1-8b', 'Q4_K_M');
    const { places, crossings } = workOf({ ...base });
    const embedding = model.tensors.find(({ name }) => name === 'token_embd.weight')!;
    const all = model.tensors.reduce((sum, { type, ne }) => sum + tensorBytes(type, ne), 0);
    expect(places.reduce((sum, { denseBytes }) => sum + denseBytes, 0)).toBe(
      all - tensorBytes(embedding.type, embedding.ne),
    );
    expect(places.reduce((sum, { cacheBytes }) => sum + cacheBytes, 0)).toBe(64 * 131072);
    expect(crossings).toBe(0);
    expect(workOf({ ...base, options: { gpuLayers: 16 } }).crossings).toBe(1);
    const moe = { ...base, model: 'qwen3-30b-a3b', options: { cpuMoe: true } };
    expect(workOf(moe).crossings).toBe(2 * 48 - 1);
  });

  it('no bandwidth, no estimate', () => {
    const { work, rules } = inputOf(base);
    const gpu = { ...loadPreset('gpus', 'rtx3090'), bandwidthBytesPerSecond: undefined };
    expect(estimateSpeed({ work, rules, gpus: [gpu] })).toBeUndefined();
  });
});

function pick({ decode, prefill }: Speed): Record<string, SpeedEstimate> {
  return { decode, prefill };
}
