// The bounds that plans are held to against published start-up logs: the same for one GPU and for several.
import { expect, it } from 'vitest';
import { type Judgement, statistics } from '../../scripts/lib/startups.ts';

export function holdStartupBounds(judgements: () => readonly Judgement[]): void {
  const of = (quantity: string) => judgements().filter((judgement) => judgement.quantity === quantity);

  it('weights: median error at most 0.05 %, 90th percentile at most 0.5 %', () => {
    const { median, p90 } = statistics(of('weights'));
    expect(median).toBeLessThanOrEqual(0.0005);
    expect(p90).toBeLessThanOrEqual(0.005);
  });

  it('KV bytes: median error at most 0.15 %, 90th percentile at most 6 %', () => {
    const { median, p90 } = statistics(of('kv'));
    expect(median).toBeLessThanOrEqual(0.0015);
    expect(p90).toBeLessThanOrEqual(0.06);
  });

  it('bytes to tokens: inside what the printed decimals allow, in every case', () => {
    const outside = of('bytesToTokens').filter(({ error, allowed }) => Math.abs(error) > allowed!);
    expect(outside.map((j) => `${j.case.id}: ${j.predicted} for ${j.observed}`)).toEqual([]);
  });
}
