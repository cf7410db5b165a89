// The scenarios of `vram compare --for`: where the assumptions of the well-known decision table hold its advice comes out, and where
// not the tool says so and why. Figures that a reason names must be those of the rows, and orders those of arithmetic done here.
import { describe, expect, it } from 'vitest';
import { run } from '../../../src/commands/compare.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { findScenario } from '../../../src/load/scenario.ts';
import type { CompareOutput } from '../../../src/plan/compare/output.ts';
import type { ScenarioDeployment, ScenarioResult } from '../../../src/plan/compare/scenario-output.ts';
import { compareOutputSchema } from '../../../src/plan/compare/schema.ts';
import type { Plan } from '../../../src/plan/types.ts';
import { inProcess, planJson } from '../../ground-truth/in-process.ts';

async function answerOf(scenario: string, ...options: string[]): Promise<CompareOutput> {
  const ran = await inProcess(run, ['--for', scenario, ...options, '--json']);
  return JSON.parse(ran.out) as CompareOutput;
}

async function recommended(scenario: string, ...options: string[]): Promise<ScenarioResult> {
  return (await answerOf(scenario, ...options)).result.scenario!;
}

interface Row {
  gpus: number;
  quantization: string;
  kvCacheDtype: string;
  engine: string;
  parallel: { tp: number };
  price: { perHour: number; perMillionOutputTokens: number };
  speed: { outputTokensPerSecond: number; ttftSeconds: number; loadedTpotSeconds: number };
  quality: { relativeLoss: number; relation: string };
  workload: { maxConcurrencyAtContext: number; concurrency: number };
  kvCache: { maxConcurrency: number };
}

function rowOf({ row }: ScenarioDeployment): Row {
  return row as unknown as Row;
}

describe('low latency with high accuracy', () => {
  it('is 16 bit with tensor parallelism where no smaller checkpoint is known to keep the quality', async () => {
    const { deployments, holds, because } = await recommended('low-latency', '-m', 'qwen3-32b', '-g', 'h100-sxm');
    const best = rowOf(deployments[0]!);
    expect(best).toMatchObject({ quantization: 'none', quality: { relation: 'none', relativeLoss: 0 } });
    expect(best.parallel.tp).toBeGreaterThan(1);
    expect(holds).toBe(true);
    // Four bits would answer sooner, which is said with the figure that forbids them.
    expect(because.join(' ')).toMatch(/w4a16.* breaks a condition: at most 0\.5 % of quality lost/);
  });

  it('is 8 bit where these are published to lose next to nothing on the very model', async () => {
    const { deployments, holds, because } = await recommended('low-latency', '-m', 'llama-3.1-70b', '-g', 'h100-sxm');
    const best = rowOf(deployments[0]!);
    expect(['w8a8', 'fp8-dynamic']).toContain(best.quantization);
    expect(best.quality.relation).toBe('model');
    expect(best.quality.relativeLoss).toBeLessThanOrEqual(0.005);
    expect(holds).toBe(false);
    expect(because[0]).toMatch(/^8x h100-sxm, 16 bit, tp 8.*the time of an answer/);
    expect(because[1]).toMatch(/published with 0\.1 % of quality lost \(measured on this model\)/);
    for (const deployment of deployments) {
      const { speed } = rowOf(deployment);
      expect(speed.ttftSeconds).toBeLessThanOrEqual(0.45);
      expect(speed.loadedTpotSeconds).toBeLessThanOrEqual(0.04);
    }
  });
});

describe('high throughput at low cost', () => {
  it('is INT4 on vLLM where a model fits on few cheap cards only in 4 bit', async () => {
    const { deployments, holds } = await recommended('throughput', '-m', 'qwen3-32b', '-g', 'rtx4090');
    expect(rowOf(deployments[0]!)).toMatchObject({ quantization: expect.stringMatching(/^(awq|w4a16)$/), gpus: 2 });
    expect(holds).toBe(true);
  });

  it('is 8 bit on Hopper under load: 4-bit weights are computed with in 16 bit', async () => {
    const { deployments, holds, because } = await recommended('throughput', '-m', 'llama-3.1-8b', '-g', 'h100-sxm');
    expect(['w8a8', 'fp8-dynamic']).toContain(rowOf(deployments[0]!).quantization);
    expect(holds).toBe(false);
    expect(because.join(' ')).toMatch(/computes in 8 bit on h100-sxm, 4-bit weights are computed with in 16 bit/);
  });

  it('takes models, GPUs and load from the command line', async () => {
    const options = ['-m', 'qwen3-32b', '-g', 'l40s,h100-sxm', '--concurrency', '32', '--context', '4096'];
    const { deployments, load } = await recommended('throughput', ...options);
    expect(load).toMatchObject({ concurrency: 32, context: 4096, promptTokens: 3277, outputTokens: 819 });
    for (const { row, command } of deployments) {
      expect(['l40s', 'h100-sxm']).toContain(row.gpu);
      expect(command).toMatch(/--max-model-len 4096 --max-num-seqs 32/);
    }
  });
});

