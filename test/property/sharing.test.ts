// Several models on shared GPUs against their laws: random pools, mostly too small for what is asked of them, under every policy, with and
// without weights that come and go, looked at after every turn. How single policies decide is in test/unit/sharing.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSharedLaws } from '../../src/sim/sharing/laws.ts';
import { SharedRefusal, SharedSimulation } from '../../src/sim/sharing/run.ts';
import { summarizeShared } from '../../src/sim/sharing/summary.ts';
import type { SharedRun } from '../../src/sim/sharing/types.ts';
import { simulateRun } from '../../src/sim/simulate.ts';
import { type LoadingPolicy, type SharingPolicy, unloadings, weightPlaces } from '../../src/spec/sharing.ts';
import { plainLoading } from '../helpers/residency.ts';
import { type ModelShape, policyOf, sharedRun } from '../helpers/sharing.ts';

const request = fc.record({
  arrival: fc.integer({ min: 0, max: 40 }).map((n) => n / 4),
  prompt: fc.integer({ min: 1, max: 24 }),
  output: fc.integer({ min: 1, max: 12 }),
  shared: fc.integer({ min: 0, max: 16 }),
  family: fc.nat(1),
  priority: fc.nat(2),
});

const shape: fc.Arbitrary<ModelShape> = fc.record({
  requests: fc.array(request, { minLength: 0, maxLength: 7 }),
  devices: fc.constantFrom([0], [0], [1], [0, 1]),
  blockSize: fc.constantFrom(2, 4),
  blockBytes: fc.constantFrom(2, 4, 6),
  tensors: fc.constantFrom(1, 2),
  weights: fc.nat(6),
  other: fc.integer({ min: 1, max: 3 }),
  context: fc.constantFrom(0, 1),
  min: fc.nat(12),
  priority: fc.nat(2),
  place: fc.constantFrom(...weightPlaces),
  paged: fc.record({
    maxNumSeqs: fc.integer({ min: 1, max: 4 }),
    maxNumBatchedTokens: fc.integer({ min: 8, max: 32 }),
    prefixCaching: fc.boolean(),
    reserveFullPrompt: fc.boolean(),
    policy: fc.constantFrom('fcfs' as const, 'priority' as const),
    asyncScheduling: fc.boolean(),
  }),
  stepSeconds: fc.constantFrom(0.25, 0.5),
});

const cost = fc.constantFrom({ perPageId: 0, perPage: 0 }, { perPageId: 0.03125, perPage: 0.0625 });
const reserves = fc.constantFrom(
  { minReservedPages: 0, maxReservedPages: 0 },
  { minReservedPages: 0, maxReservedPages: 2 },
  { minReservedPages: 1, maxReservedPages: 2 },
);

const dynamicPolicy: fc.Arbitrary<SharingPolicy> = fc.oneof(
  fc
    .record({
      pageBytes: fc.constantFrom(6, 7, 12),
      ratio: fc.constantFrom(0, 0.1, 0.5),
      reserves,
      mapSeconds: cost,
      unmapSeconds: cost,
    })
    .map(({ reserves: kept, ...rest }) => policyOf('expand', { ...rest, ...kept })),
  fc
    .record({
      pageBytes: fc.constantFrom(6, 7, 12),
      reserves,
      maxCachedTokens: fc.constantFrom(null, 0, 8),
      allocation: fc.constantFrom('best-fit' as const, 'last-touched' as const),
      eviction: fc.constantFrom('whole-page' as const, 'lru' as const),
      mapSeconds: cost,
      unmapSeconds: cost,
    })
    .map(({ reserves: kept, ...rest }) => policyOf('kvcached', { ...rest, ...kept })),
  fc
    .record({
      initialQuota: fc.constantFrom('rate' as const, 'size' as const),
      periodSeconds: fc.constantFrom(1, 8),
      windowSteps: fc.constantFrom(2, 500),
    })
    .map((changes) => policyOf('muxserve', changes)),
  fc.constant(policyOf('oracle')),
);
const anyPolicy = fc.oneof({ weight: 4, arbitrary: dynamicPolicy }, fc.constant<SharingPolicy>(policyOf('static')));

