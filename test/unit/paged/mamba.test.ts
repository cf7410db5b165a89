// A Mamba group beside full attention, block by block: what a request holds, what a hit takes, what is refused. Integers follow from
// MambaManager in vllm/v1/core/single_type_kv_cache_manager.py; whole runs are compared with vLLM itself in mamba-runs.test.ts.
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import type { PagedConfig } from '../../../src/sim/paged/config.ts';
import { KvManager } from '../../../src/sim/paged/kv-manager.ts';
import { Sequence } from '../../../src/sim/paged/sequence.ts';

function manager(version: string, overrides: Partial<PagedConfig> = {}): KvManager {
  const config: PagedConfig = {
    numBlocks: 40,
    blockSize: 4,
    groups: [{ type: 'full' }, { type: 'mamba' }],
    mambaCacheMode: 'align',
    maxNumSeqs: 8,
    maxNumBatchedTokens: 64,
    maxModelLen: 64,
    policy: 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: true,
    ...overrides,
  };
  return new KvManager(config, schedulerRules(resolveEngineRef(`vllm@${version}`).profile));
}

let order = 0;
function sequence(kv: KvManager, promptTokens: number, from = 0): Sequence {
  const request = {
    id: `r${order}`,
    arrival: 0,
    prompt: [from, from + promptTokens],
    promptTokens,
    outputTokens: 30,
    maxTokens: 30,
    outputBase: 1_000_000 * (order + 1),
  };
  return new Sequence(order, request, order++, kv.tables(promptTokens));
}

/** Admits with whatever is cached, or goes on by `tokens`; returns the hit. */
function step(kv: KvManager, of: Sequence, tokens: number): number | undefined {
  kv.newStep();
  return add(kv, of, tokens);
}

function add(kv: KvManager, of: Sequence, tokens: number): number | undefined {
  const hit = of.computed === 0 ? kv.lookup(of) : 0;
  const options = of.computed === 0 ? { lookahead: 0, useHit: true, hitTokens: hit, gate: true } : { lookahead: 0 };
  if (!kv.allocate(of, tokens, options)) return undefined;
  kv.endStep();
  of.computed += hit + tokens;
  of.known = Math.max(of.known, of.computed + 1);
  return hit;
}

const states = (of: Sequence): number[] => [...(of.tables[1]?.ids.subarray(0, of.tables[1].length) ?? [])];

describe('mode align', () => {
  it('keeps the running state and the one before', () => {
    const kv = manager('0.28.0');
    const a = sequence(kv, 10);
    step(kv, a, 8);
    expect(states(a)).toEqual([0, 3]);
    step(kv, a, 2);
    expect(states(a)).toEqual([0, 3, 5]);
    step(kv, a, 1);
    // The state after token 8 is given back when the one behind it is in use.
    expect(states(a)).toEqual([0, 0, 5]);
    step(kv, a, 1);
    step(kv, a, 1);
    expect(states(a).length).toBe(4);
    expect(states(a).filter((block) => block !== 0).length).toBe(2);
    kv.free(a);
    expect(kv.pool.used).toBe(0);
  });

  it('holds one block more per draft token, and moves them along', () => {
    const kv = manager('0.28.0', { spec: { method: 'eagle', tokens: 2 } });
    const a = sequence(kv, 8);
    step(kv, a, 8);
    expect(states(a)).toEqual([0, 3, 4, 5]);
    step(kv, a, 3);
    expect(states(a)).toEqual([0, 3, 4, 5, 7]);
    step(kv, a, 3);
    expect(states(a).length).toBe(6);
    expect(states(a).slice(0, 1)).toEqual([0]);
  });

  it('a hit is the state at a boundary: everything before it is null', () => {
    const kv = manager('0.28.0');
    const a = sequence(kv, 10);
    step(kv, a, 8);
    const b = sequence(kv, 10);
    expect(step(kv, b, 2)).toBe(8);
    expect(states(b)).toEqual([0, 3, 5]);
    expect(kv.pool.refs[3]).toBe(2);
  });

  it('no state, no hit, however many blocks of attention are cached', () => {
    const kv = manager('0.28.0');
    const a = sequence(kv, 12);
    step(kv, a, 12);
    const b = sequence(kv, 12);
    expect(kv.lookup(b)).toBe(0);
    expect(kv.longestKindHit).toBe(8);
  });
});

describe('a state registered in the same step', () => {
  it.each([
    ['0.16.0', 8],
    ['0.17.1', undefined],
    ['0.33.0', undefined],
  ] as const)('%s: hit of %s tokens', (version, hit) => {
    const kv = manager(version);
    kv.newStep();
    add(kv, sequence(kv, 10), 8);
    const b = sequence(kv, 10);
    expect(add(kv, b, 2)).toBe(hit);
    // In the next step it is there.
    if (hit === undefined) expect(step(kv, b, 2)).toBe(8);
  });
});

describe('hits inside a block (0.26 and later)', () => {
  const groups = [
    { type: 'full', blockSize: 2 },
    { type: 'mamba', blockSize: 8 },
  ] as const;

  it('the request that hits goes on in a copy', () => {
    const kv = manager('0.28.0', { groups });
    const a = sequence(kv, 7);
    step(kv, a, 6);
    expect(states(a)).toEqual([4]);
    // It goes on in its own block; what was cached in it moves to another, free from the end of the step.
    step(kv, a, 1);
    expect(states(a)).toEqual([4]);
    expect(kv.pool.hasKey(4)).toBe(false);
    const used = kv.pool.used;
    const b = sequence(kv, 7);
    expect(step(kv, b, 1)).toBe(6);
    // A copy of the state, and a block of attention: the last one has to be computed.
    expect(kv.pool.used).toBe(used + 2);
    kv.free(a);
    kv.free(b);
    expect(kv.pool.used).toBe(0);
  });

  it('not before, and not without alignment', () => {
    expect(manager('0.25.1', { groups }).partialHits).toBe(false);
    expect(manager('0.28.0', { groups, mambaCacheMode: 'all' }).partialHits).toBe(false);
  });
});

describe('modes none and all', () => {
  it('one block per stretch of tokens, and one per draft token ahead', () => {
    const kv = manager('0.24.0', {
      mambaCacheMode: 'none',
      prefixCaching: false,
      groups: [{ type: 'full' }, { type: 'mamba', blockSize: 64 }],
      spec: { method: 'ngram', tokens: 3 },
    });
    const a = sequence(kv, 10);
    step(kv, a, 10);
    expect(states(a).length).toBe(4);
    step(kv, a, 4);
    expect(states(a).length).toBe(4);
  });

  it('all: states that lie behind are given back', () => {
    const kv = manager('0.24.0', { mambaCacheMode: 'all' });
    const a = sequence(kv, 12);
    step(kv, a, 12);
    expect(states(a).every((block) => block !== 0)).toBe(true);
    step(kv, a, 1);
    expect(states(a).map((block) => block !== 0)).toEqual([false, false, true, true]);
  });
});
