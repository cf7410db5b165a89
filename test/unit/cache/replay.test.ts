// Block hit rates against numbers of an independent model (plain lists, one scan per reference) on the first 300 rows of the
// Mooncake conversation trace (kvcache-ai/Mooncake, FAST25-release, commit 3b5a594, Apache-2.0), and the laws of each policy.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AdaptiveOrder } from '../../../src/sim/cache/adaptive.ts';
import { blockRefs, blockRefsOfPairs, flattenKeys, hitRateCurve, replayCache } from '../../../src/sim/cache/index.ts';
import { promptBlocks } from '../../../src/sim/cache/prompt-blocks.ts';

const rows = readFileSync('test/fixtures/mooncake-conversation-300.jsonl', 'utf8').trim().split('\n');
const refs = blockRefs(flattenKeys(rows.map((row) => JSON.parse(row).hash_ids)));

function hits(keys: number[], eviction: 'lru' | 'lfu' | 'fifo' | 'slru' | 'arc', capacityBlocks: number): number {
  return replayCache(keys, { eviction, capacityBlocks }).hitBlocks;
}

describe('cache-only replay', () => {
  it.each([
    [Number.POSITIVE_INFINITY, 676, 676, 676],
    [3000, 360, 364, 358],
    [1000, 299, 299, 292],
    [300, 299, 299, 276],
    [100, 286, 299, 237],
    [10, 98, 296, 91],
    [1, 0, 0, 0],
  ])('Mooncake, %s blocks: %i hits by LRU, %i by LFU, %i by FIFO', (capacityBlocks, ...expected) => {
    const curve = hitRateCurve(refs, { capacities: [capacityBlocks], evictions: ['lru', 'lfu', 'fifo'] });
    expect(curve.map((point) => point.hitBlocks)).toEqual(expected);
    expect(curve.every((point) => point.queriedBlocks === 8490)).toBe(true);
    expect(curve[0]!.blockHitRate).toBeCloseTo(expected[0]! / 8490, 12);
  });

  it('refuses more blocks than can be replayed, before it looks at any', () => {
    const requests = Array.from({ length: 10 }, (_, at) => ({
      id: `r${at}`,
      arrival: 0,
      prompt: [at * 2 ** 24, (at + 1) * 2 ** 24],
      promptTokens: 2 ** 24,
      outputTokens: 1,
      maxTokens: 1,
      outputBase: 2 ** 40 + at,
    }));
    expect(() => promptBlocks({ requests }, 2, false)).toThrow(/83,886,080 blocks, above the limit of 67,108,864/);
    expect(promptBlocks({ requests }, 2 ** 16, false).distinct).toBe(2560);
  });

  it('counts every reference of an empty cache as a miss and an empty trace as nothing', () => {
    expect(hits([1, 1, 1], 'lru', 0)).toBe(0);
    expect(replayCache([], { eviction: 'lru', capacityBlocks: 4 })).toMatchObject({
      queriedBlocks: 0,
      blockHitRate: 0,
    });
  });

  it('LFU restarts the count on re-insertion and breaks ties by the oldest use', () => {
    // 1 is used three times, then evicted by nobody; 2 and 3 tie at one use: 2 is older.
    expect(hits([1, 1, 1, 2, 3, 4, 3, 1], 'lfu', 3)).toBe(4);
    // 1 (two uses) outlives 2 and 3; once it has gone (4, 4, 5, 5 have two uses and are younger) it starts at one again.
    expect(hits([1, 1, 2, 2, 3, 2, 3, 3, 1, 4, 1], 'lfu', 2)).toBe(5);
  });

  it('SLRU keeps a block with two hits from a scan, LRU does not', () => {
    const keys = [1, 1, 1, 2, 3, 4, 5, 6, 1];
    expect(hits(keys, 'lru', 3)).toBe(2);
    expect(hits(keys, 'slru', 3)).toBe(3);
    const oneHit = [1, 1, 2, 3, 4, 5, 6, 1];
    expect(hits(oneHit, 'slru', 3)).toBe(1);
    expect(replayCache(oneHit, { eviction: 'slru', capacityBlocks: 3, protectedHits: 1 }).hitBlocks).toBe(2);
  });

  it('pinned keys stay while others can go, count in the capacity, and leave by last use when only they are left', () => {
    const keys = [1, 2, 3, 4, 5, 6, 1, 2];
    const pinned = replayCache(keys, { eviction: 'lru', capacityBlocks: 3, pinned: [1, 2, 99] });
    expect(pinned).toMatchObject({ hitBlocks: 2, evictions: 3 });
    expect(replayCache(keys, { eviction: 'lru', capacityBlocks: 3 }).hitBlocks).toBe(0);
    const full = replayCache([1, 2, 1, 3, 1, 2], { eviction: 'lru', capacityBlocks: 2, pinned: [1, 2] });
    expect(full).toMatchObject({ hitBlocks: 2, evictions: 2 });
    const flags = Uint8Array.of(1, 1, 0, 0, 0, 0);
    expect(replayCache(keys, { eviction: 'lfu', capacityBlocks: 3, pinnedIds: flags }).hitBlocks).toBe(2);
  });

  it('reads keys of any size, and 64-bit keys in pairs of words', () => {
    const big = [2 ** 52, 7, 2 ** 52, 7, 2 ** 40];
    expect(Array.from(blockRefs(big).ids)).toEqual([0, 1, 0, 1, 2]);
    const words = new Uint32Array([1, 2, 2, 1, 1, 2, 1, 1, 0, 0, 2, 1]);
    expect(Array.from(blockRefsOfPairs(words).ids)).toEqual([0, 1, 0, 2, 3, 1]);
    expect(() => blockRefs([1, -1])).toThrow(/not a non-negative integer/);
  });
});

