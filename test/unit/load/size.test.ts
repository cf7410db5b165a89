import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/diagnostics.ts';
import { parseSize, parseSizes } from '../../../src/load/size.ts';

describe('sizes', () => {
  it.each([
    ['24GiB', 24 * 2 ** 30],
    ['24576MiB', 24 * 2 ** 30],
    ['24576 mib', 24 * 2 ** 30],
    ['25.8GB', 25.8e9],
    ['79.18GiB', Math.round(79.18 * 2 ** 30)],
    ['.5TiB', 2 ** 39],
    ['85029027840', 85029027840],
    ['1_024 KiB', 2 ** 20],
    ['0', 0],
  ])('%s', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each([
    ['24G', 'say which: 24GiB'],
    ['24g', 'say which'],
    ['24k', 'say which: 24KiB'],
    ['24.5', 'needs a unit'],
    ['24 GiBs', 'units are'],
    ['-1GiB', 'write a number'],
    ['1e9GiB', 'write a number'],
    ['NaN', 'write a number'],
    ['', 'write a number'],
    ['9999999999TiB', 'too large'],
    ['24\u001bGiB', 'write a number'],
  ])('refuses %j', (text, hint) => {
    try {
      parseSize(text, '--gpu-memory');
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      const diagnostic = (error as InputError).diagnostics[0]!;
      expect(diagnostic.hint).toContain(hint);
      expect(diagnostic.path).toBe('--gpu-memory');
      expect(diagnostic.message).not.toContain('\u001b');
    }
  });

  it('reads a list', () => expect(parseSizes('1GiB,2GiB')).toEqual([2 ** 30, 2 ** 31]));
});
