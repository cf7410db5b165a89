// Data parallelism as serving systems: one replica alone is the plain system, the balancer follows vLLM's score, lockstep waits for
// the slowest, independent replicas do not.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import type { PagedConfig } from '../../../src/sim/paged/config.ts';
import { PagedSystem } from '../../../src/sim/paged/system.ts';
import { Balancer } from '../../../src/sim/parallel/balancer.ts';
import { createParallel, LockstepSystem, ReplicaSystem } from '../../../src/sim/parallel/index.ts';
import { Clock } from '../../../src/sim/run/clock.ts';
import type { RequestListener, ServingSystem, StepWork, Workload } from '../../../src/sim/types.ts';

const rules = schedulerRules(resolveEngineRef('vllm@0.19.1').profile);
const config: PagedConfig = {
  numBlocks: 101,
  blockSize: 16,
  groups: [{ type: 'full' }],
  maxNumSeqs: 8,
  maxNumBatchedTokens: 128,
  maxModelLen: 1024,
  policy: 'fcfs',
  longPrefillTokenThreshold: 0,
  chunkedPrefill: true,
  prefixCaching: true,
  reserveFullPrompt: true,
};

function workloadOf(rows: readonly [arrival: number, prompt: number, output: number][]): Workload {
  let token = 0;
  return {
    requests: rows.map(([arrival, prompt, output], i) => {
      const from = token;
      token += prompt + output;
      return {
        id: `r${i}`,
        arrival,
        prompt: [from, from + prompt],
        promptTokens: prompt,
        outputTokens: output,
        maxTokens: output,
        outputBase: from + prompt,
      };
    }),
  };
}

/** A step takes about 10 ms and 1 ms per token; odd figures, so that no step ends just when a request arrives. */
const secondsOf = (tokens: number): number => 0.01 + Math.SQRT2 / 1e6 + (0.001 + Math.E / 1e8) * tokens;
const stepSeconds = (work: Readonly<StepWork>): number =>
  Math.max(...(work.ranks ?? [work]).map(({ tokens }) => secondsOf(tokens)));

function run(
  workload: Workload,
  make: (system: (listener: RequestListener) => ServingSystem, listener: RequestListener) => ServingSystem,
  overrides: Partial<PagedConfig> = {},
): Clock {
  const clock = new Clock(workload);
  const one = (listener: RequestListener): ServingSystem =>
    new PagedSystem({ ...config, ...overrides }, rules, workload, listener);
  clock.run(make(one, clock), { stepSeconds });
  return clock;
}

const replicas =
  (count: number) =>
  (system: (listener: RequestListener) => ServingSystem, listener: RequestListener): ServingSystem =>
    new ReplicaSystem(
      Array.from({ length: count }, () => system(listener)),
      { stepSeconds, publicationSeconds: 0.1 },
    );

const rows = fc.array(
  fc.tuple(
    fc.double({ min: 0, max: 3, noNaN: true }),
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 60 }),
  ),
  { minLength: 1, maxLength: 30 },
);

describe('replicas', () => {
  it.each([false, true])('one replica is the system itself, asynchronous scheduling %s', (asyncScheduling) => {
    fc.assert(
      fc.property(rows, (list) => {
        const workload = workloadOf(list);
        const alone = run(workload, (system, listener) => system(listener), { asyncScheduling });
        const replica = run(workload, replicas(1), { asyncScheduling });
        for (let i = 0; i < list.length; i++) {
          expect(replica.times.first[i]).toBeCloseTo(alone.times.first[i]!, 9);
          expect(replica.times.finish[i]).toBeCloseTo(alone.times.finish[i]!, 9);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('no request is lost, whatever arrives', () => {
    fc.assert(
      fc.property(rows, fc.integer({ min: 2, max: 4 }), fc.boolean(), (list, count, asyncScheduling) => {
        const { totals, times } = run(workloadOf(list), replicas(count), { asyncScheduling });
        expect(totals.finished).toBe(list.length);
        for (let i = 0; i < list.length; i++) {
          expect(times.first[i]).toBeGreaterThan(times.arrival[i]!);
          expect(times.finish[i]).toBeGreaterThanOrEqual(times.first[i]!);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('a long prompt on one does not hold up the other', () => {
    const workload = workloadOf([
      [0, 128, 50],
      [0, 1, 50],
    ]);
    const apart = run(workload, replicas(2));
    const together = run(workload, (system, listener) => new LockstepSystem([system(listener), system(listener)]));
    expect(apart.times.first[1]).toBeCloseTo(secondsOf(1), 9);
    expect(together.times.first[1]).toBeCloseTo(secondsOf(128), 9);
  });
});

describe('lockstep', () => {
  it('finishes everything, also when ranks run dry', () => {
    fc.assert(
      fc.property(rows, fc.boolean(), (list, asyncScheduling) => {
        const lockstep = (system: (listener: RequestListener) => ServingSystem, listener: RequestListener) =>
          createParallel({ ranks: [system(listener), system(listener)], synchronized: true, stepSeconds });
        const { totals } = run(workloadOf(list), lockstep, { asyncScheduling });
        expect(totals.finished).toBe(list.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe('load balancer', () => {
  it('goes by 4 x waiting + running, the first among equals, and counts what it sent', () => {
    const balancer = new Balancer(3, 0);
    const counts = [
      { waiting: 0, running: 5 },
      { waiting: 1, running: 0 },
      { waiting: 0, running: 4 },
    ];
    balancer.publish(0, (rank, into) => Object.assign(into, counts[rank]));
    // Scores 5, 4, 4: rank 1, then (5, 8, 4) rank 2, then (5, 8, 8) rank 0.
    expect([balancer.choose(), balancer.choose(), balancer.choose()]).toEqual([1, 2, 0]);
  });

  it('sees new counts only so often', () => {
    const balancer = new Balancer(2, 0.1);
    let running = 0;
    const count = (rank: number, into: { waiting: number; running: number }): void => {
      into.waiting = 0;
      into.running = rank === 0 ? running : 0;
    };
    balancer.publish(0, count);
    running = 10;
    balancer.publish(0.05, count);
    expect(balancer.choose()).toBe(0);
    balancer.publish(0.11, count);
    expect(balancer.choose()).toBe(1);
  });
});
