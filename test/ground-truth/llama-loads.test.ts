// What llama.cpp printed in published load logs, against the plan of the same command line, held as bounds. `npm run accuracy` prints
// the figures.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type LlamaLoadCase, type LlamaLoadScore, scoreLoads } from '../../scripts/lib/llama-loads.ts';
import { quantile } from '../../scripts/lib/startups.ts';
import { planOutputSchema } from '../../src/plan/schema.ts';
import { runPlan } from '../helpers/run.ts';

const { cases } = JSON.parse(readFileSync(new URL('./llamacpp-loads.json', import.meta.url), 'utf8')) as {
  cases: LlamaLoadCase[];
};
let score: LlamaLoadScore;

beforeAll(async () => {
  score = await scoreLoads(cases, async (args) => {
    const { exitCode, output, errors } = await runPlan(args.slice(1));
    if (output) planOutputSchema.parse(output);
    return { exitCode, plan: output?.result, message: errors };
  });
}, 120_000);

const errorsOf = (kind: string, host?: boolean): number[] =>
  score.judgements
    .filter((j) => j.kind === kind && (host === undefined || (j.place === 'host') === host))
    .map(({ error }) => Math.abs(error));

describe('published llama.cpp loads', () => {
  it('are all planned', () => expect(score.refused).toEqual([]));

  it('model, KV and recurrent-state buffers: every one within 0.1 %', () => {
    for (const kind of ['model', 'kv', 'rs']) expect(Math.max(...errorsOf(kind)), kind).toBeLessThanOrEqual(0.001);
  });

  it('compute buffers on the GPU: median error at most 0.1 %, 90th percentile at most 10 %', () => {
    const errors = errorsOf('compute', false);
    expect(quantile(errors, 0.5)).toBeLessThanOrEqual(0.001);
    expect(quantile(errors, 0.9)).toBeLessThanOrEqual(0.1);
  });

  it('compute buffers on the host: median error at most 0.1 %', () => {
    expect(quantile(errorsOf('compute', true), 0.5)).toBeLessThanOrEqual(0.001);
  });
});
