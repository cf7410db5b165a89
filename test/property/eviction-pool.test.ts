// The paged pool with another order of eviction, against a model that sorts all free blocks for every block it hands out.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EvictionPool, poolEvictions } from '../../src/sim/paged/eviction-pool.ts';

interface Block {
  refs: number;
  key: number | undefined;
  hits: number;
  freed: number;
  firstFreed: number;
  pinned: boolean;
}

const operation = fc.oneof(
  fc.record({ kind: fc.constant('take' as const) }),
  fc.record({ kind: fc.constant('release' as const), index: fc.nat(9), key: fc.option(fc.nat(5)), tokens: fc.nat(40) }),
  fc.record({ kind: fc.constant('touch' as const), key: fc.nat(5) }),
  fc.record({ kind: fc.constant('prompt' as const), keys: fc.array(fc.nat(10), { maxLength: 6 }) }),
);

describe('a paged pool by eviction policy, 10,000 random sequences', () => {
  it('hands out the blocks a sort would give', () => {
    const cases = fc.record({
      policy: fc.constantFrom(...poolEvictions),
      blocks: fc.integer({ min: 2, max: 9 }),
      pinTokens: fc.constantFrom(0, 20),
      operations: fc.array(operation, { maxLength: 60 }),
    });
    fc.assert(
      fc.property(cases, ({ policy, blocks, pinTokens, operations }) => {
        const pool = new EvictionPool(blocks, true, { policy, pinTokens, reuseWindow: 6 });
        const model = Array.from({ length: blocks }, (): Block => {
          return { refs: 0, key: undefined, hits: 0, freed: 0, firstFreed: 0, pinned: false };
        });
        const held: number[] = [];
        const asked: boolean[] = [];
        const seen = new Set<number>();
        let mode = 'lru';
        let clock = 0;
        const rank = ({ key, hits, freed, firstFreed, pinned }: Block): number[] => {
          if (key === undefined) return [0, 0, freed];
          const entry = policy === 'fifo' || (policy === 'adaptive' && mode === 'stream');
          const protectedBlock = policy === 'slru' ? hits >= 2 : policy === 'adaptive' && mode === 'keep' && hits > 0;
          const time = entry ? firstFreed : freed;
          return [pinned ? 2 : 1, pinned ? 0 : policy === 'lfu' ? hits : Number(protectedBlock), time];
        };
        const victims = () => {
          const free = model.flatMap((block, id) => (id > 0 && block.refs === 0 ? [id] : []));
          return free.sort((a, b) => {
            const [left, right] = [rank(model[a]!), rank(model[b]!)];
            return left[0]! - right[0]! || left[1]! - right[1]! || left[2]! - right[2]! || a - b;
          });
        };
        for (const step of operations) {
          if (step.kind === 'take') {
            if (pool.free === 0) continue;
            if (asked.length >= 6 && victims().every((id) => model[id]!.key !== undefined)) {
              const reuse = asked.slice(-6).filter(Boolean).length / 6;
              mode = reuse >= 0.6 ? 'keep' : reuse <= 0.2 ? 'stream' : 'lru';
            }
            const expected = victims()[0]!;
            expect(pool.take()).toBe(expected);
            Object.assign(model[expected]!, { refs: 1, key: undefined });
            held.push(expected);
          } else if (step.kind === 'release') {
            const [id] = held.splice(step.index, 1);
            if (id === undefined) continue;
            const block = model[id]!;
            if (step.key !== null && block.key === undefined && !model.some(({ key }) => key === step.key)) {
              pool.register(id, step.key, 1, step.tokens);
              Object.assign(block, { key: step.key, hits: 0, firstFreed: 0, pinned: step.tokens <= pinTokens });
            }
            pool.release(Int32Array.of(id), 0, 1, 'tail');
            if (--block.refs > 0) continue;
            block.freed = ++clock;
            if (block.firstFreed === 0) block.firstFreed = clock;
          } else if (step.kind === 'touch') {
            const id = pool.find(step.key, 1);
            expect(id).toBe(
              Math.max(
                0,
                model.findIndex(({ key }) => key === step.key),
              ),
            );
            if (id === 0) continue;
            pool.touch(id);
            model[id]!.refs++;
            model[id]!.hits++;
            held.push(id);
          } else {
            pool.observePrompt(Int32Array.from(step.keys), new Int32Array(step.keys.length), step.keys.length);
            for (const key of step.keys) {
              asked.push(seen.has(key));
              seen.add(key);
              if (asked.length > 6) asked.shift();
            }
          }
          const free = victims();
          expect(pool.free).toBe(free.length);
          expect(pool.cachedFree).toBe(free.filter((id) => model[id]!.key !== undefined).length);
          expect(Array.from(pool.refs)).toEqual(model.map(({ refs }) => refs));
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