describe('one consumer GPU', () => {
  it('is INT4 GGUF on llama.cpp where vLLM has no room beside the weights', async () => {
    const { deployments, holds, because } = await recommended(
      'single consumer GPU',
      '-m',
      'qwen3-32b',
      '-g',
      'rtx4090',
    );
    const [best] = deployments;
    expect(rowOf(best!)).toMatchObject({ quantization: 'q4_k_m', gpus: 1 });
    expect(best!.command).toMatch(/^llama-server --model \S+Q4_K_M\.gguf --ctx-size 16384 --parallel 1/);
    expect(holds).toBe(true);
    expect(because.join(' ')).toMatch(/awq, vllm.*(?:max_model_len|KV cache|memory|GiB)/i);
  });

  it('is vLLM where both fit and its kernels are faster', async () => {
    const { deployments, holds, because } = await recommended('single', '-m', 'llama-3.1-8b', '-g', 'rtx4090');
    expect(rowOf(deployments[0]!).engine).toMatch(/^vllm@/);
    expect(holds).toBe(false);
    expect(because[0]).toMatch(/^1x rtx4090, q4_k_m, llama\.cpp@\S+: 1\.\dx the time of an answer/);
  });

  it('says what is broken where nothing will do', async () => {
    const ran = await inProcess(run, ['--for', 'single', '-g', 'h100-sxm', '-m', 'qwen3-14b', '-q', 'awq']);
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/NO DEPLOYMENT MEETS ALL CONDITIONS\n- 1 of 1 break: a card for consumers/);
  });
});

describe('long context', () => {
  it('is 16 bit with a smaller cache where nothing computes faster than 16 bit', async () => {
    const { deployments, holds } = await recommended('long-context', '-m', 'llama-3.1-8b', '-g', 'a100-80gb');
    expect(rowOf(deployments[0]!)).toMatchObject({ quantization: 'none', kvCacheDtype: expect.stringMatching(/^fp8/) });
    expect(holds).toBe(true);
  });

  it('is FP8 throughout on Hopper, whose tensor cores take it', async () => {
    const { deployments, holds, because } = await recommended('long-context', '-m', 'llama-3.1-8b', '-g', 'h100-sxm');
    expect(rowOf(deployments[0]!)).toMatchObject({ quantization: 'fp8-dynamic' });
    expect(holds).toBe(false);
    expect(because.join(' ')).toMatch(/fp8-dynamic computes prompts at/);
  });
});

describe('many tenants', () => {
  it('need paging where slots of the longest request would not hold them', async () => {
    const { deployments, holds, load } = await recommended('multi-tenant', '-m', 'llama-3.1-8b', '-g', 'h100-sxm');
    const { kvCache, workload } = rowOf(deployments[0]!);
    expect(holds).toBe(true);
    expect(load).toMatchObject({ longest: 16384, concurrency: 128 });
    expect(kvCache.maxConcurrency).toBeLessThan(128);
    expect(workload.maxConcurrencyAtContext).toBeGreaterThanOrEqual(128);
  });

  it('do not where everybody may have a slot of the longest', async () => {
    const few = ['-m', 'llama-3.1-8b', '-g', 'h200-sxm', '--concurrency', '8'];
    const { holds, because } = await recommended('multi-tenant', ...few);
    expect(holds).toBe(false);
    expect(because[0]).toMatch(
      /^slots of the longest request for everybody fit as well \(\d+\.\d slots, 8 asked for\)/,
    );
  });
});

