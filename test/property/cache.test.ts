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

  it.each([
    ['slru', naiveSlru],
    ['arc', naiveArc],
    ['adaptive', naiveAdaptive],
  ] as const)('replay by %s hits what plain lists hit', (eviction, naive) => {
    fc.assert(
      fc.property(fc.array(fc.nat(12), { maxLength: 120 }), fc.integer({ min: 1, max: 9 }), (keys, capacityBlocks) => {
        const { hitBlocks } = replayCache(keys, { eviction, capacityBlocks, reuseWindow: 8 });
        const capacity = Math.min(capacityBlocks, new Set(keys).size);
        expect(hitBlocks).toBe(naive(keys, capacity));
      }),
      { numRuns: 10_000 },
    );
  });
});

const without = (list: readonly number[], id: number) => list.filter((other) => other !== id);

function naiveSlru(keys: readonly number[], capacity: number): number {
  let probation: number[] = [];
  let kept: number[] = [];
  const hits = new Map<number, number>();
  let total = 0;
  for (const id of keys) {
    if (!probation.includes(id) && !kept.includes(id)) {
      if (probation.length + kept.length === capacity) (probation.length > 0 ? probation : kept).shift();
      probation.push(id);
      hits.set(id, 0);
      continue;
    }
    total++;
    hits.set(id, hits.get(id)! + 1);
    probation = without(probation, id);
    kept = without(kept, id);
    (hits.get(id)! >= 2 ? kept : probation).push(id);
    if (kept.length <= Math.floor(0.8 * capacity)) continue;
    const back = kept.shift()!;
    hits.set(back, 0);
    probation.push(back);
  }
  return total;
}

/** Figure 4 of the paper, its cases in its order; t1, t2 oldest first. */
function naiveArc(keys: readonly number[], c: number): number {
  let [t1, t2, b1, b2]: number[][] = [[], [], [], []];
  let p = 0;
  let total = 0;
  const replace = (inB2: boolean) => {
    if (t1!.length > 0 && (t1!.length > p || (inB2 && t1!.length === p))) b1!.push(t1!.shift()!);
    else if (t2!.length > 0) b2!.push(t2!.shift()!);
    else b1!.push(t1!.shift()!);
  };
  for (const id of keys) {
    if (t1!.includes(id) || t2!.includes(id)) {
      total++;
      t1 = without(t1!, id);
      t2 = [...without(t2!, id), id];
    } else if (b1!.includes(id)) {
      p = Math.min(c, p + Math.max(1, b2!.length / b1!.length));
      replace(false);
      b1 = without(b1!, id);
      t2!.push(id);
    } else if (b2!.includes(id)) {
      p = Math.max(0, p - Math.max(1, b1!.length / b2!.length));
      replace(true);
      b2 = without(b2!, id);
      t2!.push(id);
    } else {
      const all = t1!.length + t2!.length + b1!.length + b2!.length;
      if (t1!.length + b1!.length === c) {
        if (t1!.length < c) {
          b1!.shift();
          replace(false);
        } else t1!.shift();
      } else if (all >= c) {
        if (all === 2 * c) b2!.shift();
        replace(false);
      }
      t1!.push(id);
    }
  }
  return total;
}

function naiveAdaptive(keys: readonly number[], capacity: number): number {
  const window = 8;
  let cache: Seen[] = [];
  let total = 0;
  const again = keys.map((id, now) => keys.slice(Math.max(0, now - 4 * window), now).includes(id));
  keys.forEach((id, now) => {
    const seen = cache.find((entry) => entry.id === id);
    if (seen) {
      total++;
      Object.assign(seen, { uses: seen.uses + 1, lastUse: now });
      return;
    }
    if (cache.length === capacity) {
      const reuse = again.slice(now - window, now).filter(Boolean).length / window;
      const keep = now >= window && reuse >= 0.6;
      const stream = now >= window && reuse <= 0.2;
      const kept = (entry: Seen) => Number(keep && entry.uses > 1);
      const time = (entry: Seen) => (stream ? entry.entered : entry.lastUse);
      cache = cache.sort((a, b) => kept(a) - kept(b) || time(a) - time(b)).slice(1);
    }
    cache.push({ id, uses: 1, lastUse: now, entered: now });
  });
  return total;
}
