// What models that share a GPU get: static slices against `vram plan` of each engine by itself and against arithmetic from published
// sizes, pools against laws that hold for any of them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openPool, poolInput, poolPolicies } from '../../../src/commands/pool-open.ts';
import { meanLoad, poolWorkloads } from '../../../src/commands/pool-workloads.ts';
import { quietIo } from '../../../src/io.ts';
import { resolvePool } from '../../../src/load/pool.ts';
import { planPool } from '../../../src/plan/sharing/budget.ts';
import type { PoolPlan, SharedBudget } from '../../../src/plan/sharing/types.ts';
import { runPlan } from '../../helpers/run.ts';

async function planned(text: string): Promise<PoolPlan> {
  const io = quietIo();
  const pool = await openPool(await resolvePool('-', { stdin: () => text }), io);
  return planPool(poolInput(pool), await poolPolicies(pool.spec, true)).plan;
}

function of({ policies }: PoolPlan, id: string): SharedBudget {
  return policies.find(({ policy }) => policy === id)!;
}

const three = `gpu: a100-80gb
models:
  - { id: llama, model: llama-3.1-8b, options: { max-model-len: 16384 } }
  - { id: qwen, model: qwen3-8b, options: { max-model-len: 16384 } }
  - { id: mistral, model: mistral-7b-v0.3, options: { max-model-len: 16384 } }
`;
const refs = ['llama-3.1-8b', 'qwen3-8b', 'mistral-7b-v0.3'];

/** torch's total of an A100-SXM4-80GB, 79.25 GiB (start-up logs). */
const total = 85_092_990_976;

describe('three 7-8B models on an A100-80GB, static', () => {
  it.each(['static', 'static-weights'])(
    '%s: each engine prints what vram plan says of it, to the byte',
    async (policy) => {
      const { models, gpus } = of(await planned(three), policy);
      for (const [i, model] of models.entries()) {
        const free = model.freeMemoryBytes ? ['--free-memory', String(model.freeMemoryBytes[0])] : [];
        const words = ['-m', refs[i]!, '-g', 'a100-80gb', '--max-model-len', '16384', '--json'];
        const { output } = await runPlan([...words, '--gpu-memory-utilization', String(model.utilization), ...free]);
        const { devices, kvCache, verdict } = output!.result;
        const bytesOf = (...ids: string[]): number =>
          devices[0]!.items.filter(({ id }) => ids.includes(id)).reduce((sum, { bytes }) => sum + bytes, 0);
        expect(verdict.fits).toBe(true);
        expect(model).toMatchObject({
          fits: true,
          weightsBytes: bytesOf('weights', 'lora'),
          kvCacheBytes: bytesOf('kv-cache'),
          numBlocks: kvCache.numBlocks,
          kvTokens: kvCache.tokens,
          maxConcurrency: kvCache.maxConcurrency,
        });
        // Only what is nobody's is left out.
        const own = model.weightsBytes + model.contextBytes + model.activationBytes + model.kvCacheBytes;
        expect(own).toBe(devices[0]!.totalBytes - bytesOf('free'));
        expect(gpus[0]!.totalBytes).toBe(devices[0]!.totalBytes);
      }
    },
  );

  it('comes out by hand: 0.92 / 3 of the GPU, published parameters, K and V of every layer', async () => {
    // Parameters of the model cards; layers, KV heads, head size of the config.json files.
    const facts = [
      { parameters: 8_030_261_248, perToken: 2 * 32 * 8 * 128 * 2 },
      { parameters: 8_190_735_360, perToken: 2 * 36 * 8 * 128 * 2 },
      { parameters: 7_248_023_552, perToken: 2 * 32 * 8 * 128 * 2 },
    ];
    const { models } = of(await planned(three), 'static');
    let held = 0;
    models.forEach((model, i) => {
      const { parameters, perToken } = facts[i]!;
      expect(model.utilization).toBe(0.3066);
      // 16 bit; torch hands memory out in blocks, so that a little more is taken.
      expect(model.weightsBytes).toBeGreaterThanOrEqual(2 * parameters);
      expect(model.weightsBytes).toBeLessThan(2 * parameters + 50 * 2 ** 20);
      const outside = model.items.find(({ id }) => id === 'context')!.bytes;
      const charged = model.weightsBytes + model.contextBytes - outside + model.activationBytes;
      const blocks = Math.floor((Math.ceil(total * 0.3066) - charged) / (16 * perToken));
      expect(model.numBlocks).toBe(blocks);
      expect(model.kvTokens).toBe(16 * blocks);
      expect(model.kvCacheBytes).toBe(16 * blocks * perToken);
      expect(model.freeMemoryBytes).toEqual(i === 0 ? null : [total - held - outside]);
      held += charged + outside + model.kvCacheBytes;
    });
  });

  it('0.31 each starts, as kvcached is published against (bench_latency_benefit/bench-config.yaml); 0.33 each does not', async () => {
    const same = (utilization: number): string => `gpu: a100-80gb
models:
${['a', 'b', 'c'].map((id) => `  - { id: ${id}, model: llama-3.1-8b, options: { max-model-len: 16384, gpu-memory-utilization: ${utilization} } }`).join('\n')}
`;
    expect(of(await planned(same(0.31)), 'static')).toMatchObject({ fits: true, reason: null });
    const refused = of(await planned(same(0.333)), 'static');
    expect(refused).toMatchObject({
      fits: false,
      reason: 'c: less memory is free on GPU 0 than the utilization asks for',
    });
    expect(refused.models.map(({ fits }) => fits)).toEqual([true, true, false]);
    expect(refused.shortfallBytes).toBeGreaterThan(0);
  });
});

