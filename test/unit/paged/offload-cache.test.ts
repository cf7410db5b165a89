// The host cache against what vLLM's own CPUOffloadingManager did with the same random operations (three releases, LRU and ARC):
// every key stored, every eviction in order, every buffer, every state.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import { HostCache } from '../../../src/sim/paged/offload/host-cache.ts';
import { LruEviction } from '../../../src/sim/paged/offload/lru.ts';
import type { OffloadRules } from '../../../src/sim/paged/offload/rules.ts';
import { hostEviction } from '../../../src/sim/paged/offload/tiers.ts';

type Operation =
  | ['touch' | 'finishStore' | 'finishLoad', number[]]
  | ['state', number[], string[]]
  | ['load', number[], number[]]
  | ['store', number[], null]
  | ['store', number[], number[], number[], number[]];

interface Recording {
  version: string;
  policy: 'lru' | 'arc';
  capacity: number;
  ops: Operation[];
}

const recordings = JSON.parse(
  readFileSync(new URL('../../ground-truth/offload-manager.json', import.meta.url), 'utf8'),
) as Recording[];

describe('host cache', () => {
  for (const { version, policy, capacity, ops } of recordings)
    it(`${policy} of ${capacity} blocks as in ${version}`, () => {
      const rules = schedulerRules(resolveEngineRef(`vllm@${version}`).profile).offload as OffloadRules;
      const cache = new HostCache(capacity, hostEviction(policy, capacity, rules));
      const evicted: number[] = [];
      cache.onEvict = (key) => evicted.push(key);
      for (const op of ops) replay(cache, op, evicted);
    });

  it('uses buffers never used first, then the one given back last', () => {
    const cache = new HostCache(2, new LruEviction('idle'));
    for (const key of [1, 2, 3]) {
      expect(cache.startStore([key])).toEqual([key]);
      cache.finishStore([key]);
    }
    expect(cache.state(1)).toBe('missing');
    expect(cache.startLoad([2, 3])).toEqual([1, 0]);
  });

  it('refuses a store whole when the blocks in the way are in use', () => {
    const cache = new HostCache(2, new LruEviction('all'));
    cache.startStore([1, 2]);
    expect(cache.startStore([3])).toBeNull();
    cache.finishStore([1, 2]);
    cache.startLoad([1]);
    expect(cache.startStore([3, 4])).toBeNull();
    expect([cache.state(1), cache.state(2), cache.state(3)]).toEqual(['ready', 'ready', 'missing']);
  });
});

function replay(cache: HostCache, op: Operation, evicted: number[]): void {
  const [name, keys] = op;
  switch (name) {
    case 'touch':
      cache.touch(keys, keys.length);
      break;
    case 'finishStore':
      cache.finishStore(keys);
      break;
    case 'finishLoad':
      cache.finishLoad(keys);
      break;
    case 'state':
      expect(keys.map((key) => cache.state(key))).toEqual(op[2]);
      break;
    case 'load':
      expect(cache.startLoad(keys)).toEqual(op[2]);
      break;
    case 'store':
      evicted.length = 0;
      expect(cache.startStore(keys)).toEqual(op[2]);
      if (op[2] !== null) expect(evicted).toEqual(op[3]);
  }
}
