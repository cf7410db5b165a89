// Where prefill chunks end in mode align, release by release. The numbers follow from Scheduler._mamba_block_aligned_split of the
// releases named; whole runs are compared with vLLM itself in mamba-runs.test.ts.
import { describe, expect, it } from 'vitest';
import { type MambaSplit, type SplitQuery, splitAtBoundary } from '../../../src/sim/paged/mamba-split.ts';

const query: Omit<SplitQuery, 'rule'> = {
  blockSize: 64,
  dropLast: false,
  keyLookahead: 0,
  maxChunk: 2048,
  prompt: 300,
  known: 300,
  start: 0,
  tokens: 300,
  uncached: 0,
  sharedEnd: 0,
  tail: 0,
};

function split(rule: MambaSplit, overrides: Partial<SplitQuery> = {}): number {
  return splitAtBoundary({ ...query, rule, ...overrides });
}

const all: MambaSplit[] = ['prompt', 'known', 'knownAndShared', 'stops', 'wholeStops', 'hitStops'];

describe('a prompt within the budget', () => {
  it.each(all)('%s: first up to its last block boundary, then the rest', (rule) => {
    expect(split(rule)).toBe(256);
    expect(split(rule, { start: 256, tokens: 44 })).toBe(44);
  });

  it.each(all)('%s: one block less where EAGLE drops the last one', (rule) => {
    expect(split(rule, { dropLast: true })).toBe(192);
  });

  it('of whole blocks is computed at once, until 0.32 leaves the last block to what a later request can hit', () => {
    for (const rule of all)
      expect(split(rule, { prompt: 256, known: 256, tokens: 256 })).toBe(rule === 'hitStops' ? 192 : 256);
  });
});

describe('a chunk cut by the budget', () => {
  it.each(all)('%s: whole blocks', (rule) => {
    expect(split(rule, { tokens: 200 })).toBe(192);
  });

  it('of less than a block waits for ever up to 0.26, and is computed if no budget holds a block after that', () => {
    const small = { tokens: 40, maxChunk: 40 };
    for (const rule of all) expect(split(rule, small)).toBe(rule === 'wholeStops' || rule === 'hitStops' ? 40 : 0);
    for (const rule of all) expect(split(rule, { tokens: 40 })).toBe(0);
  });

  it('from inside a block goes to its end first (0.26 and later)', () => {
    expect(split('wholeStops', { start: 40, tokens: 260 })).toBe(24);
    expect(split('known', { start: 40, tokens: 260 })).toBe(216);
  });
});

describe('what was generated before a preemption', () => {
  const resumed = { prompt: 100, known: 300 };

  it('is split like a prompt from 0.17 on', () => {
    expect(split('prompt', resumed)).toBe(300);
    expect(split('known', resumed)).toBe(256);
    expect(split('hitStops', resumed)).toBe(256);
  });

  it('is not split once only the last token is left', () => {
    for (const rule of all) expect(split(rule, { ...resumed, start: 299, tokens: 1 })).toBe(1);
  });
});

describe('a prefix that another group has cached further', () => {
  it('ends a chunk at admission (0.24, 0.25)', () => {
    expect(split('knownAndShared', { uncached: 150 })).toBe(128);
    expect(split('knownAndShared', { uncached: 50 })).toBe(256);
    expect(split('known', { uncached: 150 })).toBe(256);
  });

  it('ends any chunk that passes it, from 0.26 on', () => {
    expect(split('stops', { sharedEnd: 150 })).toBe(128);
    expect(split('wholeStops', { start: 128, tokens: 172, sharedEnd: 200 })).toBe(64);
    expect(split('wholeStops', { start: 192, tokens: 108, sharedEnd: 150 })).toBe(64);
  });
});

it('a state inside the last block ends a chunk where such states are kept', () => {
  expect(split('wholeStops', { start: 256, tokens: 44, tail: 288 })).toBe(32);
  expect(split('wholeStops', { start: 288, tokens: 12, tail: 288 })).toBe(12);
});
