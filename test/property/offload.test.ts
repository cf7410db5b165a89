// Offloaded KV against naive models: the host cache as plain arrays searched and sorted by hand, and servers with random tiers,
// recounted when they are done. What vLLM's own manager does is in test/ground-truth.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import type { PagedConfig, PagedRules } from '../../src/sim/paged/config.ts';
import { checkLaws } from '../../src/sim/paged/laws.ts';
import { ArcEviction, type ArcFallback } from '../../src/sim/paged/offload/arc.ts';
import { HostCache } from '../../src/sim/paged/offload/host-cache.ts';
import { Link } from '../../src/sim/paged/offload/link.ts';
import { LruEviction, type LruScope } from '../../src/sim/paged/offload/lru.ts';
import { RankedLruEviction } from '../../src/sim/paged/offload/ranked-lru.ts';
import { PagedSystem } from '../../src/sim/paged/system.ts';
import { Clock } from '../../src/sim/run/clock.ts';
import type { SimRequest } from '../../src/sim/types.ts';

interface NaiveBlock {
  key: number;
  refs: number;
}

interface NaivePolicy {
  /** Blocks held, of any order. */
  blocks(): NaiveBlock[];
  insert(block: NaiveBlock): void;
  touch(key: number): void;
  /** The next block to go among those that `allows`; undefined if there is none. */
  victim(allows: (block: NaiveBlock) => boolean, chosen: readonly NaiveBlock[]): NaiveBlock | undefined;
  drop(blocks: readonly NaiveBlock[]): void;
  idle(block: NaiveBlock): void;
}

/** Least recently used: a time of last use for every block; idle blocks only are renewed where the list holds those alone. */
class NaiveLru implements NaivePolicy {
  private readonly used = new Map<NaiveBlock, number>();
  private clock = 0;

  constructor(private readonly scope: LruScope) {}

  blocks(): NaiveBlock[] {
    return [...this.used.keys()];
  }

  insert(block: NaiveBlock): void {
    this.used.set(block, this.clock++);
  }

  touch(key: number): void {
    for (const block of this.used.keys())
      if (block.key === key && (this.scope === 'all' || block.refs === 0)) this.used.set(block, this.clock++);
  }

  victim(allows: (block: NaiveBlock) => boolean, chosen: readonly NaiveBlock[]): NaiveBlock | undefined {
    return this.blocks()
      .filter((block) => allows(block) && !chosen.includes(block))
      .sort((a, b) => this.used.get(a)! - this.used.get(b)!)[0];
  }

  drop(blocks: readonly NaiveBlock[]): void {
    for (const block of blocks) this.used.delete(block);
  }

  idle(block: NaiveBlock): void {
    if (this.scope === 'idle') this.used.set(block, this.clock++);
  }
}

/** Adaptive replacement with four arrays, oldest first. */
class NaiveArc implements NaivePolicy {
  private t1: NaiveBlock[] = [];
  private t2: NaiveBlock[] = [];
  private b1: number[] = [];
  private b2: number[] = [];
  private target = 0;

  constructor(
    private readonly capacity: number,
    private readonly fallback: ArcFallback,
  ) {}

  blocks(): NaiveBlock[] {
    return [...this.t1, ...this.t2];
  }

  insert(block: NaiveBlock): void {
    this.t1.push(block);
    this.b1 = this.b1.filter((key) => key !== block.key);
    this.b2 = this.b2.filter((key) => key !== block.key);
  }

  touch(key: number): void {
    const first = this.t1.find((block) => block.key === key);
    const second = this.t2.find((block) => block.key === key);
    if (first) {
      this.t1 = this.t1.filter((block) => block !== first);
      (first.refs < 0 ? this.t1 : this.t2).push(first);
    } else if (second) this.t2 = [...this.t2.filter((block) => block !== second), second];
    else if (this.b1.includes(key)) {
      this.target = Math.min(this.target + Math.max(1, this.b2.length / this.b1.length), this.capacity);
      this.b1 = [...this.b1.filter((other) => other !== key), key];
    } else if (this.b2.includes(key)) {
      this.target = Math.max(this.target - Math.max(1, this.b1.length / this.b2.length), 0);
      this.b2 = [...this.b2.filter((other) => other !== key), key];
    }
  }

  victim(allows: (block: NaiveBlock) => boolean, chosen: readonly NaiveBlock[]): NaiveBlock | undefined {
    const pick = (list: NaiveBlock[]) => list.find((block) => allows(block) && !chosen.includes(block));
    const recent = this.t1.length - chosen.filter((block) => this.t1.includes(block)).length;
    const first = recent >= Math.trunc(this.target) ? pick(this.t1) : undefined;
    return first ?? pick(this.t2) ?? (this.fallback === 'recent' ? pick(this.t1) : undefined);
  }

