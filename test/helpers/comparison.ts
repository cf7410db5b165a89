// Made-up comparisons for the page that shows them: as many rows as wanted, with figures that differ, rows that do not fit and rows
// without a price. The figures mean nothing; only their order and their gaps matter.

import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { CompareColumn, CompareOutput, CompareRow } from '../../src/plan/compare/output.ts';

const GiB = 2 ** 30;

function column(key: string, title: string, more: Partial<CompareColumn> = {}): CompareColumn {
  return { key, title, unit: null, better: null, estimate: false, description: `What ${title} says.`, ...more };
}

export const comparisonColumns: CompareColumn[] = [
  column('model', 'model'),
  column('gpu', 'GPU'),
  column('gpus', 'GPUs', { unit: 'count', better: 'less' }),
  column('engine', 'engine'),
  column('quantization', 'scheme'),
  column('parallel.tp', 'TP', { unit: 'count' }),
  column('fits', 'fits', { better: 'more' }),
  column('verdict.headroomBytes', 'headroom', { unit: 'GiB', better: 'more' }),
  column('weights.loadedBytes', 'weights', { unit: 'GiB', better: 'less' }),
  column('kvCache.tokens', 'KV tokens', { unit: 'tokens', better: 'more' }),
  column('workload.maxConcurrencyAtContext', 'sequences', { unit: 'count', better: 'more' }),
  column('price.perHour', 'price', { unit: 'USD/h', better: 'less' }),
  column('price.perMillionOutputTokens', 'output price', { unit: 'USD/M', better: 'less', estimate: true }),
  column('speed.decodeTokensPerSecond', 'decode', { unit: 'tokens/s', better: 'more', estimate: true }),
  column('speed.tpotSeconds', 'time per token', { unit: 's', better: 'less', estimate: true }),
  column('quality.relativeLoss', 'quality loss', { unit: '%', better: 'less' }),
  column('verdict.reason', 'reason'),
];

const gpus = ['rtx4090', 'l40s', 'a100-80gb', 'h100-sxm', 'h200', 'mi300x'];
const models = ['llama-3.1-8b', 'llama-3.1-70b', 'qwen2.5-72b', 'mixtral-8x7b', 'deepseek-r1'];
const schemes = ['none', 'fp8', 'awq', 'gptq'];

export function comparison(count: number, seed = 6): CompareOutput {
  const random = xoroshiro128plus(seed);
  const to = (most: number) => uniformInt(random, 0, most - 1);
  const of = <T>(values: readonly T[]): T => values[to(values.length)]!;
  const rows = Array.from({ length: count }, (_, i) => comparisonRow({ i, to, of }));
  return comparisonOf(rows);
}

export function comparisonOf(rows: CompareRow[]): CompareOutput {
  return {
    schemaVersion: 1,
    tool: { name: 'vram', version: '0.0.0' },
    command: 'compare',
    input: { models, gpus, context: 8192, concurrency: 16 },
    result: {
      combinations: { planned: rows.length, fitting: rows.length, kept: rows.length },
      columns: comparisonColumns,
      rows,
      pareto: null,
    },
    diagnostics: [{ severity: 'note', code: 'VRAM000', message: 'Prices are of no day.' }],
  };
}

interface Dice {
  i: number;
  to: (most: number) => number;
  of: <T>(values: readonly T[]) => T;
}

function comparisonRow({ i, to, of }: Dice): CompareRow {
  const gpu = of(gpus);
  const tp = 2 ** to(4);
  const fits = to(5) > 0;
  const gpuPrice = 30 + 45 * gpus.indexOf(gpu);
  const perHour = gpu === 'mi300x' ? null : (gpuPrice * tp) / 100;
  const sequences = fits ? tp * (gpus.indexOf(gpu) + 1) * (1 + to(60)) : null;
  const decode = fits ? 20 * tp * (1 + to(400)) : null;
  const holds = fits && to(8) > 0;
  return {
    id: `row-${i}`,
    model: of(models),
    gpu,
    gpus: tp,
    engine: of(['vllm@0.21', 'llama.cpp@b9000']),
    quantization: of(schemes),
    parallel: { tp, pp: 1, dp: 1, ep: 1 },
    fits: holds,
    verdict: { fits, headroomBytes: (to(80) - 10) * GiB, reason: fits ? null : `Weights alone exceed ${gpu}.` },
    weights: { loadedBytes: (4 + to(130)) * GiB + to(GiB) },
    kvCache: { tokens: sequences && sequences * 8192 },
    workload: { fits: holds, maxConcurrencyAtContext: sequences },
    price: { perHour, perMillionOutputTokens: perHour && decode && (perHour / 3.6 / decode) * 1000 },
    speed: { decodeTokensPerSecond: decode, tpotSeconds: decode && 16 / decode },
    quality: { relativeLoss: to(300) / 10_000 },
  };
}
