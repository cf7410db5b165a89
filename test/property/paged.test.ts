// The paged engine against its laws and against naive models: a pool of plain lists, and servers of random configurations recounted
// after every call. What vLLM itself does is in test/ground-truth; here nothing may break whatever is thrown at it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import { BlockPool } from '../../src/sim/paged/block-pool.ts';
import type { GroupConfig, PagedConfig, PagedRules } from '../../src/sim/paged/config.ts';
import { KvManager } from '../../src/sim/paged/kv-manager.ts';
import { checkLaws } from '../../src/sim/paged/laws.ts';
import { type BlockTable, Sequence } from '../../src/sim/paged/sequence.ts';
import { PagedSystem } from '../../src/sim/paged/system.ts';
import { simulate } from '../../src/sim/run/simulate.ts';
import type { SimRequest } from '../../src/sim/types.ts';

const releases = [
  '0.8.5.post1',
  '0.9.2',
  '0.10.2',
  '0.11.2',
  '0.16.0',
  '0.19.1',
  '0.22.1',
  '0.24.0',
  '0.28.0',
  '0.33.0',
];
const rulesOf = new Map<string, PagedRules>(
  releases.map((release) => [release, schedulerRules(resolveEngineRef(`vllm@${release}`).profile)]),
);

/** The pool as lists: free ids in order, holders, and per key the blocks in order of registration. */
class ModelPool {
  free: number[];
  refs = new Map<number, number>();
  keys = new Map<number, number>();
  blocks = new Map<number, number[]>();

  constructor(count: number) {
    this.free = Array.from({ length: count - 1 }, (_, i) => i + 1);
  }

  take(): number {
    const block = this.free.shift()!;
    this.forget(block);
    this.refs.set(block, 1);
    return block;
  }

  touch(block: number): void {
    const refs = this.refs.get(block) ?? 0;
    if (refs === 0) this.free = this.free.filter((id) => id !== block);
    this.refs.set(block, refs + 1);
  }

  release(blocks: readonly number[], order: 'head' | 'tail'): void {
    const first: number[] = [];
    const last: number[] = [];
    for (const block of blocks) {
      const refs = this.refs.get(block)! - 1;
      this.refs.set(block, refs);
      if (refs === 0) (order === 'head' && !this.keys.has(block) ? first : last).push(block);
    }
    this.free = [...first, ...this.free, ...last];
  }

  register(block: number, key: number): void {
    if (this.keys.has(block)) return;
    this.keys.set(block, key);
    this.blocks.set(key, [...(this.blocks.get(key) ?? []), block]);
  }

  forget(block: number): void {
    const key = this.keys.get(block);
    if (key === undefined) return;
    this.keys.delete(block);
    this.blocks.set(
      key,
      this.blocks.get(key)!.filter((id) => id !== block),
    );
  }
}

describe('block pool', () => {
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant('take' as const), n: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('register' as const), n: fc.nat(40), key: fc.nat(6) }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('touch' as const), n: fc.nat(40) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        op: fc.constant('release' as const),
        n: fc.nat(40),
        count: fc.integer({ min: 1, max: 4 }),
        order: fc.constantFrom('head' as const, 'tail' as const),
      }),
    },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('forget' as const), n: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('reset' as const) }) },
  );

  it('agrees with plain lists over 10,000 sequences of operations', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.array(operation, { maxLength: 40 }), (count, operations) => {
        const pool = new BlockPool(count, true);
        const model = new ModelPool(count);
        const held: number[] = [];
        for (const step of operations) {
          if (step.op === 'take') {
            for (let i = 0; i < step.n && pool.free > 0; i++) {
              const block = pool.take();
              expect(block).toBe(model.take());
              held.push(block);
            }
          } else if (step.op === 'release') {
            const some = held.splice(step.n % (held.length + 1), step.count);
            pool.release(Int32Array.from(some), some.length - 1, some.length, step.order);
            model.release([...some].reverse(), step.order);
          } else if (step.op === 'reset') {
            const done = pool.reset();
            expect(done).toBe(held.length === 0);
            if (done) {
              model.keys.clear();
              model.blocks.clear();
            }
          } else {
            const block = 1 + (step.n % (count - 1));
            if (step.op === 'touch') {
              pool.touch(block);
              model.touch(block);
              held.push(block);
            } else if (step.op === 'forget') {
              pool.forget(block);
              model.forget(block);
              pool.cachedFree = pool.freeOrder().filter((id) => pool.hasKey(id)).length;
            } else if (held.includes(block)) {
              pool.register(block, step.key, -step.key);
              model.register(block, step.key);
            }
          }
          expect(pool.freeOrder()).toEqual(model.free);
          expect(pool.free).toBe(model.free.length);
          expect(pool.cachedFree).toBe(model.free.filter((id) => model.keys.has(id)).length);
          for (let key = 0; key <= 6; key++) expect(pool.twins(key, -key)).toEqual(model.blocks.get(key) ?? []);
        }
      }),
      { numRuns: 10_000, seed: 1 },
    );
  });
});

