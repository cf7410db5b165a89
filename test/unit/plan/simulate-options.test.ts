// How the words of `vram simulate` are read: rates, KV groups, objectives, sweeps.
import { describe, expect, it } from 'vitest';
import { combinations, parseSweep, withSettings } from '../../../src/commands/simulate-sweep.ts';
import { objectivesHold, parseObjectives } from '../../../src/plan/slo.ts';
import { simulationOptionTable } from '../../../src/spec/simulation-options.ts';
import { parseRate, rateText } from '../../../src/spec/simulation-values.ts';
import { run } from '../render/simulate-fixture.ts';

function read(key: string, raw: string): unknown {
  return simulationOptionTable.find((entry) => entry.key === key)!.read(raw, `--${key}`);
}

describe('rates', () => {
  it.each([
    ['2x', { kind: 'scale', factor: 2 }, '2x'],
    ['.5X', { kind: 'scale', factor: 0.5 }, '0.5x'],
    ['4/s', { kind: 'perSecond', requests: 4 }, '4/s'],
    ['10', { kind: 'perSecond', requests: 10 }, '10/s'],
    ['1e-3x', { kind: 'scale', factor: 0.001 }, '0.001x'],
  ])('%s', (raw, rate, text) => {
    expect(parseRate(raw, '--rate')).toEqual(rate);
    expect(rateText(parseRate(raw, '--rate'))).toBe(text);
  });

  it.each(['', '0x', '-1', '1e', 'inf', '2y', 'x', '0x10'])('%j is none', (raw) => {
    expect(() => parseRate(raw, '--rate')).toThrow(/takes a rate above 0/);
  });
});

describe('KV groups', () => {
  it('are read as vLLM plans them', () => {
    expect(read('kvGroups', 'full,sliding:4096')).toEqual([{ type: 'full' }, { type: 'sliding', window: 4096 }]);
    expect(read('kvGroups', 'chunked:8K')).toEqual([{ type: 'chunked', chunk: 8192 }]);
  });

  it.each(['half', 'sliding', 'full:3', 'sliding:0', 'chunked:-1', ''])('%j is none', (raw) => {
    expect(() => read('kvGroups', raw)).toThrow();
  });
});

describe('objectives', () => {
  it.each([
    ['ttft_p99<2s', 2, false],
    ['tpot_mean <= 50ms', 0.05, true],
    ['e2e.p50<1.5min', 90, false],
    ['TTFT_P90<250', 250, false],
  ])('%s', (text, limit, inclusive) => {
    expect(parseObjectives(text, '--slo')[0]).toMatchObject({ seconds: limit, inclusive });
  });

  it.each(['ttft<2s', 'ttft_p95<2s', 'ttft_p99>2s', 'ttft_p99<0', 'ttft_p99<2h', ''])('%j is none', (text) => {
    expect(() => parseObjectives(text, '--slo')).toThrow();
  });

  it('hold only together, and at the limit only when it is included', () => {
    const p99 = run().latency.ttftSeconds.p99;
    const holds = (text: string): boolean => objectivesHold(run(), parseObjectives(text, '--slo'));
    expect(holds(`ttft_p99<=${p99}s`)).toBe(true);
    expect(holds(`ttft_p99<${p99}s`)).toBe(false);
    expect(holds('tpot_mean<1s,ttft_p99<1s')).toBe(false);
    expect(holds('tpot_mean<1s,ttft_p99<1min')).toBe(true);
  });
});

describe('sweeps', () => {
  it('combine, the last key varying fastest', () => {
    const sweeps = ['block-size=16,32', 'rate=1x,2x'].map(parseSweep);
    expect(combinations(sweeps)).toEqual([
      { 'block-size': 16, rate: '1x' },
      { 'block-size': 16, rate: '2x' },
      { 'block-size': 32, rate: '1x' },
      { 'block-size': 32, rate: '2x' },
    ]);
    expect(combinations([])).toEqual([{}]);
  });

  it('set what the option itself would set', () => {
    const given = { given: { maxNumSeqs: 8 }, simulation: { seed: 3 } };
    const changed = withSettings(given, { 'max-num-seqs': 16, rate: '2x', 'enable-prefix-caching': 'false' });
    expect(changed.given).toEqual({ maxNumSeqs: 16, enablePrefixCaching: false });
    expect(changed.simulation).toEqual({ seed: 3, rate: { kind: 'scale', factor: 2 } });
    expect(given).toEqual({ given: { maxNumSeqs: 8 }, simulation: { seed: 3 } });
  });

  it('take no value twice', () => {
    expect(parseSweep('--seed=1,2,1')).toEqual({ key: 'seed', values: ['1', '2'] });
  });
});
