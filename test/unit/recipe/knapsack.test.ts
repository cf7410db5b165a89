// The knapsack against every combination of small cases, and its laws on random ones.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseOptions, type Item } from '../../../src/plan/recipe/knapsack.ts';

const item = fc.record({
  sizes: fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 }),
  losses: fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 4, maxLength: 4 }),
  charged: fc.boolean(),
  rank: fc.integer({ min: 0, max: 3 }),
  large: fc.boolean(),
});
const items = fc.array(item, { minLength: 1, maxLength: 6 }).map((all) =>
  all.map(
    ({ sizes, losses, ...rest }): Item => ({
      ...rest,
      options: sizes.map((bytes, i) => ({ bytes, loss: losses[i]! })),
    }),
  ),
);

/** Least loss of all combinations under the budget. */
function bruteForce(all: readonly Item[], budget: number): number {
  const [first, ...rest] = all;
  if (!first) return 0;
  let best = Infinity;
  for (const { bytes, loss } of first.options) {
    const left = budget - (first.charged ? bytes : 0);
    if (left >= 0) best = Math.min(best, loss + bruteForce(rest, left));
  }
  return best;
}

describe('chooseOptions', () => {
  it('takes a type for each tensor: two tensors of 8, 4 or 2 bits, one of them twice as sensitive', () => {
    const options = [
      { bytes: 8, loss: 0 },
      { bytes: 4, loss: 1 },
      { bytes: 2, loss: 10 },
    ];
    const twice = options.map(({ bytes, loss }) => ({ bytes, loss: 2 * loss }));
    const both: Item[] = [
      { options, charged: true, rank: 0 },
      { options: twice, charged: true, rank: 0 },
    ];
    expect(chooseOptions(both, 3)).toBeUndefined();
    expect(chooseOptions(both, 6)).toMatchObject({ picked: [2, 1], bytes: 6, loss: 12 });
    expect(chooseOptions(both, 8)).toMatchObject({ picked: [1, 1], loss: 3 });
    expect(chooseOptions(both, 12)).toMatchObject({ picked: [1, 0], loss: 1 });
  });

  it('never exceeds the budget, never beats the optimum or its own bound, and a larger budget never loses more', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 100 }), (all, budget, more) => {
        const choice = chooseOptions(all, budget);
        const optimum = bruteForce(all, budget);
        expect(choice === undefined).toBe(optimum === Infinity);
        if (!choice) return;
        expect(choice.bytes).toBeLessThanOrEqual(budget);
        expect(choice.loss).toBeGreaterThanOrEqual(optimum);
        expect(choice.bound).toBeLessThanOrEqual(optimum + 1e-9);
        expect(chooseOptions(all, budget + more)!.loss).toBeLessThanOrEqual(choice.loss);
      }),
    );
  });

  it('is one increment from the optimum at most', () => {
    fc.assert(
      fc.property(items, fc.integer({ min: 0, max: 200 }), (all, budget) => {
        const small = all.map((one) => ({ ...one, large: false, charged: true }));
        const choice = chooseOptions(small, budget);
        if (!choice) return;
        const largest = Math.max(
          ...small.map(
            ({ options }) => Math.max(...options.map((o) => o.loss)) - Math.min(...options.map((o) => o.loss)),
          ),
        );
        expect(choice.loss - choice.bound).toBeLessThanOrEqual(largest + 1e-9);
      }),
    );
  });
});