describe('one pool under three engines', () => {
  it('a page id of 36 layers is 144 MiB (kvcached), and holds whole blocks', async () => {
    const { models } = of(await planned(three), 'kvcached');
    expect(models[1]!.page).toEqual({
      bytes: 144 * 2 ** 20,
      pageBytes: 2 ** 21,
      tensors: 72,
      blocks: 64,
      tokens: 1024,
    });
    expect(models[0]!.page).toMatchObject({ bytes: 128 * 2 ** 20, tensors: 64, blocks: 64 });
    // 5 page ids are reserved for each.
    expect(models[1]!.kvCacheBytes).toBe(5 * 144 * 2 ** 20);
    for (const { mostKvBytes, page } of models) expect(mostKvBytes % page!.bytes).toBe(0);
  });

  it('holds what the slices hold together, and one model alone most of it', async () => {
    const plan = await planned(three);
    const slices = of(plan, 'static');
    const pool = of(plan, 'oracle');
    // Rounding to four decimals and to blocks costs the slices a few MiB each.
    expect(pool.kvBytes).toBeGreaterThanOrEqual(slices.kvBytes);
    expect(pool.kvBytes - slices.kvBytes).toBeLessThan(3 * (total / 1e4 + 3 * 2 ** 20));
    for (const { factor } of pool.adds!.models) expect(factor).toBeGreaterThan(2);
    expect(pool.models[0]!.mostKvBytes).toBeLessThanOrEqual(pool.kvBytes);
    // kvcached may use 95 % of the GPU, contexts included.
    const kvcached = of(plan, 'kvcached');
    const own = kvcached.models.reduce((sum, m) => sum + m.weightsBytes + m.contextBytes + m.activationBytes, 0);
    expect(own + kvcached.kvBytes).toBe(Math.floor(total * 0.95));
  });

  it('says by how much the models are too large', async () => {
    const small = await planned(three.replace('a100-80gb', 'a100-40gb'));
    for (const budget of small.policies) expect(budget.fits).toBe(false);
    const { reason, shortfallBytes, models, sharedBytes } = of(small, 'kvcached');
    expect(reason).toMatch(/^weights, contexts, activations of 3 models need \d+\.\d\d GiB more than GPU 0 has/);
    const own = models.reduce((sum, m) => sum + m.weightsBytes + m.contextBytes + m.activationBytes, 0);
    const kept = models.reduce((sum, m) => sum + 5 * m.page!.bytes, 0);
    const gpu = of(small, 'kvcached').gpus[0]!.totalBytes;
    expect(shortfallBytes).toBe(own + kept - Math.floor(gpu * 0.95));
    expect(sharedBytes).toBe(0);
  });
});

