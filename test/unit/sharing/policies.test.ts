// How each policy of models that share pages decides, worked out by hand: blocks of four tokens and one byte in one tensor, pages as each
// case says. Law: kvcached (csrc/page_allocator.cpp, kv_cache_manager.py, integration/vllm/patches.py, e8e6406); MuxServe (scheduler.py,
// 2231480); the queue-driven rule of presets/sharing/expand.yaml.
import { describe, expect, it } from 'vitest';
import { ElasticPool } from '../../../src/sim/sharing/elastic-pool.ts';
import { checkSharedLaws } from '../../../src/sim/sharing/laws.ts';
import { Ledger } from '../../../src/sim/sharing/ledger.ts';
import { evenLayout } from '../../../src/sim/sharing/page-layout.ts';
import { kvcachedSharing } from '../../../src/sim/sharing/policies/kvcached.ts';
import { oracleSharing } from '../../../src/sim/sharing/policies/oracle.ts';
import type { Sharing } from '../../../src/sim/sharing/policies/sharing.ts';
import { SharedSimulation } from '../../../src/sim/sharing/run.ts';
import { Tenant } from '../../../src/sim/sharing/tenant.ts';
import type { SharedRun } from '../../../src/sim/sharing/types.ts';
import { policyOf, sharedRun } from '../../helpers/sharing.ts';

const mapSeconds = { perPageId: 1, perPage: 0.25 };
const unmapSeconds = { perPageId: 2, perPage: 0.5 };

interface Shape {
  pages: number;
  perPage?: number;
  priority?: number;
  min?: number;
  maxCached?: number;
  eviction?: 'lru' | 'whole-page';
}

/** A model's pool by itself: what its engine would take and give back, a test does. */
function tenantOf(ledger: Ledger, sharing: Sharing, shape: Shape, clock = { now: 0 }): Tenant {
  const { pages, perPage = 2, priority = 0, min = 1, maxCached = 1e9, eviction = 'whole-page' } = shape;
  const options = {
    layout: evenLayout(pages, perPage),
    caching: true,
    maxCached,
    eviction,
    allocation: 'best-fit' as const,
    evicts: 'ahead' as const,
  };
  const pool = new ElasticPool(options, clock);
  const setup = {
    index: 0,
    devices: [0],
    pageBytes: perPage,
    tensors: 2,
    minPages: min,
    priority,
    mapSeconds,
    unmapSeconds,
  };
  const tenant = new Tenant({ ...setup, inPages: true }, pool, ledger, sharing);
  tenant.begin();
  tenant.settle();
  return tenant;
}

function take({ pool }: Tenant, count: number): number[] {
  pool.expect(count);
  return Array.from({ length: count }, () => pool.take());
}

function give({ pool }: Tenant, blocks: readonly number[]): void {
  // The last block of a request is given back first.
  pool.release(Int32Array.from(blocks), blocks.length - 1, blocks.length, 'tail');
}

let keys = 0;
function cache({ pool }: Tenant, blocks: readonly number[]): void {
  for (const block of blocks) pool.register(block, ++keys, keys);
}

