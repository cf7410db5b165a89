// Random sequences of operations on the eviction orders, against models that scan plain lists: the same victims, in the same order.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createOrder, type EvictionPolicy, replayCache } from '../../src/sim/cache/index.ts';

interface Seen {
  readonly id: number;
  uses: number;
  lastUse: number;
  entered: number;
}

type Compare = (a: Seen, b: Seen) => number;
const compare: Partial<Record<EvictionPolicy, Compare>> = {
  lru: (a, b) => a.lastUse - b.lastUse,
  fifo: (a, b) => a.entered - b.entered,
  lfu: (a, b) => a.uses - b.uses || a.lastUse - b.lastUse,
};

const ids = 8;
const operations = fc.array(fc.record({ id: fc.nat(ids - 1), remove: fc.boolean() }), { maxLength: 60 });

function naiveHits(keys: readonly number[], capacity: number, order: Compare): number {
  let cache: Seen[] = [];
  let hits = 0;
  keys.forEach((id, now) => {
    const seen = cache.find((entry) => entry.id === id);
    if (seen) {
      hits++;
      seen.uses++;
      seen.lastUse = now;
      return;
    }
    if (cache.length === capacity) cache = cache.sort(order).slice(1);
    cache.push({ id, uses: 1, lastUse: now, entered: now });
  });
  return hits;
}

describe('eviction orders, 10,000 random sequences each', () => {
  it.each(Object.keys(compare) as EvictionPolicy[])('%s takes the victims a scan would take', (policy) => {
    const order = compare[policy]!;
    fc.assert(
      fc.property(operations, fc.integer({ min: 1, max: 6 }), (sequence, capacity) => {
        const subject = createOrder(policy, { ids, capacity });
        const model: Seen[] = [];
        sequence.forEach(({ id, remove }, now) => {
          const at = model.findIndex((seen) => seen.id === id);
          if (at >= 0 && remove) {
            subject.remove(id);
            model.splice(at, 1);
          } else if (at >= 0) {
            subject.touch(id);
            Object.assign(model[at]!, { uses: model[at]!.uses + 1, lastUse: now });
          } else {
            if (model.length === capacity) expect(subject.evict(id)).toBe(model.sort(order).shift()!.id);
            subject.insert(id);
            model.push({ id, uses: 1, lastUse: now, entered: now });
          }
          expect(subject.size).toBe(model.length);
        });
        for (const seen of model.sort(order)) expect(subject.evict(0)).toBe(seen.id);
        expect(subject.evict(0)).toBe(-1);
      }),
      { numRuns: 10_000 },
    );
  });

  it.each(['slru', 'arc', 'adaptive'] as const)('%s evicts only what is inside, and everything once', (policy) => {
    fc.assert(
      fc.property(operations, fc.integer({ min: 1, max: 6 }), (sequence, capacity) => {
        const subject = createOrder(policy, { ids, capacity, reuseWindow: 5 });
        const inside = new Set<number>();
        for (const { id, remove } of sequence) {
          if (inside.has(id) && remove) {
            subject.remove(id);
            inside.delete(id);
          } else if (inside.has(id)) {
            subject.touch(id);
          } else {
            if (inside.size === capacity) expect(inside.delete(subject.evict(id))).toBe(true);
            subject.insert(id);
            inside.add(id);
          }
          expect(subject.size).toBe(inside.size);
        }
        for (let left = inside.size; left > 0; left--) expect(inside.delete(subject.evict(0))).toBe(true);
        expect(subject.evict(0)).toBe(-1);
      }),
      { numRuns: 10_000 },
    );
  });

  it.each(Object.keys(compare) as EvictionPolicy[])('replay by %s hits what a scan hits', (eviction) => {
    fc.assert(
      fc.property(fc.array(fc.nat(12), { maxLength: 80 }), fc.integer({ min: 1, max: 9 }), (keys, capacityBlocks) => {
        expect(replayCache(keys, { eviction, capacityBlocks }).hitBlocks).toBe(
          naiveHits(keys, capacityBlocks, compare[eviction]!),
        );
      }),
      { numRuns: 10_000 },
    );
  });
});
