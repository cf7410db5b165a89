// --auto-parallel and --placement through the command: nothing is lost between ranked and rejected, every row is what `plan` says of
// that layout alone, the orders are orders, and the command starts the chosen layout.
import { beforeAll, describe, expect, it } from 'vitest';
import type { PlanOutput } from '../../../src/plan/output.ts';
import type { LayoutsPlan } from '../../../src/plan/parallel/types.ts';
import { planOutputSchema } from '../../../src/plan/schema.ts';
import { planJson, vramPlan } from '../../ground-truth/in-process.ts';

const layoutFlags = ({ tp, pp, dp, dcp, ep }: LayoutsPlan['ranked'][number]): string[] => [
  ...['--tp', `${tp}`, '--pp', `${pp}`, '--dp', `${dp}`, '--dcp', `${dcp}`],
  ...(ep ? ['--enable-expert-parallel'] : []),
];

describe('--auto-parallel on eight GPUs', () => {
  const args = ['-m', 'qwen3-235b-a22b', '-g', '8x h100-sxm', '--context', '16384', '--concurrency', '4'];
  let output: PlanOutput;
  let layouts: LayoutsPlan;

  beforeAll(async () => {
    output = await planJson([...args, '--auto-parallel']);
    layouts = output.result.layouts!;
  }, 60_000);

  it('is JSON by the schema, with every layout once', () => {
    planOutputSchema.parse(output);
    const names = [...layouts.ranked, ...layouts.rejected].map(({ layout }) => layout);
    expect(new Set(names).size).toBe(names.length);
    for (const { gpus } of layouts.ranked) expect(gpus).toBeLessThanOrEqual(8);
    for (const name of ['one GPU', 'tp8', 'pp8', 'tp2 pp2 dp2', 'tp4 dp2 ep', 'tp8 dcp2', 'tp3']) {
      expect(names).toContain(name);
    }
  });

  it('has rows that equal the plan of that layout alone', async () => {
    const sample = [layouts.ranked[0]!, layouts.ranked.at(-1)!, layouts.ranked.find(({ dp }) => dp > 1)!];
    for (const row of sample) {
      const { result } = await planJson([...args, ...layoutFlags(row)]);
      expect(result.verdict.fits).toBe(true);
      expect([row.layout, row.kvTokens]).toEqual([row.layout, result.kvCache.tokens * row.dp]);
      expect(row.sequences).toBe(result.workload!.maxConcurrencyAtContext);
    }
  });

  it('orders by each goal, and plans the best by capacity', () => {
    const of = (name: string): LayoutsPlan['ranked'][number] => layouts.ranked.find(({ layout }) => layout === name)!;
    const ascending = (values: readonly number[]): boolean => values.every((v, i) => i === 0 || v >= values[i - 1]!);
    expect(ascending(layouts.byCapacity.map((name) => -of(name).kvTokens))).toBe(true);
    expect(ascending(layouts.byLatency.map((name) => of(name).requestSeconds!))).toBe(true);
    expect(ascending(layouts.byCommunication.map((name) => of(name).communication.bytesPerToken))).toBe(true);
    expect(layouts.chosen).toBe(layouts.byCapacity[0]);
    const best = layouts.ranked[0]!;
    expect(output.input.parallel).toMatchObject({ tp: best.tp, pp: best.pp, dp: best.dp });
    if (best.tp > 1) expect(output.result.command).toContain(`--tensor-parallel-size ${best.tp}`);
    if (best.pp > 1) expect(output.result.command).toContain(`--pipeline-parallel-size ${best.pp}`);
  });

  it('keeps the reason of every other layout: the words of the engine, or what is short', () => {
    const reason = (name: string) => layouts.rejected.find(({ layout }) => layout === name);
    expect(reason('tp3')).toMatchObject({ kind: 'engine', reason: expect.stringContaining('(64) must be divisible') });
    expect(reason('one GPU')).toMatchObject({ kind: 'memory', reason: expect.stringContaining('GiB short') });
    expect(reason('one GPU')!.shortfallBytes).toBeGreaterThan(300 * 2 ** 30);
    expect(reason('tp8 dcp4')).toMatchObject({ kind: 'engine', reason: expect.stringContaining('maximum supported') });
  });

  it('takes another goal, keeps stated sizes, and fits 80 columns', async () => {
    const fast = (await planJson([...args, '--auto-parallel=latency', '--pp', '1'])).result.layouts!;
    expect(fast.chosen).toBe(fast.byLatency[0]);
    expect([...fast.ranked, ...fast.rejected].some(({ layout }) => layout.includes('pp'))).toBe(false);
    const { out } = await vramPlan([...args, '--auto-parallel=communication', '--placement']);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(out).toContain('Layouts on up to 8 GPUs by communication');
    expect(out).toContain('Not possible');
  });
});

