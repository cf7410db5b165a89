// `vram compare` as it is run: that its rows are what `plan` says alone, its forms, orders, filters, fronts, groups and differences, and
// what it refuses.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/commands/compare.ts';
import { InputError } from '../../src/diagnostics.ts';
import { loadPresets } from '../../src/load/presets.ts';
import type { CompareOutput, CompareRow } from '../../src/plan/compare/output.ts';
import { compareOutputSchema } from '../../src/plan/compare/schema.ts';
import type { PlanOutput } from '../../src/plan/output.ts';
import { inProcess, type Ran, vramPlan } from '../ground-truth/in-process.ts';

const compare = (...args: string[]): Promise<Ran> => inProcess(run, args);
const answer = async (...args: string[]): Promise<CompareOutput> =>
  JSON.parse((await compare(...args, '--json')).out) as CompareOutput;

async function refusal(...args: string[]): Promise<string> {
  try {
    await compare(...args);
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostics[0]!.code} ${error.message}`;
    throw error;
  }
  return 'not refused';
}

const small = ['-m', 'llama-3.1-8b,qwen3-8b', '-g', 'rtx4090,l40s,t4', '-q', 'none,awq', '--context', '8192'];
const load = [...small, '--concurrency', '4'];

describe('rows are what plan says', () => {
  const random = xoroshiro128plus(20261121);
  const pick = <T>(of: readonly T[]): T => of[uniformInt(random, 0, of.length - 1)]!;
  const models = loadPresets('models').map(({ id }) => id);
  const gpus = loadPresets('gpus').map(({ id }) => id);
  const cases = Array.from({ length: 40 }, () => ({
    model: pick(models),
    gpus: [...new Set(Array.from({ length: 5 }, () => pick(gpus)))],
    scheme: pick(['none', 'fp8', 'awq']),
    tp: pick(['1', '2', '4', '8']),
    load: pick([[], ['--context', '8192', '--concurrency', '16'], ['--context', '2048']]),
  }));

  it('200 sampled combinations, every shared field byte for byte', async () => {
    let rows = 0;
    for (const { model, gpus: some, scheme, tp, load: asked } of cases) {
      const shared = ['-m', model, '-q', scheme, '--tp', tp, ...asked];
      const output = await answer(...shared, '-g', some.join(','));
      expect(output.result.rows).toHaveLength(some.length);
      for (const row of output.result.rows) {
        expectLikePlan(row, await planned([...shared, '-g', row.gpu]));
        rows++;
      }
    }
    expect(rows).toBeGreaterThan(190);
  });

  it('llama.cpp and quantized caches too', async () => {
    for (const shared of [
      ['-m', 'qwen3-8b', '--engine', 'llama.cpp', '-q', 'q4_k_m', '--context', '4096', '--concurrency', '2'],
      ['-m', 'llama-3.1-8b', '--kv-cache-dtype', 'fp8', '--max-model-len', '8192'],
    ]) {
      const output = await answer(...shared, '-g', 'rtx4090,rtx3060');
      for (const row of output.result.rows) expectLikePlan(row, await planned([...shared, '-g', row.gpu]));
    }
  });

  async function planned(args: readonly string[]): Promise<PlanOutput | string> {
    try {
      return JSON.parse((await vramPlan([...args, '--json'])).out) as PlanOutput;
    } catch (error) {
      if (error instanceof InputError) return error.diagnostics[0]!.message;
      throw error;
    }
  }

  function expectLikePlan(row: CompareRow, plan: PlanOutput | string): void {
    if (typeof plan === 'string') {
      expect(row.verdict).toMatchObject({ fits: false, reason: plan });
      return;
    }
    const { verdict, kvCache, workload, devices } = plan.result;
    const same = (mine: unknown, theirs: unknown): void =>
      expect(JSON.stringify(mine), row.id).toBe(JSON.stringify(theirs));
    for (const key of ['fits', 'headroomBytes', 'reason'] as const) same(row.verdict[key], verdict[key]);
    const keys = [
      'bytes',
      'numBlocks',
      'blockSize',
      'bytesPerToken',
      'tokens',
      'maxConcurrency',
      'maxModelLen',
    ] as const;
    for (const key of keys) same((row.kvCache as typeof kvCache)[key], kvCache[key]);
    const loadKeys = ['context', 'concurrency', 'fits', 'maxConcurrencyAtContext', 'maxContextAtConcurrency'] as const;
    for (const key of loadKeys) same((row.workload as NonNullable<typeof workload>)[key], workload?.[key] ?? null);
    const gpusOnly = devices.filter(({ gpu }) => gpu !== 'host');
    const weights = row.weights as { tensorBytes: number; loadedBytes: number };
    same(weights.loadedBytes, Math.max(...gpusOnly.map((device) => device.weights.loadedBytes)));
    same(weights.tensorBytes, Math.max(...gpusOnly.map((device) => device.weights.tensorBytes)));
    same(row.fits, verdict.fits && workload?.fits !== false);
    const { speed, buffers } = plan.result;
    if (speed && !buffers)
      same(
        (row.speed as Record<string, number>).decodeTokensPerSecond,
        Number(speed.decode.tokensPerSecond.toPrecision(4)),
      );
    const { tp, pp, dp, ep } = plan.input.parallel;
    same(row.parallel, { tp, pp, dp, ep });
  }
});

describe('the answer', () => {
  it('is an envelope of its schema, with a row for every combination', async () => {
    const output = await answer(...load);
    expect(compareOutputSchema.safeParse(output).error?.issues ?? []).toEqual([]);
    expect(output.result.rows).toHaveLength(12);
    expect(new Set(output.result.rows.map(({ id }) => id)).size).toBe(12);
    expect(output.result.combinations.planned).toBe(12);
  });

  it('comes in every form, a table of 80 columns', async () => {
    const table = await compare(...load);
    expect(table.code).toBe(0);
    expect(table.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(table.out).toContain('Does not fit');
    expect((await compare(...load, '--format', 'markdown')).out).toMatch(/^\| Model \|/);
    expect((await compare(...load, '--format', 'yaml')).out).toMatch(/^schemaVersion: 1/);
    expect((await compare(...load, '--explain')).out).toContain('price.perMillionOutputTokens');
    expect((await compare(...load, '--format', 'html')).out).toMatch(/^<!doctype html>/);
  });

  it('streams the same CSV that it orders', async () => {
    const streamed = (await compare(...load, '--format', 'csv')).out.split('\r\n');
    const sorted = (await compare(...load, '--format', 'csv', '--sort', 'gpu,model')).out.split('\r\n');
    expect(streamed[0]).toBe(sorted[0]);
    expect([...streamed].sort()).toEqual([...sorted].sort());
    expect(streamed.slice(1, 3)).not.toEqual(sorted.slice(1, 3));
  });

  it('writes a file whole', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'vram-compare-')), 'rows.csv');
    const { code, out } = await compare(...load, '--format', 'csv', '-o', file);
    expect([code, out]).toEqual([0, '']);
    expect(readFileSync(file, 'utf8')).toBe((await compare(...load, '--format', 'csv')).out);
  });

  it('is the same twice', async () => {
    expect((await compare(...load, '--json')).out).toBe((await compare(...load, '--json')).out);
  });

  it('exits with 1 when nothing fits', async () => {
    expect((await compare('-m', 'llama-3.1-70b', '-g', 't4')).code).toBe(1);
  });
});

describe('choosing rows', () => {
  it('filters by columns and their short names', async () => {
    const rows = async (filter: string): Promise<string[]> =>
      (await answer(...load, '--filter', filter)).result.rows.map(({ gpu, quantization }) => `${gpu} ${quantization}`);
    const all = (await answer(...load)).result.rows.filter((row) => row.fits);
    expect(await rows('fits')).toEqual(all.map(({ gpu, quantization }) => `${gpu} ${quantization}`));
    expect(await rows("gpu == 'l40s' && scheme = 'awq'")).toHaveLength(2);
    expect(await rows('gpu in ("l40s", "t4") and not fits')).not.toContain('l40s awq');
    expect(await rows('price > 0 and cost < 0')).toEqual([]);
  });

  it('sorts better first, and turns with a sign', async () => {
    const tokens = async (sort: string): Promise<unknown[]> =>
      (await answer(...load, '--filter', 'fits', '--sort', sort)).result.rows.map(
        ({ kvCache }) => (kvCache as { tokens: number }).tokens,
      );
    const most = (await tokens('tokens')) as number[];
    expect(most).toEqual([...most].sort((a, b) => b - a));
    expect(await tokens('+tokens')).toEqual([...most].reverse());
  });

  it('keeps the Pareto front: no row beats another', async () => {
    const everywhere = ['-m', 'llama-3.1-8b', '-g', 'all', '--context', '8192', '--concurrency', '8'];
    const { rows, pareto } = (await answer(...everywhere, '--pareto', 'cost,concurrency')).result;
    const all = (await answer(...everywhere, '--filter', 'fits and cost > 0')).result.rows;
    const point = (row: CompareRow): [number, number] => [
      (row.price as { perMillionOutputTokens: number }).perMillionOutputTokens,
      (row.workload as { maxConcurrencyAtContext: number }).maxConcurrencyAtContext,
    ];
    const front = all.filter((row) => {
      const [cost, seqs] = point(row);
      return !all.some((other) => {
        const [c, s] = point(other);
        return c <= cost && s >= seqs && (c < cost || s > seqs);
      });
    });
    expect(rows.map(({ id }) => id).sort()).toEqual(front.map(({ id }) => id).sort());
    expect(rows.length).toBeGreaterThan(1);
    expect(pareto!.rows).toEqual(rows.map((_, at) => at));
  });

  it('groups, with the best of each', async () => {
    const { groups, rows } = (await answer(...load, '--group-by', 'gpu', '--top', '1')).result;
    expect(groups!.values.map(({ value }) => value).sort()).toEqual(['l40s', 'rtx4090', 't4']);
    expect(rows).toHaveLength(3);
  });

  it('takes prices, boxes, nodes and globs', async () => {
    const { rows } = (await answer('-m', 'qwen3-8b', '-g', '2x l40s,aws-p5.48xlarge,rtx40?0', '--price', '1.5')).result;
    const tp = (row: CompareRow): number => (row.parallel as { tp: number }).tp;
    // A box is used whole where no layout is asked for.
    expect(rows.map((row) => [row.gpu, row.gpus, tp(row)])).toEqual(
      expect.arrayContaining([
        ['2xl40s', 2, 2],
        ['aws-p5.48xlarge', 8, 8],
        ['rtx4090', 1, 1],
        ['rtx4080', 1, 1],
      ]),
    );
    expect(rows.every(({ price, gpus }) => (price as { perHour: number }).perHour === 1.5 * gpus)).toBe(true);
  });

  it('leaves out schemes that an engine has no checkpoints of, and says so', async () => {
    const output = await answer(
      '-m',
      'qwen3-8b',
      '-g',
      'rtx4090',
      '-q',
      'awq,q4_k_m',
      '--engine',
      'vllm,llama.cpp',
      '-c',
      '4096',
    );
    expect(
      output.result.rows.map(({ engine, quantization }) => `${engine.split('@')[0]} ${quantization}`).sort(),
    ).toEqual(['llama.cpp q4_k_m', 'vllm awq']);
    expect(output.diagnostics.map(({ code }) => code)).toEqual(['VRAM710', 'VRAM710']);
  });
});

describe('differences', () => {
  const releases = ['-m', 'qwen3-32b', '-g', 'h100-sxm', '--engine', 'vllm@0.18,vllm@0.33'];

  it('names the rules that an upgrade moves memory by, one at a time', async () => {
    const { diff, rows } = (await answer(...releases, '--diff')).result;
    const [release] = diff!.releases;
    const [older, newer] = ['vllm@0.18', 'vllm@0.33'].map((engine) => rows.find((row) => row.engine === engine)!);
    expect(release).toMatchObject({ from: '0.18', to: '0.33' });
    expect(release!.tokens).toBe(
      (newer!.kvCache as { tokens: number }).tokens - (older!.kvCache as { tokens: number }).tokens,
    );
    // The default utilization rose from 0.90 to 0.92: by itself 0.02 of the total.
    const rule = release!.rules.find(({ rule: name }) => name === 'defaults.gpuMemoryUtilization');
    expect(rule).toMatchObject({ before: 0.9, after: 0.92, weightsBytes: 0 });
    const total = loadPresets('gpus').find(({ id }) => id === 'h100-sxm')!.cudaTotalBytes;
    expect(Math.abs(rule!.kvCacheBytes - 0.02 * total)).toBeLessThanOrEqual(2);
  });

  it('holds a baseline file against the rows of today, for CI', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'vram-compare-')), 'baseline.json');
    await compare('-m', 'qwen3-8b', '-g', 'l40s', '--engine', 'vllm@0.18', '--json', '-o', file);
    const same = await compare('-m', 'qwen3-8b', '-g', 'l40s', '--engine', 'vllm@0.18', '--diff', file);
    expect(same.code).toBe(0);
    const fewer = [
      '-m',
      'qwen3-8b',
      '-g',
      'l40s',
      '--engine',
      'vllm@0.18',
      '--gpu-memory-utilization',
      '0.8',
      '--diff',
      file,
    ];
    const changed = await compare(...fewer, '--max-change', '2%');
    expect(changed.code).toBe(1);
    expect(changed.err).toContain('worse by more than 2.0 %');
    expect((await compare(...fewer, '--max-change', '90%')).code).toBe(0);
    const other = await compare('-m', 'qwen3-14b', '-g', 'l40s', '--diff', file);
    expect([other.code, other.err]).toEqual([1, expect.stringContaining('the baseline has none of these rows')]);
    writeFileSync(file, '{"command": "plan"}');
    expect(await refusal(...fewer)).toContain('VRAM711');
  });
});

describe('refusals', () => {
  const on = ['-m', 'qwen3-8b', '-g', 'l40s'];
  it.each([
    [['-g', 'l4'], 'VRAM709 no model is given'],
    [['-m', 'qwen3-8b'], 'VRAM709 no gpu is given'],
    [['-m', 'qwen3-8b,', '-g', 'l4'], 'VRAM704'],
    [['-m', '-', '-g', 'l4'], 'VRAM705'],
    [['-m', 'nothing-*', '-g', 'l4'], 'VRAM706'],
    [['-m', 'qwen3-8b', '-g', 'l5'], 'VRAM105'],
    [[...on, '-q', 'fp9'], 'VRAM162'],
    [[...on, '--tp', '0'], 'VRAM142'],
    [[...on, '--tp', '1,x'], 'VRAM141'],
    [[...on, '--engine', 'vlm'], 'VRAM401'],
    [[...on, '--sort', 'beauty'], 'VRAM701'],
    [[...on, '--filter', 'fits and'], 'VRAM702'],
    [[...on, '--filter', 'beauty > 3'], 'VRAM701'],
    [[...on, '--filter', 'constructor > 3'], 'VRAM701'],
    [[...on, '--pareto', 'cost'], 'VRAM703'],
    [[...on, '--pareto', 'cost,gpu'], 'VRAM703'],
    [[...on, '--max-change', 'x', '--diff'], 'VRAM707'],
    [[...on, '--max-change', '2%'], 'VRAM713'],
    [[...on, '--group-by', 'gpu', '--pareto', 'cost,tokens'], 'VRAM713'],
    [[...on, '--price', 'cheap'], 'VRAM178'],
    [[...on, '--format', 'xml'], 'VRAM154'],
    [[...on, '--diff', '/nowhere/at/all.json'], 'VRAM1'],
    [['-m', 'all', '-g', 'all', '--tp', '1,2,4,8', '--pp', '1,2,3,4', '--dp', '1,2,3,4', '-q', 'none,awq'], 'VRAM708'],
  ])('%j: %s', async (args, says) => {
    expect(await refusal(...args)).toContain(says);
  });

  it('a requirement that no row meets fails', async () => {
    const { code, err } = await compare(...on, '--require', 'fits and tokens > 10000000');
    expect([code, err]).toEqual([1, expect.stringContaining('requirement failed: no row meets')]);
    expect((await compare(...on, '--require', 'fits')).code).toBe(0);
  });
});