const behaviour: fc.Arbitrary<LoadingPolicy> = fc
  .record({
    keepAliveSeconds: fc.constantFrom(null, 0, 2),
    maxLoaded: fc.constantFrom(null, null, 1, 2),
    maxLoadedPerGpu: fc.boolean(),
    unloads: fc.constantFrom(...unloadings),
    drains: fc.boolean(),
    startSeconds: fc.constant({ disk: 0.5, host: 0.25 }),
    unloadSeconds: fc.constantFrom(0, 0.5),
    savesWeights: fc.boolean(),
    prefetch: fc.constantFrom(0, 0.9),
    keepsContext: fc.boolean(),
  })
  .map((fields) => ({ ...plainLoading, ...fields, quantumSeconds: fields.unloads === 'busy' ? 3 : null }));

interface Pool {
  policy: SharingPolicy;
  shapes: ModelShape[];
  room: number;
  loading: LoadingPolicy | undefined;
}

const pools = (policy: fc.Arbitrary<SharingPolicy>, loading: fc.Arbitrary<LoadingPolicy | undefined>) =>
  fc.record({
    policy,
    shapes: fc.array(shape, { minLength: 2, maxLength: 4 }),
    /** Bytes of KV for all models of a GPU. */
    room: fc.integer({ min: 30, max: 120 }),
    loading,
  });

/** GPUs with `room` bytes beside all weights; where weights come and go, beside the largest two. */
function runOf({ policy, shapes, room, loading }: Pool): SharedRun {
  const fixed = (device: number) =>
    shapes.filter(({ devices }) => devices!.includes(device)).map(({ weights, other }) => weights! + other!);
  const devices = [0, 1].map((device) => {
    const bytes = fixed(device).sort((a, b) => b - a);
    return room + bytes.slice(0, loading ? 2 : bytes.length).reduce((sum, one) => sum + one, 0);
  });
  const slice = Math.floor(room / shapes.length);
  const most = room - shapes.reduce((sum, { min }) => sum + Math.max(12, min!), 0);
  return sharedRun(
    policy,
    devices,
    shapes.map((one) => ({
      ...one,
      slice,
      max: Math.max(24, most),
      ...(loading ? {} : { place: 'resident' as const }),
    })),
    loading,
  );
}

/** Policies that act by the clock try some thousands of moments before they give up. */
const mostTurns = 100_000;

/** Tokens sampled by each model's steps. */
class Sampled {
  readonly tokens: number[] = [];
  private readonly steps: number[] = [];

  look({ engines }: SharedSimulation): void {
    engines.forEach(({ begun, paged }, i) => {
      const { steps } = begun.clock.totals;
      if (steps > (this.steps[i] ?? 0)) this.tokens[i] = (this.tokens[i] ?? 0) + paged!.work.rows;
      this.steps[i] = steps;
    });
  }
}

/** The run to its end; undefined where it could not be made. */
function driven(run: SharedRun, look: (simulation: SharedSimulation) => void): SharedSimulation | undefined {
  let turns = 0;
  try {
    const simulation = new SharedSimulation(run, {
      stuck: waitsForGoodReason,
      turned(now) {
        if (++turns > mostTurns) throw new Error(`${mostTurns} turns without an end`);
        look(now);
      },
    });
    simulation.run();
    return simulation;
  } catch (error) {
    if (error instanceof SharedRefusal) return undefined;
    throw error;
  }
}

