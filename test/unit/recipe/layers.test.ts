// Sets of layers as expressions and as words.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { layerPattern, layerWords } from '../../../src/plan/recipe/layers.ts';

describe('layerPattern', () => {
  it.each([
    [[7], '7'],
    [[0, 1], '[01]'],
    [[0, 1, 2, 3, 6], '[0-36]'],
    [Array.from({ length: 32 }, (_, i) => i), '([0-9]|[12][0-9]|3[01])'],
    [[9, 10, 119], '(9|10|119)'],
  ])('%j is %s', (layers, pattern) => {
    expect(layerPattern(layers)).toBe(pattern);
  });

  it('matches exactly the numbers of the set', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 140 }), { minLength: 1 }), (set) => {
        const layers = set.sort((a, b) => a - b);
        const pattern = new RegExp(`^blk\\.${layerPattern(layers)}\\.x$`);
        for (let n = 0; n < 150; n++) expect(pattern.test(`blk.${n}.x`)).toBe(set.includes(n));
      }),
    );
  });
});

describe('layerWords', () => {
  it.each([
    [[], '-'],
    [[5], '5'],
    [[0, 1, 2, 3], '0-3'],
    [[0, 1, 2, 3, 6, 9, 12, 15, 28, 29], '0-3, 6, 9, ..., 15, 28-29'],
    [[3, 9], '3, 9'],
  ])('%j reads %s', (layers, words) => {
    expect(layerWords(layers)).toBe(words);
  });
});
