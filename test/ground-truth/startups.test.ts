// What vLLM printed in published start-up logs, against the plan of the same command line: the accuracy that the project
// promises, held as bounds. `npm run accuracy` prints the figures.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type StartupCase, type StartupScore, scoreStartups, statistics } from '../../scripts/lib/startups.ts';
import { planOutputSchema } from '../../src/plan/schema.ts';
import { runPlan } from '../helpers/run.ts';
import { holdStartupBounds } from './startup-bounds.ts';

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

  holdStartupBounds(() => score.judgements);

  it('KV bytes on 0.19 with an H100: median at most 0.02 %, 90th percentile at most 0.3 %', () => {
    const { median, p90 } = of('kv', (c) => c.vllmVersion.startsWith('0.19') && c.gpu === 'h100-sxm');
    expect(median).toBeLessThanOrEqual(0.0002);
    expect(p90).toBeLessThanOrEqual(0.003);
  });
});