function endsOnce({ engines }: SharedSimulation, sampled: Sampled): void {
  for (const [index, engine] of engines.entries()) {
    const { begun, model } = engine;
    const { times, totals } = begun.clock;
    const { requests } = begun.workload;
    requests.forEach((_, i) => {
      const isFinished = !Number.isNaN(times.finish[i]);
      if (Number.isNaN(times.arrival[i])) return;
      expect(Number(isFinished) + Number(times.rejected.has(i)), `request ${i} of ${model.id}`).toBe(1);
    });
    expect(totals.finished + times.rejected.size).toBeLessThanOrEqual(requests.length);
    // Steps ahead of their output may sample what nobody takes; all others sample exactly what was asked for.
    if (model.run.setup.paged.asyncScheduling || givenUp(engine).length > 0) continue;
    const asked = requests.reduce((sum, { outputTokens }, i) => sum + (times.rejected.has(i) ? 0 : outputTokens), 0);
    expect(sampled.tokens[index] ?? 0, `tokens of ${model.id}`).toBe(asked);
  }
}

/** Requests that nobody answered: they were given up when nothing happened any more. */
function givenUp({ begun }: SharedSimulation['engines'][number]): number[] {
  return [...begun.clock.times.rejected]
    .filter(([, reason]) => /no progress|never came free/.test(reason))
    .map(([index]) => index);
}

/** Blocks that a model could have if it took all that lies free on its GPUs, beside the null block. */
function within({ memory }: SharedSimulation, index: number): number {
  const { pool, setup } = memory.tenants[index]!;
  let pages = Math.min(pool.pagesLeft, Math.floor(memory.ledger.free(setup.devices) / setup.pageBytes));
  let blocks = -1;
  const counted = new Set<number>();
  for (let block = 0; block < pool.numBlocks; block++) {
    const { page, mapped } = pool.page(block);
    // Unmapped pages come back in an order of their own: the smallest are what is certain.
    if (mapped) blocks++;
    else counted.add(page);
  }
  // Unmapped pages in which no block lies whole take their share of what is free.
  pages -= pool.pagesLeft - counted.size;
  const sizes = [...counted].map((page) => sizeOf(pool, page)).sort((a, b) => a - b);
  for (const size of sizes) if (pages-- > 0) blocks += size;
  return blocks;
}

function sizeOf(pool: NonNullable<SharedSimulation['memory']['tenants'][number]>['pool'], page: number): number {
  let size = 0;
  for (let block = 0; block < pool.numBlocks; block++) if (pool.page(block).page === page) size++;
  return size;
}

/** Law S6: where nothing happens any more, the head of every queue needs more than lies free for it. */
function waitsForGoodReason(simulation: SharedSimulation): void {
  simulation.engines.forEach((engine, index) => {
    const { paged, model } = engine;
    const { scheduler } = paged!;
    const waits = !engine.isDone && scheduler.running.length + scheduler.line.length > 0;
    if (!waits || !simulation.residency.isReady(index)) return;
    const head = scheduler.running[0] ?? scheduler.line.next.peek();
    const { blockSize, maxModelLen } = model.run.setup.paged;
    const whole = Math.min(head.request.promptTokens + head.request.outputTokens, maxModelLen);
    expect(Math.ceil(whole / blockSize), `${model.id} waits for blocks`).toBeGreaterThan(within(simulation, index));
  });
}

/** A run whose laws hold after every turn and at its end; undefined where its engines would not start. */
function lawful(pool: Parameters<typeof runOf>[0]): SharedSimulation | undefined {
  const sampled = new Sampled();
  const simulation = driven(runOf(pool), (now) => {
    checkSharedLaws(now);
    sampled.look(now);
  });
  if (!simulation) return undefined;
  checkSharedLaws(simulation);
  endsOnce(simulation, sampled);
  return simulation;
}