describe('the adaptive order', () => {
  const window = 10;

  function order(reuse: number): AdaptiveOrder {
    const made = new AdaptiveOrder({ ids: 100, capacity: 50, reuseWindow: window });
    made.insert(0);
    made.insert(1);
    for (let i = 0; i < window; i++) {
      if (i < reuse * window) made.touch(0);
      else made.insert(10 + i);
    }
    return made;
  }

  it('keeps what was hit at a reuse of 0.6, and gives up what never was', () => {
    const keep = order(0.6);
    expect(keep.reuse).toBeCloseTo(0.6);
    expect(keep.mode).toBe('keep');
    keep.touch(0);
    expect([keep.evict(99), keep.evict(99), keep.evict(99), keep.evict(99), keep.evict(99)]).toEqual([
      1, 16, 17, 18, 19,
    ]);
    expect(keep.evict(99)).toBe(0);
    expect(keep.evict(99)).toBe(-1);
  });

  it('lets blocks stream through at 0.2, first in first out, also those that were hit', () => {
    const stream = order(0.2);
    expect(stream.mode).toBe('stream');
    expect([stream.evict(99), stream.evict(99), stream.evict(99)]).toEqual([0, 1, 12]);
  });

  it('goes by last use in between and before a window has passed', () => {
    const between = order(0.4);
    expect(between.mode).toBe('lru');
    expect([between.evict(99), between.evict(99)]).toEqual([1, 0]);
    const young = new AdaptiveOrder({ ids: 100, capacity: 50, reuseWindow: window });
    young.insert(0);
    expect(young.mode).toBe('lru');
  });

  it('changes its mind when the workload does: kept prefixes leave', () => {
    const made = order(1);
    expect(made.mode).toBe('keep');
    for (let id = 20; id < 30; id++) made.insert(id);
    expect(made.mode).toBe('stream');
    expect(made.evict(99)).toBe(0);
  });

  it('beats LRU where prefixes are shared and scans pass, and never counts a reuse twice', () => {
    const keys: number[] = [];
    for (let i = 0; i < 400; i++) {
      for (let prefix = 0; prefix < 40; prefix++) keys.push(prefix);
      for (let tail = 0; tail < 10; tail++) keys.push(1000 + i * 10 + tail);
      if (i % 4 === 3) for (let scan = 0; scan < 60; scan++) keys.push(100_000 + i * 60 + scan);
    }
    const [lru, adaptive, infinite] = [
      replayCache(keys, { eviction: 'lru', capacityBlocks: 80 }),
      replayCache(keys, { eviction: 'adaptive', capacityBlocks: 80, reuseWindow: 2000 }),
      replayCache(keys, { eviction: 'lru', capacityBlocks: Number.POSITIVE_INFINITY }),
    ];
    expect(lru.blockHitRate).toBeLessThan(adaptive.blockHitRate);
    expect(adaptive.hitBlocks).toBeLessThanOrEqual(infinite.hitBlocks);
  });
});