describe('weights in common and adapters', () => {
  it('count once in a pool, and for each process in slices', async () => {
    const common = await planned(`gpu: a100-80gb
models:
  - { id: a, model: llama-3.1-8b, options: { max-model-len: 8192 } }
  - { id: b, model: llama-3.1-8b, options: { max-model-len: 8192 }, shares: a }
  - { id: c, model: llama-3.1-8b, options: { max-model-len: 8192 }, shares: a }
`);
    const weights = (id: string): number[] => of(common, id).models.map(({ weightsBytes }) => weightsBytes);
    const [first] = weights('oracle');
    expect(weights('oracle')).toEqual([first, 0, 0]);
    expect(weights('static')).toEqual([first, first, first]);
    expect(common.common).toEqual([{ holder: 'a', models: ['a', 'b', 'c'], part: null, savedBytes: 2 * first! }]);
  });

  it('a part may be in common: one vision encoder under two models', async () => {
    const vision = await planned(`gpu: a100-80gb
models:
  - { id: a, model: qwen2.5-vl-7b, options: { max-model-len: 8192 }, shares: { with: eyes, part: vision } }
  - { id: b, model: qwen2.5-vl-7b, options: { max-model-len: 8192 }, shares: { with: eyes, part: vision } }
`);
    const [a, b] = of(vision, 'kvcached').models;
    expect(vision.common).toMatchObject([{ holder: 'a', models: ['a', 'b'], part: 'vision' }]);
    expect(a!.weightsBytes - b!.weightsBytes).toBe(vision.common[0]!.savedBytes);
    expect(vision.common[0]!.savedBytes).toBeGreaterThan(2 ** 30);
  });

  it('adapters are slots of their engine, as vllm serve --enable-lora has them', async () => {
    const plan = await planned(
      'gpu: a100-80gb\nmodels: [{ id: a, model: llama-3.1-8b, lora: 4 adapters, options: { max-lora-rank: 32 } }]',
    );
    const words = '-m llama-3.1-8b -g a100-80gb --enable-lora --max-loras 4 --max-lora-rank 32 --json';
    const { output } = await runPlan(words.split(' '));
    const slots = output!.result.devices[0]!.items.find(({ id }) => id === 'lora')!.bytes;
    expect(plan.adapters).toEqual([{ id: 'a', adapters: 4, bytes: slots }]);
    expect(slots).toBeGreaterThan(0);
  });
});

