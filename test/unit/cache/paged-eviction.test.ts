// What another eviction order does to a whole server: shared system prompts, and now and then a long prompt that nobody repeats.
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import type { PoolEviction } from '../../../src/sim/paged/eviction-pool.ts';
import { PagedSystem } from '../../../src/sim/paged/system.ts';
import type { SimRequest, Workload } from '../../../src/sim/types.ts';
import { drive } from '../../helpers/drive.ts';

const rules = schedulerRules(resolveEngineRef('vllm').profile);

/** Five system prompts of 512 tokens in turn with 64 tokens of a user; every seventh request is 1,200 tokens of its own. */
const workload: Workload = {
  requests: Array.from({ length: 400 }, (_, i): SimRequest => {
    const own = 1_000_000 + i * 10_000;
    const shared = (i % 5) * 10_000;
    const long = i % 7 === 6;
    return {
      id: `r${i}`,
      arrival: i * 3,
      prompt: long ? [own, own + 1200] : [shared, shared + 512, own, own + 64],
      promptTokens: long ? 1200 : 576,
      outputTokens: 2,
      maxTokens: 2,
      outputBase: 1e9 + i * 100,
    };
  }),
};

function hitRate(eviction?: PoolEviction): number {
  const config = {
    numBlocks: 221,
    blockSize: 16,
    groups: [{ type: 'full' as const }],
    maxNumSeqs: 8,
    maxNumBatchedTokens: 2048,
    maxModelLen: 4096,
    policy: 'fcfs' as const,
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: false,
    ...(eviction ? { eviction } : {}),
  };
  const { system } = drive(workload, (load, listener) => new PagedSystem(config, rules, load, listener));
  return system.counters.hitTokens / system.counters.queriedTokens;
}

describe('eviction in a paged server', () => {
  const lru = hitRate();

  it('lru by name is vLLM itself', () => {
    expect(hitRate({ policy: 'lru' })).toBe(lru);
  });

  it('adaptive sees a reuse above 0.6 and keeps the shared prompts from the long ones', () => {
    expect(hitRate({ policy: 'adaptive', reuseWindow: 500 })).toBeGreaterThan(lru + 0.04);
  });

  it('lfu and pinned prompts keep them too; fifo forgets them', () => {
    expect(hitRate({ policy: 'lfu' })).toBeGreaterThan(lru + 0.04);
    expect(hitRate({ policy: 'lru', pinTokens: 512 })).toBeGreaterThan(lru + 0.04);
    expect(hitRate({ policy: 'fifo' })).toBeLessThan(lru);
  });
});