describe('kvcached', () => {
  it('keeps empty pages up to the maximum, then unmaps them in the step; reserved ones come without a call', () => {
    const ledger = new Ledger([100]);
    const tenant = tenantOf(ledger, kvcachedSharing({ minReservedPages: 0, maxReservedPages: 2 }, ledger), {
      pages: 20,
    });
    // Null block's page (one block left) and five pages of two: eleven blocks, five pages mapped in the step: 5 x (1 + 2 x 0.25) s.
    const blocks = take(tenant, 11);
    expect([tenant.pool.mappedPages, tenant.settle()]).toEqual([6, 7.5]);
    give(tenant, blocks);
    // Two stay, three go: 3 x (2 + 2 x 0.5) s; the null block's page stays besides.
    expect([tenant.pool.mappedPages, tenant.pool.emptyPages, tenant.settle()]).toEqual([3, 2, 9]);
    expect(ledger.free([0])).toBe(100 - 3 * 2);
    // Five blocks lie in what is mapped; nothing is called.
    take(tenant, 5);
    expect([tenant.pool.mappedPages, tenant.settle()]).toEqual([3, 0]);
  });

  it('refills to the minimum beside the step, at its start and after a pass', () => {
    const ledger = new Ledger([100]);
    const sharing = kvcachedSharing({ minReservedPages: 3, maxReservedPages: 5 }, ledger);
    const tenant = tenantOf(ledger, sharing, { pages: 20 });
    expect([tenant.pool.mappedPages, tenant.pool.emptyPages, tenant.settle()]).toEqual([4, 3, 0]);
    take(tenant, 5);
    expect(tenant.pool.emptyPages).toBe(1);
    sharing.afterStep?.(tenant, 0);
    expect([tenant.pool.emptyPages, tenant.settle()]).toEqual([3, 0]);
  });

  it('refills only as far as the GPU has room', () => {
    const ledger = new Ledger([5]);
    const tenant = tenantOf(ledger, kvcachedSharing({ minReservedPages: 3, maxReservedPages: 5 }, ledger), {
      pages: 20,
    });
    // Five bytes hold two pages: the null block's and one more.
    expect([tenant.pool.mappedPages, tenant.pool.emptyPages]).toEqual([2, 1]);
  });

  it('cached blocks above the limit go by whole pages first, the least content first', () => {
    const ledger = new Ledger([100]);
    const sharing = kvcachedSharing({ minReservedPages: 0, maxReservedPages: 0 }, ledger);
    const tenant = tenantOf(ledger, sharing, { pages: 20, perPage: 4, maxCached: 5 });
    // Blocks 1-3 beside the null block, then pages 1 (4-7) and 2 (8-11). All cached; page 1 is half held by somebody else.
    const blocks = take(tenant, 11);
    cache(tenant, blocks);
    give(tenant, blocks.slice(0, 5));
    expect(tenant.pool.cachedFree).toBe(5);
    // Page 2's four blocks: nine cached, four too many. Page 2 is the only one whose blocks all lie idle, and it is just four.
    give(tenant, blocks.slice(7, 11));
    expect([tenant.pool.cachedFree, tenant.pool.mappedPages]).toEqual([5, 2]);
    expect(blocks.slice(0, 5).every((block) => tenant.pool.hasKey(block))).toBe(true);
    // One by one the oldest go, whatever page they leave half empty.
    const other = tenantOf(ledger, sharing, { pages: 20, perPage: 4, maxCached: 5, eviction: 'lru' });
    const same = take(other, 11);
    cache(other, same);
    give(other, same.slice(0, 5));
    give(other, same.slice(7, 11));
    expect([other.pool.cachedFree, other.pool.mappedPages]).toEqual([5, 3]);
    // Given back last block first: blocks 5, 4, 3 and 2 are the oldest.
    expect(same.map((block) => other.pool.hasKey(block)).slice(0, 5)).toEqual([true, false, false, false, false]);
  });

  it('a shortage takes the own oldest cached block, never another model’s', () => {
    const ledger = new Ledger([8]);
    const sharing = kvcachedSharing({ minReservedPages: 0, maxReservedPages: 0 }, ledger);
    const clock = { now: 0 };
    const [one, other] = [0, 1].map(() => tenantOf(ledger, sharing, { pages: 4 }, clock)) as [Tenant, Tenant];
    const theirs = take(other, 3);
    cache(other, theirs);
    give(other, theirs);
    const own = take(one, 3);
    cache(one, own);
    give(one, own);
    expect([ledger.free([0]), one.pool.available]).toEqual([0, 3]);
    // The block given back first is the last of the three.
    expect(take(one, 1)).toEqual([own[2]]);
    expect([other.pool.cachedFree, other.pool.mappedPages, one.pages.denied]).toEqual([3, 2, 1]);
  });

  it('the page of the null block stays when all goes', () => {
    const ledger = new Ledger([100]);
    const tenant = tenantOf(ledger, kvcachedSharing({ minReservedPages: 0, maxReservedPages: 4 }, ledger), {
      pages: 9,
    });
    const blocks = take(tenant, 9);
    cache(tenant, blocks);
    give(tenant, blocks);
    tenant.pool.dropCached(100);
    expect(tenant.pool.giveUpPage()).toBe(true);
    while (tenant.pool.giveUpPage());
    expect([tenant.pool.mappedPages, tenant.pool.page(0)]).toEqual([1, { page: 0, mapped: true }]);
  });
});

describe('oracle', () => {
  const both = (first: number, second: number) => {
    const ledger = new Ledger([8]);
    const sharing = oracleSharing(ledger);
    const clock = { now: 0 };
    const shape = { pages: 8, perPage: 1 };
    const all = [first, second, 0].map((priority) => tenantOf(ledger, sharing, { ...shape, priority }, clock));
    const [one, other, asks] = all as [Tenant, Tenant, Tenant];
    // Three null blocks; two cached blocks in the first model, then three in the second: eight bytes.
    for (const [tenant, count] of [
      [one, 2],
      [other, 3],
    ] as const) {
      const blocks = take(tenant, count);
      cache(tenant, blocks);
      give(tenant, blocks);
    }
    expect(asks.pool.available).toBe(5);
    take(asks, 3);
    return [one.pool.cachedFree, other.pool.cachedFree];
  };

  it('the oldest cached block of any model goes first', () => {
    expect(both(0, 0)).toEqual([0, 2]);
  });

  it('those of lower priority go before', () => {
    expect(both(1, 0)).toEqual([2, 0]);
  });

  it('its own prefix goes where that is the oldest, and nobody falls below a minimum', () => {
    const ledger = new Ledger([6]);
    const sharing = oracleSharing(ledger);
    const clock = { now: 0 };
    const one = tenantOf(ledger, sharing, { pages: 8, perPage: 1 }, clock);
    const other = tenantOf(ledger, sharing, { pages: 8, perPage: 1, min: 2 }, clock);
    const [own, theirs] = [take(one, 2), take(other, 2)];
    for (const [tenant, blocks] of [
      [one, own],
      [other, theirs],
    ] as const) {
      cache(tenant, blocks);
      give(tenant, blocks);
    }
    // Of the other's three pages one block alone can go: two are its minimum.
    expect(one.pool.available).toBe(3);
    expect(take(one, 1)).toEqual([own[1]]);
    expect(other.pool.cachedFree).toBe(2);
    take(one, 2);
    expect([one.pool.cachedFree, other.pool.cachedFree, other.pool.mappedPages]).toEqual([0, 1, 2]);
  });
});

