// What policies of sharing are expected to do, on one trial of each case of `npm run sharing`: the inequalities of the README's table
// (scripts/lib/sharing/expect.ts), where they come out.
import { describe, expect, it } from 'vitest';
import { sharingCases } from '../../../scripts/lib/sharing/cases.ts';
import { runLines } from '../../../scripts/lib/sharing/run-case.ts';

const tested: Readonly<Record<string, readonly RegExp[]>> = {
  steady: [/0\.4\/s each$/, /even gaps/],
  'azure-3': [
    /third of the trace apart$/,
    /^the same, peaks together$/,
    /pages of 4 MiB/,
    /empty pages ready$/,
    /prefix cache$/,
  ],
  'azure-2': [/half the trace apart$/],
  'page-aware': [/page-aware/],
  skew: [/33 %/, /50 %/],
  burst: [/one of three/, /all three$/],
  'prism-2': [/^Prism, 2 models$/, /no empty pages/],
  'prism-3': [/no empty pages/],
  'prism-8': [/^Prism, 8 models$/],
};

describe('directions', () => {
  for (const one of sharingCases) {
    it(`${one.id}: ${one.load}`, async () => {
      const lines = one.lines.filter(({ name }) => tested[one.id]!.some((pattern) => pattern.test(name)));
      expect(lines).toHaveLength(tested[one.id]!.length);
      const figures = await runLines(one, lines);
      for (const { finished, requests } of Object.values(figures)) expect(finished).toBe(requests);
      expect(lines.filter(({ holds }) => !holds(figures)).map(({ name }) => name)).toEqual([]);
    });
  }
});
