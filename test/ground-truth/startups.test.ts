// What vLLM printed in published start-up logs, against the plan of the same command line: the accuracy that the project
// promises, held as bounds. `npm run accuracy` prints the figures.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type StartupCase, type StartupScore, scoreStartups, statistics } from '../../scripts/lib/startups.ts';
import { planOutputSchema } from '../../src/plan/schema.ts';
import { runPlan } from '../helpers/run.ts';

const { cases } = JSON.parse(readFileSync(new URL('./vllm-startups.json', import.meta.url), 'utf8')) as {
  cases: StartupCase[];
};
let score: StartupScore;

beforeAll(async () => {
  score = await scoreStartups(cases, async (args) => {
    const { exitCode, output, errors } = await runPlan(args.slice(1));
    if (output) planOutputSchema.parse(output);
    return { exitCode, plan: output?.result, message: errors };
  });
}, 300_000);

const of = (quantity: string, filter: (c: StartupCase) => boolean = () => true) =>
  statistics(score.judgements.filter((j) => j.quantity === quantity && filter(j.case)));

describe('published start-ups', () => {
  it('are all planned, with the verdict that the engine came to', () => {
    expect(score.refused).toEqual([]);
    expect(score.wrongVerdicts).toEqual([]);
  });

  it('weights: median error at most 0.05 %, 90th percentile at most 0.5 %', () => {
    const { median, p90 } = of('weights');
    expect(median).toBeLessThanOrEqual(0.0005);
    expect(p90).toBeLessThanOrEqual(0.005);
  });

  it('KV bytes: median error at most 0.15 %, 90th percentile at most 6 %', () => {
    const { median, p90 } = of('kv');
    expect(median).toBeLessThanOrEqual(0.0015);
    expect(p90).toBeLessThanOrEqual(0.06);
  });

  it('KV bytes on 0.19 with an H100: median at most 0.02 %, 90th percentile at most 0.3 %', () => {
    const { median, p90 } = of('kv', (c) => c.vllmVersion.startsWith('0.19') && c.gpu === 'h100-sxm');
    expect(median).toBeLessThanOrEqual(0.0002);
    expect(p90).toBeLessThanOrEqual(0.003);
  });

  it('bytes to tokens: inside what the printed decimals allow, in every case', () => {
    const outside = score.judgements.filter((j) => j.quantity === 'bytesToTokens' && Math.abs(j.error) > j.allowed!);
    expect(outside.map((j) => `${j.case.id}: ${j.predicted} for ${j.observed}`)).toEqual([]);
  });
});