describe('laws', () => {
  const models = [
    'llama-3.1-8b',
    'qwen3-8b',
    'mistral-7b-v0.3',
    'gemma-3-4b',
    'qwen3-0.6b',
    'opt-1.3b',
    'gpt-oss-20b',
    'deepseek-v2-lite',
  ];
  const pools = fc.record({
    gpu: fc.constantFrom('a100-80gb', '2x l40s', 'h100-sxm', 'rtx4090', '2x a100-40gb'),
    utilization: fc.option(fc.integer({ min: 3, max: 10 }).map((tenths) => tenths / 10)),
    models: fc.array(
      fc.record({
        model: fc.constantFrom(...models),
        tp: fc.constantFrom(1, 1, 1, 2),
        min: fc.constantFrom('0', '1GiB', '3GiB'),
        max: fc.constantFrom(undefined, undefined, '4GiB', '20GiB'),
      }),
      { minLength: 1, maxLength: 4 },
    ),
  });

  it('nothing is given twice: processes, kept and shared stay within every GPU', async () => {
    let fitting = 0;
    await fc.assert(
      fc.asyncProperty(pools, async ({ gpu, utilization, models: chosen }) => {
        const lines = chosen.map(
          ({ model, tp, min, max }, i) =>
            `  - { id: m${i}, model: ${model}, options: { max-model-len: 2048, tp: ${gpu.startsWith('2x') ? tp : 1} }, minMemory: ${min}${max ? `, maxMemory: ${max}` : ''} }`,
        );
        const stated = utilization === null ? '' : `gpuMemoryUtilization: ${utilization}\n`;
        const { policies } = await planned(`gpu: ${gpu}\n${stated}models:\n${lines.join('\n')}\n`);
        for (const { fits, gpus, models: each, sharedBytes, kind, reason } of policies) {
          expect(fits).toBe(reason === null);
          if (!fits) continue;
          fitting++;
          for (const one of gpus) {
            const used = one.usedBytes.reduce(
              (sum, m) => sum + m.weightsBytes + m.contextBytes + m.activationBytes + m.kvCacheBytes,
              0,
            );
            expect(used + one.sharedBytes + one.freeBytes).toBe(one.totalBytes);
            expect(one.freeBytes).toBeGreaterThanOrEqual(0);
          }
          const all = each.reduce(
            (sum, m) => sum + m.weightsBytes + m.contextBytes + m.activationBytes + m.kvCacheBytes,
            0,
          );
          expect(all + sharedBytes).toBeLessThanOrEqual(gpus.reduce((sum, { totalBytes }) => sum + totalBytes, 0));
          each.forEach((m, i) => {
            const { min, max } = chosen[i]!;
            expect(m.kvCacheBytes).toBeLessThanOrEqual(m.mostKvBytes);
            expect(m.mostKvBytes).toBeLessThanOrEqual(m.kvCacheBytes + sharedBytes);
            if (kind === 'static') expect(m.kvCacheBytes).toBe(m.mostKvBytes);
            expect(m.kvCacheBytes).toBeGreaterThanOrEqual(Number.parseInt(min, 10) * 2 ** 30);
            if (max) expect(m.mostKvBytes).toBeLessThanOrEqual(Number.parseInt(max, 10) * 2 ** 30);
            expect(m.guaranteedTokens).toBeLessThanOrEqual(m.kvTokens);
          });
        }
      }),
      { numRuns: 40, seed: 7 },
    );
    expect(fitting).toBeGreaterThan(50);
  });

  it('shares of a static split add up to the total, and never above', async () => {
    for (const total of [0.5, 0.9, 0.95]) {
      const plan = await planned(`gpuMemoryUtilization: ${total}\n${three}`);
      for (const id of ['static', 'static-weights', 'static-load']) {
        const sum = of(plan, id).models.reduce((all, { utilization }) => all + utilization!, 0);
        expect(sum).toBeLessThanOrEqual(total + 1e-12);
        expect(sum).toBeGreaterThan(total - 3e-4);
      }
    }
  });
});

describe('a split by mean load', () => {
  const loaded = (second: string): string => `gpu: a100-80gb
policy: static-load
models:
  - { id: a, model: llama-3.1-8b, options: { max-model-len: 8192 }, workload: { ref: "poisson:rate=2,input=1000,output=200,requests=100" } }
  - { id: b, model: llama-3.1-8b, options: { max-model-len: 8192 }, workload: { ref: "${second}" } }
`;

  async function slices(second: string): Promise<number[]> {
    const io = quietIo();
    const spec = await resolvePool('-', { stdin: () => loaded(second) });
    const pool = await openPool(spec, io);
    const loads = (await poolWorkloads(spec, io)).map(meanLoad);
    const { plan } = planPool(poolInput(pool, loads), await poolPolicies(spec, false));
    return plan.policies[0]!.models.map(({ kvCacheBytes }) => kvCacheBytes);
  }

  it('equal loads get equal slices, four times the rate four times what is above the least', async () => {
    const [a, b] = await slices('poisson:rate=2,input=1000,output=200,requests=100');
    expect(Math.abs(a! - b!)).toBeLessThan(total / 1e4);
    const [less, more] = await slices('poisson:rate=8,input=1000,output=200,requests=100');
    // The least: one sequence of 8,192 tokens and the null block; the observed rates are those of the seeds.
    const least = 513 * 2 ** 21;
    expect((more! - least) / (less! - least)).toBeGreaterThan(3);
    expect((more! - least) / (less! - least)).toBeLessThan(5.5);
    expect(Math.abs(less! + more! - a! - b!)).toBeLessThan(2 * (total / 1e4));
  });
});