describe('several models on shared GPUs', () => {
  it('keep the laws under every policy, and nobody waits for memory that is there', () => {
    let made = 0;
    let left = 0;
    fc.assert(
      fc.property(pools(anyPolicy, fc.constant(undefined)), (pool) => {
        const simulation = lawful(pool);
        if (!simulation) return;
        made++;
        if (simulation.engines.some((engine) => givenUp(engine).length > 0)) left++;
        summarizeShared(simulation);
      }),
      { numRuns: 700, endOnFailure: true },
    );
    expect(made).toBeGreaterThan(350);
    expect(left).toBeGreaterThan(10);
  });

  it('keep the laws while weights come and go', () => {
    let made = 0;
    fc.assert(
      fc.property(pools(anyPolicy, behaviour), (pool) => {
        const simulation = lawful(pool);
        if (!simulation) return;
        made++;
        summarizeShared(simulation);
      }),
      { numRuns: 700, endOnFailure: true },
    );
    expect(made).toBeGreaterThan(350);
  });

  it('oracle and static give up nobody', () => {
    const policy = fc.constantFrom<SharingPolicy>(policyOf('oracle'), policyOf('static'));
    fc.assert(
      fc.property(pools(policy, fc.constant(undefined)), (pool) => {
        const simulation = driven(runOf(pool), () => {});
        // Fits alone: a request's blocks are within what others' minima leave it (the largest share that runOf gives out).
        const kept = pool.shapes.reduce((sum, { min }) => sum + Math.max(12, min!), 0);
        fc.pre(simulation !== undefined && pool.room - kept >= 24);
        for (const engine of simulation!.engines) expect(givenUp(engine)).toEqual([]);
      }),
      { numRuns: 400, endOnFailure: true },
    );
  });

  it('answer the same to the byte when run again', () => {
    fc.assert(
      fc.property(pools(anyPolicy, fc.option(behaviour, { nil: undefined })), (pool) => {
        const [one, other] = [driven(runOf(pool), () => {}), driven(runOf(pool), () => {})];
        if (!one || !other) return;
        expect(JSON.stringify(summarizeShared(one))).toBe(JSON.stringify(summarizeShared(other)));
      }),
      { numRuns: 150, endOnFailure: true },
    );
  });

  it('a model alone under a static split is the run of simulate, to the bit (S5)', () => {
    fc.assert(
      fc.property(
        shape,
        fc.integer({ min: 16, max: 90 }),
        fc.option(fc.integer({ min: 1, max: 3 })),
        (one, slice, concurrency) => {
          const alone = { ...one, devices: [0], slice, ...(concurrency === null ? {} : { concurrency }) };
          const run = sharedRun(policyOf('static'), slice + 20, [{ ...alone, place: 'resident' }]);
          const {
            id: _,
            pages,
            memoryBytes,
            refusals,
            loads,
            slo,
            relativeSpeed,
            ...result
          } = summarizeShared(driven(run, checkSharedLaws)!).result.models[0]!;
          expect(JSON.stringify(result)).toBe(JSON.stringify(simulateRun(run.models[0]!.run).result));
          expect([pages.mapped, loads.unloads, refusals.count >= 0, slo.total]).toEqual([
            0,
            0,
            true,
            one.requests!.length,
          ]);
          expect([0, slice]).toContain(memoryBytes.meanMapped);
          expect(relativeSpeed).toBeLessThanOrEqual(1);
        },
      ),
      { numRuns: 400, endOnFailure: true },
    );
  });

  it('under a static split closed loops take the blocks and steps of single runs, whatever the others do', () => {
    fc.assert(
      fc.property(fc.array(shape, { minLength: 2, maxLength: 3 }), (shapes) => {
        const loops = shapes.map((one) => ({
          ...one,
          devices: [0],
          slice: 40,
          concurrency: 2,
          place: 'resident' as const,
        }));
        const run = sharedRun(policyOf('static'), 1000, loops);
        const { models } = summarizeShared(driven(run, checkSharedLaws)!).result;
        models.forEach(({ steps, scheduledTokens, preemptions, prefixCache, requests }, i) => {
          const { result } = simulateRun(run.models[i]!.run);
          expect({ steps, scheduledTokens, preemptions, prefixCache, requests }).toEqual({
            steps: result.steps,
            scheduledTokens: result.scheduledTokens,
            preemptions: result.preemptions,
            prefixCache: result.prefixCache,
            requests: result.requests,
          });
        });
      }),
      { numRuns: 300, endOnFailure: true },
    );
  });
});
