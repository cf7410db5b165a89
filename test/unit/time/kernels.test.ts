// The step-time law against kernels that were timed one by one, part by part: five cards, three models, no fitting but for the card
// that has coefficients of its own.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { emptyWork } from '../../../src/sim/step-work.ts';
import type { StepBreakdown } from '../../../src/sim/time/index.ts';
import type { StepWork } from '../../../src/sim/types.ts';
import { stepTimeOf } from './helpers.ts';

interface Rows {
  gpu: string;
  model: string;
  rows: number[][];
}

interface Kernels {
  gemm: { gpu: string; model: string; tokens: number[]; microseconds: number[] }[];
  decodeAttention: Rows[];
  prefillAttention: Rows[];
  mixedAttention: Rows[];
  experts: Rows[];
}

const kernels = JSON.parse(
  readFileSync(new URL('../../fixtures/measured/kernels.json', import.meta.url), 'utf8'),
) as Kernels;

/** Predicted over timed, of one part of one layer. */
async function ratios(
  { gpu, model }: { gpu: string; model: string },
  part: keyof StepBreakdown,
  cases: readonly { work: Partial<StepWork>; microseconds: number; latency?: number }[],
): Promise<number[]> {
  const { stepTime, layers } = await stepTimeOf(model, gpu, {
    enforceEager: true,
    cudagraphMode: 'NONE',
    captureSizes: [],
  });
  return cases.map(({ work, microseconds, latency = 0 }) => {
    const seconds = stepTime.breakdown({ ...emptyWork(), ...work })[part] as number;
    return ((seconds / layers) * 1e6 + latency) / microseconds;
  });
}

const worst = (values: readonly number[]): number => Math.max(...values.map((ratio) => Math.abs(Math.log(ratio))));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const meanError = (values: readonly number[]): number => mean(values.map((ratio) => Math.abs(ratio - 1)));

/** Half of a layer's latency (time/types.ts layerSeconds) is that of its attention kernel, which the timed kernel includes. */
const attentionLatency = 10;

describe('matrix products of one layer', () => {
  it.each(kernels.gemm)('$gpu, $model', async ({ gpu, model, tokens, microseconds }) => {
    const cases = tokens.map((n, i) => ({ work: { tokens: n, sequences: 1 }, microseconds: microseconds[i]! }));
    const found = await ratios({ gpu, model }, 'dense', cases);
    expect(worst(found)).toBeLessThan(Math.log(1.35));
    expect(meanError(found)).toBeLessThan(0.14);
  });
});

describe('attention of one layer', () => {
  it.each(kernels.decodeAttention)('decode on $gpu, $model', async ({ rows, ...card }) => {
    const cases = rows.map(([n, context, microseconds]) => ({
      work: { tokens: n!, sequences: n!, decodeContext: n! * context! },
      microseconds: microseconds!,
      latency: attentionLatency,
    }));
    const found = await ratios(card, 'attention', cases);
    expect(worst(found)).toBeLessThan(Math.log(1.25));
    expect(meanError(found)).toBeLessThan(0.1);
  });

  it.each(kernels.prefillAttention)('prefill on $gpu, $model', async ({ rows, ...card }) => {
    const cases = rows.map(([chunk, context, microseconds]) => ({
      work: {
        tokens: chunk!,
        sequences: 1,
        prefillTokens: chunk!,
        prefillSequences: 1,
        prefillAttention: chunk! * context! + chunk! ** 2 / 2,
      },
      microseconds: microseconds!,
      latency: attentionLatency,
    }));
    const found = await ratios(card, 'attention', cases);
    expect(worst(found)).toBeLessThan(Math.log(1.5));
    expect(meanError(found)).toBeLessThan(0.16);
  });

  it.each(kernels.mixedAttention)('decode beside prefill on $gpu, $model', async ({ rows, ...card }) => {
    const cases = rows.map(([chunk, n, context, microseconds]) => ({
      work: {
        tokens: chunk! + n!,
        sequences: 1 + n!,
        prefillTokens: chunk!,
        prefillSequences: 1,
        prefillAttention: chunk! ** 2 / 2,
        decodeContext: n! * context!,
      },
      microseconds: microseconds!,
      latency: attentionLatency,
    }));
    expect(meanError(await ratios(card, 'attention', cases))).toBeLessThan(0.16);
  });
});

describe('routed experts of one layer', () => {
  it.each(kernels.experts)('$gpu, $model', async ({ rows, ...card }) => {
    const cases = rows.map(([n, , microseconds]) => ({
      work: { tokens: n!, sequences: 1 },
      microseconds: microseconds!,
    }));
    expect(worst(await ratios(card, 'experts', cases))).toBeLessThan(Math.log(1.1));
  });
});
