import { describe, expect, it } from 'vitest';
import { InputError } from '../../../src/diagnostics.ts';
import { parseJsonObject } from '../../../src/load/json.ts';

describe('JSON with places', () => {
  it.each([
    ['{"a": 1,}', '1:9', 'unexpected "}"'],
    ['{"a": tru}', '1:7', 'unexpected "tru}"'],
    ['{\n"a": [1, 2\n', '3:1', 'ends too early'],
    ['{"a": "x', '1:7', 'unexpected "\\"x"'],
    ['{"a" 1}', '1:6', 'unexpected "1}"'],
    ['{"a": 01}', '1:7', 'unexpected'],
    ['{"a": }', '1:7', 'unexpected "}"'],
    ['{"a": 1]', '1:8', 'unexpected "]"'],
    ['{"a": [1,]}', '1:10', 'unexpected "]}"'],
    ['{"a": 1} x', '1:10', 'unexpected "x"'],
    ['{,}', '1:2', 'unexpected'],
    ["{'a': 1}", '1:2', 'unexpected'],
    ['{"a": NaN}', '1:7', 'unexpected "NaN}"'],
  ])('%s', (text, place, reason) => {
    try {
      parseJsonObject(text, 'x.json');
      expect.unreachable();
    } catch (error) {
      const [problem] = (error as InputError).diagnostics;
      expect(problem!.path).toBe(`x.json:${place}`);
      expect(problem!.message).toContain(reason);
    }
  });

  it('reads an object', () => expect(parseJsonObject('{"a": [1, {"b": null}]}', 'x')).toEqual({ a: [1, { b: null }] }));

  it('wants an object', () => expect(() => parseJsonObject('3', 'x')).toThrow(InputError));
});