const group = (blockSize: number): fc.Arbitrary<GroupConfig> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<GroupConfig>({ type: 'full', blockSize }) },
    fc.integer({ min: 2, max: 20 }).map<GroupConfig>((window) => ({ type: 'sliding', blockSize, window })),
    fc
      .integer({ min: 1, max: 4 })
      .map<GroupConfig>((blocks) => ({ type: 'chunked', blockSize, chunk: blocks * blockSize })),
  );

const configuration: fc.Arbitrary<PagedConfig> = fc.constantFrom(2, 4).chain((blockSize) =>
  fc.record({
    numBlocks: fc.integer({ min: 8, max: 40 }),
    blockSize: fc.constant(blockSize),
    groups: fc.oneof(
      fc.constant<GroupConfig[]>([{ type: 'full', blockSize }]),
      fc.tuple(fc.constant<GroupConfig>({ type: 'full', blockSize }), group(blockSize)).map((list) => [...list]),
    ),
    maxNumSeqs: fc.integer({ min: 1, max: 6 }),
    maxNumBatchedTokens: fc.integer({ min: 8, max: 40 }),
    maxModelLen: fc.constant(48),
    policy: fc.constantFrom('fcfs' as const, 'priority' as const),
    longPrefillTokenThreshold: fc.constantFrom(0, 0, 5),
    chunkedPrefill: fc.boolean(),
    prefixCaching: fc.boolean(),
    reserveFullPrompt: fc.boolean(),
    watermark: fc.constantFrom(0, 0.1),
    asyncScheduling: fc.boolean(),
    spec: fc.constantFrom<PagedConfig['spec'][]>(
      undefined,
      undefined,
      { method: 'ngram', tokens: 2 },
      { method: 'eagle', tokens: 2 },
    ),
  }),
) as fc.Arbitrary<PagedConfig>;

const request = fc.record({
  arrival: fc.integer({ min: 0, max: 12 }),
  shared: fc.integer({ min: 0, max: 14 }),
  family: fc.nat(2),
  own: fc.integer({ min: 1, max: 14 }),
  outputTokens: fc.integer({ min: 1, max: 16 }),
  slack: fc.nat(4),
  priority: fc.nat(2),
});

function workloadOf(rows: readonly (typeof request extends fc.Arbitrary<infer Row> ? Row : never)[]): SimRequest[] {
  return [...rows]
    .sort((a, b) => a.arrival - b.arrival)
    .map(({ arrival, shared, family, own, outputTokens, slack, priority }, i) => ({
      id: `r${i}`,
      arrival,
      prompt: [family * 100, family * 100 + shared, 1000 + i * 100, 1000 + i * 100 + own],
      promptTokens: shared + own,
      outputTokens,
      maxTokens: outputTokens + slack,
      outputBase: 2 ** 40 + i * 1000,
      priority,
    }));
}

const isLegal = (config: PagedConfig, release: string): boolean =>
  !(config.spec?.method === 'eagle' && config.groups.some(({ type }) => type === 'chunked')) &&
  !(config.asyncScheduling && ['0.8.5.post1', '0.9.2'].includes(release)) &&
  !(config.asyncScheduling && config.spec && release === '0.10.2');

