// The estimated peak against its definition, request by request, and one case by hand.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PeakEstimate, type TokenNeed } from '../../../src/sim/token-granular/admission.ts';

function peakOf(needs: readonly TokenNeed[]): number {
  const estimate = new PeakEstimate();
  for (const need of needs) estimate.add(need);
  return estimate.peak();
}

describe('the estimated peak', () => {
  it('is reached when the first of two ends, or the second', () => {
    // When the short one ends, both have grown by 2: 10 + 4 + 2 x 2 = 18; when the long one ends, it alone holds 10 + 20 = 30.
    const needs = [
      { present: 4, left: 2 },
      { present: 10, left: 20 },
    ];
    expect(peakOf(needs)).toBe(30);
    expect(peakOf([...needs, { present: 100, left: 2 }])).toBe(120);
    expect(peakOf([])).toBe(0);
  });

  it('is the most that is held at any end', () => {
    const need = fc.record({ present: fc.integer({ min: 1, max: 1000 }), left: fc.nat(50) });
    fc.assert(
      fc.property(fc.array(need, { minLength: 1, maxLength: 20 }), (needs) => {
        const ends = needs.map(({ left: end }) => {
          const there = needs.filter(({ left }) => left >= end);
          return there.reduce((sum, { present }) => sum + present + end, 0);
        });
        expect(peakOf(needs)).toBe(Math.max(...ends));
      }),
      { numRuns: 2000 },
    );
  });
});