describe('recurrent models', () => {
  it.each(['qwen3-next-80b-a3b', 'mamba-130m', 'nemotron-3-nano-4b', 'lfm2-1.2b'])(
    '%s: ranks that cannot share a state are refused in words',
    async (model) => {
      const { result } = await planJson(['-m', model, '-g', '6x h100-sxm', '--auto-parallel']);
      const reasons = result.layouts!.rejected.filter(({ layout }) => layout === 'tp5');
      expect(reasons).toHaveLength(1);
      for (const { kind, reason } of reasons) expect(`${kind} ${reason}`).toMatch(/^engine .*divi/);
      expect(result.layouts!.chosen).not.toBeNull();
    },
  );
});

describe('--placement', () => {
  it('says what a rank of vLLM holds, alike ranks in one line', async () => {
    const args = ['-m', 'llama-3.1-70b', '-g', '8x h100-sxm', '--tp', '4', '--pp', '2', '--placement'];
    const { result } = await planJson(args);
    const ranks = result.placement!.ranks!;
    expect(ranks).toHaveLength(8);
    expect(ranks[5]).toMatchObject({
      stage: 1,
      tensorRank: 1,
      layers: { first: 40, count: 40, of: 80 },
      heads: { first: 16, count: 16, of: 64 },
      kvHeads: { first: 2, count: 2, of: 8, copies: 1 },
      vocabulary: { first: 32_064, count: 32_064, of: 128_256, padding: 0, embedding: false, head: true },
    });
    const { out } = await vramPlan(args);
    expect(out).toContain('GPU 0-3 (each)  layers 0-39 of 80, embedding');
    expect(out).toContain('GPU 4-7 (each)  layers 40-79 of 80, LM head');
  });

  it('names copies of KV heads', async () => {
    const { result } = await planJson(['-m', 'qwen2.5-7b', '-g', '4x l4', '--tp', '4', '--placement']);
    // 28 heads over 4 KV heads: one each.
    expect(result.placement!.ranks!.map(({ kvHeads }) => kvHeads)).toEqual(
      [0, 1, 2, 3].map((first) => ({ first, count: 1, of: 4, copies: 1 })),
    );
    const wide = await planJson(['-m', 'qwen3-30b-a3b', '-g', '8x l4', '--tp', '8', '--placement']);
    expect(wide.result.placement!.ranks!.map(({ kvHeads }) => kvHeads!.first)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });

  it('says which blocks and strays of a GGUF model lie where; bytes by role sum up', async () => {
    const args = ['--engine', 'llama.cpp', '-m', 'qwen3-30b-a3b', '-q', 'q4_k_m', '-g', '2x rtx4090', '-c', '8192'];
    const { result } = await planJson([...args, '-ngl', '99', '--n-cpu-moe', '5', '--placement']);
    const devices = result.placement!.devices!;
    expect(devices.map(({ device }) => device)).toEqual(['gpu0', 'gpu1', 'host']);
    expect(devices[0]!.blocks[0]![0]).toBe(0);
    expect(devices[1]!.blocks[0]).toEqual([devices[0]!.blocks[0]![1] + 1, 47]);
    expect(devices[1]!.output).toBe(true);
    expect(devices[2]!.overrides.map(({ blocks }) => blocks)).toEqual([[[0, 4]], [[0, 4]], [[0, 4]]]);
    for (const { device, bytes, tensorBytes } of devices) {
      expect(Object.values(bytes).reduce((a, b) => a + b, 0)).toBe(tensorBytes);
      const buffer = result.buffersBytes!.model![device];
      // A GPU's buffer pads rows of some types (by less than a thousandth).
      if (buffer !== undefined) expect(buffer / tensorBytes).toBeCloseTo(1, 3);
    }
  });
});

describe('documents', () => {
  it.each(['html', 'markdown'])('carry layouts and placement as %s', async (format) => {
    const args = ['-m', 'qwen3-8b', '-g', '2x l4', '--auto-parallel', '--placement', '--format', format];
    const { out } = await vramPlan(args);
    expect(out).toContain('Layouts on up to 2 GPUs by capacity');
    expect(out).toContain('Placement');
    expect(out).not.toContain('\u001b[');
  });
});