function simulated(run: SharedRun, look: (now: SharedSimulation, time: number) => void): SharedSimulation {
  const simulation = new SharedSimulation(run, {
    turned(now, time) {
      checkSharedLaws(now);
      look(now, time);
    },
  });
  simulation.run();
  return simulation;
}

describe('expand', () => {
  it('maps one page a pass, only above the ratio, and an idle model gives one a step', () => {
    // Six requests of a block; one page of two blocks (one for requests). At ratio 0.5 the model grows while more requests wait than half
    // of those that run: 5 wait beside 1 (5 > 0.5), 3 beside 3 (pages of two: 3 > 1.5), 1 beside 5 (1 < 2.5): it stops at three pages.
    const requests = Array.from({ length: 6 }, () => ({ prompt: 2, output: 2 }));
    const pages: number[] = [];
    const policy = policyOf('expand', { ratio: 0.5 });
    const late = { requests: [{ arrival: 10, prompt: 2, output: 1 }] };
    simulated(sharedRun(policy, 30, [{ requests, max: 20 }, late]), (now) => {
      const { mappedPages } = now.memory.tenants[0]!.pool;
      if (pages.at(-1) !== mappedPages) pages.push(mappedPages);
    });
    expect(pages.slice(0, 3)).toEqual([1, 2, 3]);
    expect(Math.max(...pages)).toBe(3);
    // Idle, it gives back one page a step, down to the null block's.
    expect(pages.at(-1)).toBe(1);
  });

  it('nothing is given back while anything waits', () => {
    // Two at once at most: the third waits for a place, not for memory; the pages that the first used stay until it has gone in.
    const requests = [
      { prompt: 15, output: 1 },
      { prompt: 2, output: 8 },
      { prompt: 2, output: 8 },
    ];
    let before = 0;
    simulated(sharedRun(policyOf('expand'), 20, [{ requests, paged: { maxNumSeqs: 1 } }]), ({ memory, engines }) => {
      const { mappedPages } = memory.tenants[0]!.pool;
      if (engines[0]!.paged!.scheduler.line.length > 0) expect(mappedPages).toBeGreaterThanOrEqual(before);
      before = mappedPages;
    });
    expect(before).toBeGreaterThan(0);
  });
});

describe('muxserve', () => {
  const quotas = ({ engines }: SharedSimulation) => engines.map(({ paged }) => paged!.scheduler.quota);

  it('its quota holds back admissions and preempts nobody', () => {
    // 24 bytes for two models with blocks of the same size: 12 each. Requests of 8 tokens are two blocks: six sequences. Eight arrive, six
    // run at once, two wait.
    const requests = Array.from({ length: 8 }, () => ({ prompt: 6, output: 2 }));
    let most = 0;
    const simulation = simulated(
      sharedRun(policyOf('muxserve'), 24, [{ requests }, { requests: [{ prompt: 6, output: 2, arrival: 7 }] }]),
      (now) => {
        most = Math.max(most, now.engines[0]!.paged!.scheduler.running.length);
      },
    );
    expect(quotas(simulation)).toEqual([6, 6]);
    expect(most).toBe(6);
    expect(simulation.engines.map(({ paged }) => paged!.scheduler.stats.preemptions)).toEqual([0, 0]);
  });

  it('moves from who leaves its quota unused to who fills its own, and the sum stays', () => {
    // Two blocks a sequence, 40 bytes: 20 each, ten sequences. The first model always runs ten and has more waiting; the second idles. After
    // a period the first takes 0.1 x 10 = 1 sequence, the second offers min(0.95 x 10, 10 - 1) = 9: it gives one. Then 11 and 9.
    const requests = Array.from({ length: 60 }, () => ({ prompt: 5, output: 3 }));
    const idle = [{ prompt: 5, output: 3 }];
    const policy = policyOf('muxserve', { periodSeconds: 1, windowSteps: 2 });
    const seen: number[][] = [];
    const paged = { maxNumSeqs: 64, maxNumBatchedTokens: 512 };
    simulated(
      sharedRun(policy, 40, [
        { requests, paged },
        { requests: idle.map((one) => ({ ...one, arrival: 3.75 })), paged },
      ]),
      (now) => {
        const at = quotas(now);
        if (JSON.stringify(seen.at(-1)) !== JSON.stringify(at)) seen.push(at);
      },
    );
    expect(seen.slice(0, 2)).toEqual([
      [10, 10],
      [11, 9],
    ]);
    for (const [one, other] of seen) expect(one! + other!).toBe(20);
  });
});
