// Mamba groups under random servers of nine releases: the laws of the paged engine hold after every call, and the pool is empty at
// the end. What vLLM itself does is in test/unit/paged/mamba-runs.test.ts.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import { groupsRefusal } from '../../src/sim/paged/block-sizes.ts';
import type { GroupConfig, PagedConfig, PagedRules } from '../../src/sim/paged/config.ts';
import { checkLaws } from '../../src/sim/paged/laws.ts';
import { PagedSystem } from '../../src/sim/paged/system.ts';
import type { SimRequest } from '../../src/sim/types.ts';

const releases = ['0.15.1', '0.17.1', '0.19.1', '0.24.0', '0.26.0', '0.28.0', '0.30.0', '0.32.0', '0.33.0'];
const rulesOf = new Map<string, PagedRules>(
  releases.map((release) => [release, schedulerRules(resolveEngineRef(`vllm@${release}`).profile)]),
);

const full = (blockSize: number): GroupConfig => ({ type: 'full', blockSize });
const sliding = (blockSize: number): GroupConfig => ({ type: 'sliding', blockSize, window: 6 });
const mamba = (blockSize: number): GroupConfig => ({ type: 'mamba', blockSize });

const configuration = fc.record({
  numBlocks: fc.integer({ min: 16, max: 60 }),
  blockSize: fc.constant(2),
  groups: fc.constantFrom<GroupConfig[][]>(
    [mamba(4)],
    [full(2), mamba(2)],
    [full(2), mamba(8)],
    [full(4), mamba(2)],
    [mamba(4), full(4)],
    [full(4), sliding(4), mamba(4)],
    [full(2), sliding(2), mamba(4)],
    [full(2), mamba(4), mamba(8)],
  ),
  mambaCacheMode: fc.constantFrom('align' as const, 'align' as const, 'all' as const),
  maxNumSeqs: fc.integer({ min: 1, max: 6 }),
  maxNumBatchedTokens: fc.integer({ min: 8, max: 40 }),
  maxModelLen: fc.constant(48),
  policy: fc.constantFrom('fcfs' as const, 'priority' as const),
  longPrefillTokenThreshold: fc.constantFrom(0, 0, 9),
  chunkedPrefill: fc.constant(true),
  prefixCaching: fc.boolean(),
  reserveFullPrompt: fc.boolean(),
  asyncScheduling: fc.boolean(),
  spec: fc.constantFrom<PagedConfig['spec'][]>(
    undefined,
    { method: 'ngram', tokens: 2 },
    { method: 'eagle', tokens: 2 },
  ),
  retentionInterval: fc.constantFrom(undefined, undefined, 0, 8),
}) as fc.Arbitrary<PagedConfig>;

const rows = fc.array(
  fc.record({
    arrival: fc.integer({ min: 0, max: 12 }),
    shared: fc.integer({ min: 0, max: 14 }),
    family: fc.nat(1),
    own: fc.integer({ min: 1, max: 14 }),
    outputTokens: fc.integer({ min: 1, max: 16 }),
    priority: fc.nat(2),
  }),
  { minLength: 1, maxLength: 8 },
);

describe('Mamba groups', () => {
  it('keep the laws over 3,000 random servers', () => {
    fc.assert(
      fc.property(configuration, fc.constantFrom(...releases), rows, (config, release, drawn) => {
        const rules = rulesOf.get(release)!;
        fc.pre(groupsRefusal(config, rules) === undefined);
        const requests: SimRequest[] = [...drawn]
          .sort((a, b) => a.arrival - b.arrival)
          .map(({ arrival, shared, family, own, outputTokens, priority }, i) => ({
            id: `r${i}`,
            arrival,
            prompt: [family * 100, family * 100 + shared, 1000 + i * 100, 1000 + i * 100 + own],
            promptTokens: shared + own,
            outputTokens,
            maxTokens: outputTokens,
            outputBase: 2 ** 40 + i * 1000,
            priority,
          }));
        const ended = new Set<number>();
        const end = (index: number): void => void ended.add(index);
        const listener = { firstToken: () => undefined, finished: end, rejected: end };
        const system = new PagedSystem(config, rules, { requests }, listener);
        let next = 0;
        for (let step = 0; step < 600 && (next < requests.length || system.unfinished > 0); step++) {
          while (next < requests.length && requests[next]!.arrival <= step) system.add(next++);
          system.schedule();
          checkLaws(system, system.requestsInside);
          system.complete();
          checkLaws(system, system.requestsInside);
        }
        // A budget below a block never reaches a boundary before 0.27: then nothing moves, and nothing is lost.
        if (system.unfinished > 0)
          expect(Math.min(config.maxNumBatchedTokens, config.longPrefillTokenThreshold || 99)).toBeLessThan(16);
        else expect([ended.size, system.kv.pool.used]).toEqual([requests.length, 0]);
      }),
      { numRuns: 3_000, seed: 4 },
    );
  }, 240_000);
});
