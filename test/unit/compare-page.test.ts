// What the page of a comparison computes, without a browser: conditions as people type them, the order of rows, and the front against
// every pair of rows, for random figures with ties and gaps.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PageColumn, PageData } from '../../src/render/client/data.ts';
import { frontOf } from '../../src/render/client/front.ts';
import { filterRows, noWish, readCondition, sortRows } from '../../src/render/client/view.ts';
import { pageData } from '../../src/render/compare-data.ts';
import { comparison } from '../helpers/comparison.ts';

const plain: PageColumn = {
  key: 'x',
  title: 'x',
  unit: 'GiB',
  better: 'less',
  estimate: false,
  description: '',
  kind: 'number',
  scale: 1,
  shown: true,
  values: [],
};

describe('conditions', () => {
  it.each<[string, number[], number[]]>([
    ['>= 4', [4, 5], [3.99]],
    ['<2.5', [2.4, -1], [2.5]],
    ['2..8', [2, 8], [1, 9]],
    ['-2 .. -1', [-1.5], [0]],
    ['.5..1.5', [0.5, 1], [0.4]],
    ['1,2, 4', [1, 2, 4], [3]],
    ['> 1 <= 4', [2, 4], [1, 5]],
    ['>1 and <3', [2], [3]],
    ['≥1e3', [1000], [999]],
    ['!= 4', [5], [4]],
    // As shown, with two decimals.
    ['= 79.15', [79.1523], [79.16]],
    ['79.15', [79.1523], [79.16]],
  ])('%s', (text, hits, misses) => {
    const test = readCondition(plain, text)!;
    expect(hits.filter((value) => !test(value))).toEqual([]);
    expect(misses.filter(test)).toEqual([]);
  });

  it.each(['x', '>', '2..', '1 2', '>= 4 GiB', '1,', '4x', '..', '1.2.3'])('%s is none', (text) => {
    expect(readCondition(plain, text)).toBeUndefined();
  });
});

describe('rows', () => {
  const data = pageData(comparison(300));

  it('sorts either way without losing a row, gaps last', () => {
    for (const { key, values } of data.columns) {
      for (const descending of [false, true]) {
        const rows = sortRows(data, filterRows(data, noWish), { key, descending });
        expect([...rows].sort((a, b) => a - b)).toEqual(values.map((_, i) => i));
        const sorted = rows.map((row) => values[row] ?? null);
        const gap = sorted.indexOf(null);
        if (gap >= 0) expect(sorted.slice(gap).every((value) => value === null)).toBe(true);
      }
    }
  });

  it('shows bytes in their unit and shares as percent', () => {
    const scales = Object.fromEntries(data.columns.map(({ key, scale }) => [key, scale]));
    expect(scales).toMatchObject({ 'weights.loadedBytes': 2 ** 30, 'quality.relativeLoss': 0.01, 'kvCache.tokens': 1 });
  });
});

describe('the front', () => {
  it('is what no pair of rows contradicts', () => {
    const figure = fc.option(fc.integer({ min: 0, max: 12 }), { nil: null, freq: 8 });
    const row = fc.record({ x: figure, y: figure, fits: fc.boolean() });
    const way = fc.constantFrom('more' as const, 'less' as const);
    fc.assert(
      fc.property(fc.array(row, { maxLength: 40 }), way, way, (rows, betterX, betterY) => {
        const x = { ...plain, better: betterX, values: rows.map((each) => each.x) };
        const y = { ...plain, better: betterY, values: rows.map((each) => each.y) };
        const data: PageData = {
          title: '',
          columns: [x, y],
          names: rows.map((_, i) => `row ${i}`),
          states: rows.map(({ fits }) => (fits ? 'fits' : 'no')),
          reasons: rows.map(() => null),
          axes: null,
        };
        const all = rows.map((_, i) => i);
        const front = frontOf(data, all, x, y)!;
        const enters = all.filter((i) => rows[i]!.fits && rows[i]!.x !== null && rows[i]!.y !== null);
        const beats = (a: number, b: number) => {
          const gains = [
            (rows[a]!.x! - rows[b]!.x!) * (betterX === 'more' ? 1 : -1),
            (rows[a]!.y! - rows[b]!.y!) * (betterY === 'more' ? 1 : -1),
          ];
          return gains.every((gain) => gain >= 0) && gains.some((gain) => gain > 0);
        };
        const expected = enters.filter((i) => !enters.some((other) => beats(other, i)));
        expect([...front].sort((a, b) => a - b)).toEqual(expected);
      }),
    );
  });
});
