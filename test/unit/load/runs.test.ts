import { describe, expect, it } from 'vitest';
import { expandBraces, expandRuns, expandShortForms } from '../../../src/spec/runs.ts';

describe('short forms', () => {
  it.each([
    ['2x (3x a, b)', ['a', 'a', 'a', 'b', 'a', 'a', 'a', 'b']],
    ['128, 2x (128, 4), 0', [128, 128, 4, 128, 4, 0]],
    ['3x 0, 2x 1', [0, 0, 0, 1, 1]],
    ['1..3, 5..6, 8', [1, 2, 3, 5, 6, 8]],
    ['2x (1..2)', [1, 2, 1, 2]],
  ])('%s', (text, items) => expect(expandRuns(text)).toEqual(items));

  it.each([
    'silu',
    'MEMEM*EM',
    'LLLG',
    '2x',
    '2x (a',
    '3x a b',
    '999999x (999999x a)',
    '5..1',
    'bfloat16, float16',
    '4x4',
  ])('is no run list: %s', (text) => expect(expandRuns(text)).toBeUndefined());

  it('writes names out', () => {
    expect(expandBraces('l.{0..1}.{gate,up}')).toEqual(['l.0.gate', 'l.0.up', 'l.1.gate', 'l.1.up']);
    expect(expandBraces('re:.*gate$')).toEqual(['re:.*gate$']);
    expect(expandBraces('a.{0..999999999}')).toEqual(['a.{0..999999999}']);
  });

  it('writes entries out', () => {
    expect(expandShortForms([{ times: 2, a: 1 }, { a: 2 }])).toEqual([{ a: 1 }, { a: 1 }, { a: 2 }]);
    expect(expandShortForms({ a: { b: '2x x' } })).toEqual({ a: { b: ['x', 'x'] } });
  });
});