describe('paged engine', () => {
  it('keeps its laws over 10,000 random servers of ten releases', () => {
    fc.assert(
      fc.property(
        configuration,
        fc.constantFrom(...releases),
        fc.array(request, { minLength: 1, maxLength: 8 }),
        (config, release, rows) => {
          fc.pre(isLegal(config, release));
          const requests = workloadOf(rows);
          const ended = new Set<number>();
          const system = new PagedSystem(
            config,
            rulesOf.get(release)!,
            { requests },
            {
              firstToken: () => undefined,
              finished: (index) => void ended.add(index),
              rejected: (index) => void ended.add(index),
            },
          );
          let next = 0;
          for (let step = 0; next < requests.length || system.unfinished > 0; step++) {
            expect(step).toBeLessThan(5000);
            while (next < requests.length && requests[next]!.arrival <= step) system.add(next++);
            const scheduled = system.schedule();
            checkLaws(system, system.requestsInside);
            if (scheduled) {
              expect(system.work.tokens).toBeLessThanOrEqual(config.maxNumBatchedTokens);
              expect(system.work.sequences).toBeLessThanOrEqual(config.maxNumSeqs);
            }
            system.complete();
            checkLaws(system, system.requestsInside);
          }
          expect(ended.size).toBe(requests.length);
          expect(system.kv.pool.used).toBe(0);
        },
      ),
      { numRuns: 10_000, seed: 2 },
    );
  }, 240_000);

  it('a refused allocation changes nothing (P3)', () => {
    const config: PagedConfig = {
      numBlocks: 9,
      blockSize: 4,
      groups: [{ type: 'full' }],
      maxNumSeqs: 8,
      maxNumBatchedTokens: 64,
      maxModelLen: 64,
      policy: 'fcfs',
      longPrefillTokenThreshold: 0,
      chunkedPrefill: true,
      prefixCaching: true,
      reserveFullPrompt: false,
    };
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.nat(2)), { maxLength: 8 }), (sizes) => {
        const kv = new KvManager(config, rulesOf.get('0.33.0')!);
        const live: Sequence[] = [];
        sizes.forEach(([tokens, family], i) => {
          const [request] = workloadOf([
            { arrival: 0, shared: tokens, family, own: 1, outputTokens: 1, slack: 0, priority: 0 },
          ]);
          const sequence = new Sequence(i, request!, i, kv.tables(tokens));
          const hitTokens = kv.lookup(sequence);
          const before = [kv.pool.freeOrder(), [...kv.pool.refs], live.map(({ tables }) => [...tables[0]!.ids])];
          const table = sequence.tables[0] as BlockTable;
          if (kv.allocate(sequence, tokens + 1 - hitTokens, { lookahead: 0, useHit: true, hitTokens }))
            live.push(sequence);
          else {
            expect([kv.pool.freeOrder(), [...kv.pool.refs], live.map(({ tables }) => [...tables[0]!.ids])]).toEqual(
              before,
            );
            expect([table.length, table.tracked]).toEqual([0, false]);
            const leaving = live.shift();
            if (leaving) kv.free(leaving);
          }
        });
      }),
      { numRuns: 10_000, seed: 3 },
    );
  });

  it('does not read when a request really ends (P8): up to the first end, steps are the same for other answers', () => {
    fc.assert(
      fc.property(
        configuration,
        fc.constantFrom(...releases),
        fc.array(request, { minLength: 1, maxLength: 6 }),
        (config, release, rows) => {
          fc.pre(isLegal(config, release));
          const known = workloadOf(rows).map((row) => ({ ...row, maxTokens: 20 }));
          const traces = [known, known.map((row) => ({ ...row, outputTokens: 20 }))].map((requests) =>
            traceOf(config, rulesOf.get(release)!, requests),
          );
          const until = Math.min(...traces.map(({ firstEnd }) => firstEnd));
          expect(traces[0]!.steps.slice(0, until)).toEqual(traces[1]!.steps.slice(0, until));
        },
      ),
      { numRuns: 2_000, seed: 4 },
    );
  });

  it('passing over quiet steps gives the same result to the byte (P9)', () => {
    fc.assert(
      fc.property(configuration, fc.array(request, { minLength: 1, maxLength: 6 }), (config, rows) => {
        const requests = workloadOf(rows).map((row) => ({ ...row, outputTokens: row.outputTokens * 2, maxTokens: 40 }));
        const fast = { ...config, asyncScheduling: false, blockSize: 16, groups: [{ type: 'full' as const }] };
        delete fast.spec;
        const run = (stepByStep: boolean): string => {
          const { result, perRequest } = simulate({
            workload: { requests },
            system: (listener) => new PagedSystem(fast, rulesOf.get('0.33.0')!, { requests }, listener),
            stepTime: {
              seconds: ({ tokens, decodeContext, rows: sampled }) =>
                0.1 + tokens * 0.01 + decodeContext * 1e-3 + sampled / 7,
              estimate: 'roofline',
              uncertainty: '',
            },
            clock: { stepByStep },
          });
          return JSON.stringify([result, [...perRequest.finish], [...perRequest.firstToken]]);
        };
        expect(run(false)).toBe(run(true));
      }),
      { numRuns: 2_000, seed: 5 },
    );
  });
});

function traceOf(
  config: PagedConfig,
  rules: PagedRules,
  requests: SimRequest[],
): { steps: string[]; firstEnd: number } {
  const steps: string[] = [];
  let firstEnd = Number.POSITIVE_INFINITY;
  const end = (): void => {
    firstEnd = Math.min(firstEnd, steps.length);
  };
  const system = new PagedSystem(
    config,
    rules,
    { requests },
    { firstToken: () => undefined, finished: end, rejected: end },
  );
  let next = 0;
  for (let step = 0; (next < requests.length || system.unfinished > 0) && step < 400; step++) {
    while (next < requests.length && requests[next]!.arrival <= step) system.add(next++);
    const scheduled = system.schedule();
    steps.push(
      JSON.stringify([scheduled, scheduled ? system.work : 0, system.kv.pool.free, system.scheduler.running.length]),
    );
    system.complete();
  }
  return { steps, firstEnd };
}