describe('every recommendation', () => {
  it('is ordered by what the scenario says, with the figures of the rows in its reasons', async () => {
    const { deployments, others } = await recommended(
      'throughput',
      '-m',
      'llama-3.1-8b,qwen3-8b',
      '-g',
      'l4,l40s,h100-sxm',
    );
    expect(deployments).toHaveLength(3);
    for (const [at, deployment] of deployments.entries()) {
      const { price, speed } = rowOf(deployment);
      // USD an hour over million tokens an hour; rows carry four digits.
      const cost = (price.perHour * 1e6) / (speed.outputTokensPerSecond * 3600);
      expect(price.perMillionOutputTokens).toBeCloseTo(cost, 3);
      const above = deployments[at - 1];
      if (!above) expect(deployment.losesBecause).toBeNull();
      else {
        const before = rowOf(above).price.perMillionOutputTokens;
        expect(price.perMillionOutputTokens).toBeGreaterThan(before * 0.95);
        const figures = /([\d.]+) against ([\d.]+) USD\/M/.exec(deployment.losesBecause!);
        if (figures)
          expect(Number(figures[1]) / Number(figures[2])).toBeCloseTo(price.perMillionOutputTokens / before, 1);
      }
    }
    // Different in kind: never the same GPU with as many bits.
    const bits: Record<string, number> = { none: 16, w8a8: 8, 'fp8-dynamic': 8, awq: 4, w4a16: 4 };
    const kinds = deployments.map((one) => `${one.row.gpu}/${bits[rowOf(one).quantization]}`);
    expect(new Set(kinds).size).toBe(3);
    expect(others.map(({ model, deployments: best }) => [model, best.length])).toEqual([['qwen3-8b', 1]]);
  });

  it('answers by its schema, and keeps conditions, --filter and --top', async () => {
    const options = ['-m', 'llama-3.1-8b', '-g', 'l4,h100-sxm', '--filter', 'gpu = "l4" and q != "w8a8"', '--top', '1'];
    const output = await answerOf('throughput', ...options);
    expect(compareOutputSchema.safeParse(output).error).toBeUndefined();
    expect(output.result.rows).toHaveLength(1);
    expect(output.result.rows[0]).toMatchObject({ gpu: 'l4', fits: true });
    expect(output.result.rows[0]!.quantization).not.toBe('w8a8');
    expect(rowOf(output.result.scenario!.deployments[0]!).quality.relativeLoss).toBeLessThanOrEqual(0.03);
  });

  it.each([
    ['throughput', 'llama-3.1-8b', 'l4,h100-sxm'],
    ['long-context', 'llama-3.1-8b', '2x a100-80gb'],
    ['single-consumer-gpu', 'qwen3-14b', 'rtx3060-12gb'],
  ])('of %s is what its own vram plan line plans', async (scenario, model, gpus) => {
    const { deployments } = await recommended(scenario, '-m', model, '-g', gpus);
    expect(deployments.length).toBeGreaterThan(0);
    for (const { plan, row, command, fits, flags } of deployments) {
      expect(fits).toBe(true);
      // The words of a shell: quoted ones are one word.
      const words = [...plan.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word!);
      expect(words.slice(0, 2)).toEqual(['vram', 'plan']);
      const { result } = await planJson(words.slice(2));
      const planned = row as unknown as Pick<Plan, 'kvCache' | 'workload'>;
      expect(result.verdict.fits).toBe(true);
      expect(result.kvCache).toMatchObject(planned.kvCache);
      expect(result.workload).toMatchObject(planned.workload!);
      expect(result.command).toBe(command);
      for (const { flag, because } of flags) {
        expect(command).toContain(flag);
        expect(because).not.toBe('');
      }
    }
  });

  it('ranks by --sort where it is given', async () => {
    const { deployments } = await recommended(
      'throughput',
      '-m',
      'llama-3.1-8b',
      '-g',
      'l4,h100-sxm',
      '--sort',
      'throughput',
    );
    const rates = deployments.map((one) => rowOf(one).speed.outputTokensPerSecond);
    expect(rates).toEqual([...rates].sort((a, b) => b - a));
  });

  it('reads as text and as Markdown, in 80 columns and without a name of a file that it was not given', async () => {
    const options = ['--for', 'low latency', '-m', 'llama-3.1-8b', '-g', 'l40s'];
    const text = (await inProcess(run, options)).out;
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^Low latency with high accuracy\n/);
    expect(text).toMatch(
      /The usual advice: 16-bit weights with tensor parallelism\n(?:as the usual table says|not here):/,
    );
    const markdown = (await inProcess(run, [...options, '--format', 'markdown'])).out;
    expect(markdown).toMatch(/\| # \| deployment \|/);
    expect(markdown).not.toMatch(/undefined|NaN|\[object/);
  });
});

describe('scenarios as data', () => {
  it('are found by any of their names, loosely written', () => {
    expect(findScenario('Single Consumer GPU').id).toBe('single-consumer-gpu');
    expect(findScenario('long context (over 32K)').id).toBe('long-context');
    expect(findScenario('high throughput at low cost').id).toBe('throughput');
    expect(findScenario('multi').id).toBe('multi-tenant');
    expect(findScenario('low-latency with high accuracy').id).toBe('low-latency');
    expect(() => findScenario('thruput')).toThrow(/there is no scenario/);
  });

  it('name models, GPUs and schemes that ship, and a source for every limit that is not their own choice', () => {
    const models = new Set(loadPresets('models').map(({ id }) => id));
    const gpus = new Set(loadPresets('gpus').flatMap(({ id, aliases = [] }) => [id, ...aliases]));
    for (const { models: named, gpus: devices, constraints } of loadPresets('scenarios')) {
      expect(named.filter((id) => !models.has(id))).toEqual([]);
      expect(devices.filter((id) => !gpus.has(id))).toEqual([]);
      for (const { expression, source } of constraints)
        if (/loss|ttft|tpot/i.test(expression)) expect(source).toBeTruthy();
    }
  });

  it.each([
    [['--for', 'thruput'], /there is no scenario "thruput"/],
    [['--for', 'throughput', '--pareto', 'cost,tokens'], /--pareto does not go with it/],
    [['--for', 'throughput', '--context', '1k,2k'], /--context takes a whole number/],
  ])('%j is refused', async (args, says) => {
    await expect(inProcess(run, args)).rejects.toThrow(says);
  });
});
