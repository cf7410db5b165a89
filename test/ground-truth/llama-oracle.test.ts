// What released llama.cpp builds allocate for real-size models, to the byte, and what their -fit decides: the shares of cases that
// agree, as the project promises them. `npm run oracle -- test/ground-truth/llamacpp-oracle.json` names every case that differs.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { quantile } from '../../scripts/lib/startups.ts';
import { judgeLlamaCase, type LlamaCheck, type LlamaVerdict } from '../../scripts/oracle/llama-judge.ts';
import type { LlamaOracleFile } from '../../scripts/oracle/llama-line.ts';
import { computeGroup, meaningful } from '../../scripts/oracle/llama-report.ts';

const { cases } = JSON.parse(
  readFileSync(new URL('./llamacpp-oracle.json', import.meta.url), 'utf8'),
) as LlamaOracleFile;
let verdicts: LlamaVerdict[];

beforeAll(() => {
  verdicts = cases.filter(({ modelSlug }) => modelSlug !== null).map(judgeLlamaCase);
}, 300_000);

const checks = (belongs: (check: LlamaCheck, verdict: LlamaVerdict) => boolean): LlamaCheck[] =>
  verdicts.flatMap((verdict) => verdict.checks.filter((check) => belongs(check, verdict)));
const share = (of: readonly LlamaCheck[]): number => of.filter(({ equal }) => equal).length / of.length;

describe('loads of released llama.cpp builds', () => {
  it('are all planned, and refused where the build refuses', () => {
    expect(verdicts.flatMap((v) => (v.checks.some((c) => c.quantity === 'planned') ? [v.failures[0]] : []))).toEqual(
      [],
    );
    expect(share(checks(({ quantity }) => quantity === 'refused'))).toBe(1);
  });

  it.each(['model gpu', 'kv gpu', 'kv host', 'rs gpu', 'rs host', 'output host'])('%s: equal in 99 %', (quantity) => {
    expect(share(checks((check) => check.quantity === quantity))).toBeGreaterThanOrEqual(0.99);
  });

  it('compute host: equal in 95 %', () => {
    expect(share(checks(({ quantity }) => quantity === 'compute host'))).toBeGreaterThanOrEqual(0.95);
  });

  it.each([
    ['v0.5.0', 0.97],
    ['b10361', 0.97],
    ['b10068', 0.97],
    ['b8390', 0.94],
  ])('compute gpu, full offload to one GPU, %s: equal in %f', (build, least) => {
    const group = checks(
      (check, { case: line }) => check.quantity === 'compute gpu' && computeGroup(line) === `full offload, ${build}`,
    );
    expect(share(group)).toBeGreaterThanOrEqual(least);
  });

  it('compute gpu elsewhere: median error at most 0.5 %, 90th percentile at most 5 %', () => {
    const group = checks(
      (check, { case: line }) =>
        check.quantity === 'compute gpu' && computeGroup(line) === 'elsewhere' && check.observed >= meaningful,
    );
    const errors = group.map(({ predicted, observed }) => Math.abs(predicted / observed - 1));
    expect(quantile(errors, 0.5)).toBeLessThanOrEqual(0.005);
    expect(quantile(errors, 0.9)).toBeLessThanOrEqual(0.05);
  });

  it('-fit: equal in 90 %', () => {
    expect(share(checks(({ quantity }) => quantity === 'fit'))).toBeGreaterThanOrEqual(0.9);
  });
});