  drop(blocks: readonly NaiveBlock[]): void {
    for (const block of blocks) (this.t1.includes(block) ? this.b1 : this.b2).push(block.key);
    this.t1 = this.t1.filter((block) => !blocks.includes(block));
    this.t2 = this.t2.filter((block) => !blocks.includes(block));
    this.b1 = this.b1.slice(-this.capacity);
    this.b2 = this.b2.slice(-this.capacity);
  }

  idle(): void {}
}

const run = fc.record({ from: fc.nat(14), count: fc.integer({ min: 1, max: 5 }) });
const operation = fc.oneof(
  fc.record({ kind: fc.constant('store' as const), run }),
  fc.record({ kind: fc.constant('touch' as const), run }),
  fc.record({ kind: fc.constant('load' as const), run }),
  fc.record({ kind: fc.constant('stored' as const), which: fc.nat(5) }),
  fc.record({ kind: fc.constant('loaded' as const), which: fc.nat(5) }),
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

describe('the host cache, 10,000 random sequences per policy', () => {
  const policies = {
    'lru of all blocks': [() => new LruEviction('all'), () => new NaiveLru('all')],
    'lru of idle blocks': [() => new LruEviction('idle'), () => new NaiveLru('idle')],
    arc: [(n: number) => new ArcEviction(n, 'none'), (n: number) => new NaiveArc(n, 'none')],
    'arc that falls back': [(n: number) => new ArcEviction(n, 'recent'), (n: number) => new NaiveArc(n, 'recent')],
  } as const;
  for (const [name, [eviction, naive]] of Object.entries(policies))
    it(name, () => {
      const cases = fc.record({
        capacity: fc.integer({ min: 1, max: 8 }),
        operations: fc.array(operation, { maxLength: 40 }),
      });
      fc.assert(
        fc.property(cases, ({ capacity, operations }) =>
          replay(new HostCache(capacity, eviction(capacity)), naive(capacity), { capacity, operations }),
        ),
        { numRuns: 10_000 },
      );
    });
});

function replay(
  cache: HostCache,
  naive: NaivePolicy,
  { capacity, operations }: { capacity: number; operations: readonly Operation[] },
): void {
  const storing: number[][] = [];
  const loading: number[][] = [];
  const find = (key: number) => naive.blocks().find((block) => block.key === key);
  for (const op of operations) {
    const keys = 'run' in op ? Array.from({ length: op.run.count }, (_, i) => op.run.from + i) : [];
    if (op.kind === 'touch') {
      cache.touch(keys, keys.length);
      for (const key of [...keys].reverse()) naive.touch(key);
    } else if (op.kind === 'store') {
      const expected = store(naive, keys, capacity);
      expect(cache.startStore(keys)).toEqual(expected);
      if (expected && expected.length > 0) storing.push(expected);
    } else if (op.kind === 'load') {
      const ready = keys.filter((key) => (find(key)?.refs ?? -1) >= 0);
      if (ready.length === 0) continue;
      cache.startLoad(ready);
      for (const key of ready) find(key)!.refs++;
      loading.push(ready);
    } else if (op.kind === 'stored') {
      const [done = []] = storing.splice(op.which % Math.max(1, storing.length), 1);
      cache.finishStore(done);
      for (const key of done) {
        find(key)!.refs = 0;
        naive.idle(find(key)!);
      }
    } else {
      const [done = []] = loading.splice(op.which % Math.max(1, loading.length), 1);
      cache.finishLoad(done);
      for (const key of done) if (--find(key)!.refs === 0) naive.idle(find(key)!);
    }
    const states = naive.blocks().map(({ key, refs }) => `${key} ${refs < 0 ? 'pending' : 'ready'}`);
    const ours = Array.from({ length: 20 }, (_, key) => `${key} ${cache.state(key)}`);
    expect(ours.filter((state) => !state.endsWith('missing'))).toEqual(states.sort(byNumber));
    expect(cache.size + cache.free).toBe(capacity);
    expect(cache.idle).toBe(naive.blocks().filter(({ refs }) => refs === 0).length);
  }
}

function store(naive: NaivePolicy, keys: readonly number[], capacity: number): number[] | null {
  const held = naive.blocks();
  const absent = keys.filter((key) => !held.some((block) => block.key === key));
  const chosen: NaiveBlock[] = [];
  while (held.length + absent.length - chosen.length > capacity) {
    const victim = naive.victim(({ key, refs }) => refs === 0 && !keys.includes(key), chosen);
    if (!victim) return null;
    chosen.push(victim);
  }
  naive.drop(chosen);
  for (const key of absent) naive.insert({ key, refs: -1 });
  return absent;
}

const byNumber = (a: string, b: string): number => Number.parseInt(a, 10) - Number.parseInt(b, 10);

describe('the host cache by ranks of requests, 10,000 random sequences', () => {
  it('gives up the idle blocks that a sort by rank puts first', () => {
    const cases = fc.record({
      capacity: fc.integer({ min: 1, max: 8 }),
      operations: fc.array(fc.record({ operation, owner: fc.nat(2), ends: fc.integer({ min: 0, max: 6 }) }), {
        maxLength: 40,
      }),
    });
    fc.assert(
      fc.property(cases, ({ capacity, operations }) => {
        const cache = new HostCache(capacity, new RankedLruEviction());
        const owners = [0, 1, 2].map(() => ({ rank: 0, seen: new Set<number>() }));
        const blocks = new Map<number, { refs: number; rank: number; order: number }>();
        const storing: number[][] = [];
        const loading: number[][] = [];
        let lastRank = 0;
        const raise = (key: number, rank: number, order: number) => {
          const block = blocks.get(key);
          if (block && (block.rank < rank || (block.rank === rank && block.order < order)))
            Object.assign(block, { rank, order });
        };
        const use = (owner: { rank: number }, keys: number[]) => {
          cache.used(keys, keys, owner);
          lastRank = Math.max(lastRank, owner.rank);
          for (const key of keys) raise(key, owner.rank, -key);
        };
        for (const { operation: op, owner: who, ends } of operations) {
          const owner = owners[who]!;
          const keys = 'run' in op ? Array.from({ length: op.run.count }, (_, i) => op.run.from + i) : [];
          if (op.kind === 'touch' || ends === 0) {
            const ended = [...owner.seen].sort((a, b) => a - b);
            cache.requestEnded({ keys: ended, stored: new Set(), reused: new Set() });
            for (const key of ended.reverse()) if (blocks.has(key)) raise(key, ++lastRank, 0);
          } else if (op.kind === 'store') {
            use(owner, keys);
            const absent = keys.filter((key) => !blocks.has(key));
            const lacking = Math.max(0, blocks.size + absent.length - capacity);
            const idle = [...blocks].filter(([key, { refs }]) => refs === 0 && !keys.includes(key));
            idle.sort(([, a], [, b]) => a.rank - b.rank || a.order - b.order);
            const stored = cache.startStore(keys);
            expect(stored).toEqual(lacking > idle.length ? null : absent);
            for (const key of keys) owner.seen.add(key);
            if (stored === null) continue;
            for (const [key] of idle.slice(0, lacking)) blocks.delete(key);
            for (const key of absent) blocks.set(key, { refs: -1, rank: 0, order: 0 });
            use(owner, absent);
            if (absent.length > 0) storing.push(absent);
          } else if (op.kind === 'load') {
            const ready = keys.filter((key) => (blocks.get(key)?.refs ?? -1) >= 0);
            if (ready.length === 0) continue;
            cache.startLoad(ready);
            for (const key of ready) blocks.get(key)!.refs++;
            use(owner, ready);
            for (const key of ready) owner.seen.add(key);
            loading.push(ready);
          } else if (op.kind === 'stored') {
            const [done = []] = storing.splice(op.which % Math.max(1, storing.length), 1);
            cache.finishStore(done);
            for (const key of done) blocks.get(key)!.refs = 0;
          } else {
            const [done = []] = loading.splice(op.which % Math.max(1, loading.length), 1);
            cache.finishLoad(done);
            for (const key of done) blocks.get(key)!.refs--;
          }
          const held = Array.from({ length: 20 }, (_, key) => key).filter((key) => cache.state(key) !== 'missing');
          expect(held).toEqual([...blocks.keys()].sort((a, b) => a - b));
        }
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('a link', () => {
  it('delivers in order, each after its own time behind the one before', () => {
    const sends = fc.array(fc.record({ blocks: fc.nat(9), wait: fc.nat(20) }), { maxLength: 20 });
    fc.assert(
      fc.property(sends, (jobs) => {
        const arrived: number[] = [];
        const link = new Link<number>(1, (job) => arrived.push(job));
        const due: number[] = [];
        let now = 0;
        let free = 0;
        jobs.forEach(({ blocks, wait }, i) => {
          link.send(i, blocks);
          free = Math.max(now, free) + blocks;
          due.push(free);
          link.pass(wait);
          now += wait;
          expect(arrived).toEqual(due.flatMap((end, job) => (end <= now ? [job] : [])));
          expect(link.next).toBe(link.length === 0 ? Number.POSITIVE_INFINITY : (due[arrived.length] as number) - now);
        });
      }),
      { numRuns: 10_000 },
    );
  });
});

const rulesOf = new Map<string, PagedRules>(
  ['0.19.1', '0.20.2', '0.22.1', '0.23.0', '0.24.0', '0.28.0', '0.32.0', '0.33.0'].map((release) => [
    release,
    schedulerRules(resolveEngineRef(`vllm@${release}`).profile),
  ]),
);

const request = fc.record({
  arrival: fc.nat(30),
  prefix: fc.nat(3),
  shared: fc.nat(24),
  own: fc.integer({ min: 1, max: 20 }),
  output: fc.integer({ min: 1, max: 12 }),
});

const server = fc.record({
  release: fc.constantFrom(...rulesOf.keys()),
  numBlocks: fc.integer({ min: 16, max: 40 }),
  maxNumSeqs: fc.integer({ min: 1, max: 6 }),
  maxNumBatchedTokens: fc.integer({ min: 8, max: 40 }),
  priority: fc.boolean(),
  asyncScheduling: fc.boolean(),
  cpuBlocks: fc.integer({ min: 1, max: 30 }),
  blockSizeFactor: fc.integer({ min: 1, max: 3 }),
  arc: fc.boolean(),
  storeThreshold: fc.constantFrom(0, 2),
  blockSeconds: fc.constantFrom(0, 0.3, 5),
  disk: fc.option(fc.record({ blocks: fc.integer({ min: 1, max: 60 }), blockSeconds: fc.constantFrom(0, 0.7) })),
  requests: fc.array(request, { minLength: 1, maxLength: 14 }),
});
type Server = typeof server extends fc.Arbitrary<infer T> ? T : never;

function run1(setup: Server) {
  const requests: SimRequest[] = [...setup.requests]
    .sort((a, b) => a.arrival - b.arrival)
    .map(({ arrival, prefix, shared, own, output }, i) => ({
      id: `${i}`,
      arrival,
      prompt: [prefix * 1000, prefix * 1000 + shared, 100_000 + i * 1000, 100_000 + i * 1000 + own],
      promptTokens: shared + own,
      outputTokens: output,
      maxTokens: output,
      outputBase: 1_000_000 + i * 1000,
      priority: i % 3,
    }));
  const { release, priority, cpuBlocks, blockSizeFactor, arc, storeThreshold, blockSeconds, disk, ...rest } = setup;
  const config: PagedConfig = {
    ...rest,
    blockSize: 4,
    maxModelLen: 64,
    groups: [{ type: 'full' }],
    policy: priority ? 'priority' : 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: true,
    offload: {
      cpuBlocks,
      blockSizeFactor,
      policy: arc ? 'arc' : 'lru',
      storeThreshold,
      ...(blockSeconds > 0 ? { blockSeconds } : {}),
      ...(disk ? { disk } : {}),
    },
  };
  const workload = { requests };
  const clock = new Clock(workload);
  const system = new PagedSystem(config, rulesOf.get(release)!, workload, clock);
  clock.run(system, {
    ...(blockSeconds > 0 || disk?.blockSeconds ? { stepSeconds: () => 1 } : {}),
    observer: {
      scheduled: () => checkLaws(system, [...system.requestsInside, ...system.scheduler.connector!.keeping]),
    },
  });
  return { clock, system };
}

describe('servers with tiers behind the GPU, 1,500 random ones', () => {
  it('serve every request or say why not, give everything back, and repeat themselves', () => {
    fc.assert(
      fc.property(server, (setup) => {
        const { clock, system } = run1(setup);
        const { tiers } = system.scheduler.connector!;
        expect(clock.totals.finished + clock.times.rejected.size).toBe(setup.requests.length);
        if (clock.times.rejected.size === 0) expect(system.unfinished).toBe(0);
        system.elapse(1e6);
        system.schedule();
        system.complete();
        system.elapse(1e6);
        system.elapse(1e6);
        expect(system.kv.pool.used).toBe(0);
        expect(tiers.host.idle).toBe(tiers.host.size);
        if (tiers.disk) expect(tiers.disk.idle).toBe(tiers.disk.size);
        const { counters } = system;
        expect(counters.loadedBlocks * 4).toBeLessThanOrEqual(counters.hitTokens + setup.requests.length * 64);
        expect([...run1(setup).clock.times.finish]).toEqual([...clock.times.finish]);
      }),
      { numRuns: 1_500 },
    );
  });
});
