// The laws of memory that several models share, numbered, and a check of all that can be read off a run between two turns. Cheap ones
// are asserted where state changes (ledger.ts); the whole check walks every page and block and is for tests and for hunting a fault.
//   S1  on each GPU, what is free and what is held (weights, the rest of each engine, slices or pages) is all there is: no byte, and so
//       no page, belongs to two models, and mapped pages never exceed the pool.
//   S2  a model in memory holds its minimum, and never more than its virtual space.
//   S3  a page that is given back holds nothing that anybody uses: every block in use lies in a mapped page, every cached one too.
//   S4  what a pool counts is what its blocks say.
//   S5  an engine alone, under a static split, runs as `simulate` does, to the bit (test/property/sharing.test.ts).
//   S6  nobody waits for memory that is there (the same).
// The laws of each engine by itself are in paged/laws.ts; they hold here too.
import { assert } from '../../assert.ts';
import { checkLaws } from '../paged/laws.ts';
import type { ElasticPool } from './elastic-pool.ts';
import { absent } from './rivalry.ts';
import type { SharedSimulation } from './run.ts';
import type { Tenant } from './tenant.ts';

export function checkSharedLaws(run: SharedSimulation): void {
  checkLedger(run);
  run.engines.forEach(({ tenant, paged, model }, index) => {
    if (paged) checkLaws(paged, paged.requestsInside);
    if (!tenant) return;
    checkPool(tenant.pool);
    if (run.residency.state(index) !== absent) checkHeld(tenant, model.id);
    else assert(tenant.heldBytes === 0, `law S1: ${model.id} is not in memory and holds pages`);
  });
}

function checkLedger({ memory, models, residency, setup }: SharedSimulation): void {
  const keepsContext = setup.loading?.keepsContext === true;
  setup.devices.forEach((all, device) => {
    let held = 0;
    models.forEach((model, index) => {
      if (!model.devices.includes(device)) return;
      const isHere = residency.state(index) !== absent;
      const slice = setup.policy.kind === 'static' ? model.sliceBytes : 0;
      if (isHere) held += model.weightsBytes + model.otherBytes + model.prefetchBytes + slice;
      else if (keepsContext) held += model.contextBytes;
      held += memory.tenants[index]?.heldBytes ?? 0;
    });
    const free = memory.ledger.free([device]);
    assert(free >= 0, `law S1: GPU ${device} is short of ${-free} bytes`);
    assert(free + held === all, `law S1: GPU ${device} has ${all} bytes, ${held} are held and ${free} free`);
  });
}

function checkHeld({ isAway, pool, setup }: Tenant, id: string): void {
  assert(!isAway, `law S2: ${id} is in memory without its KV cache`);
  const least = Math.min(Math.max(1, setup.minPages), pool.pages);
  assert(pool.mappedPages >= least, `law S2: ${id} holds ${pool.mappedPages} pages, its minimum is ${least}`);
  assert(pool.mappedPages <= pool.pages, `law S2: ${id} holds more pages than it has room for`);
}

function checkPool(pool: ElasticPool): void {
  if (pool.mappedPages === 0) return;
  const inUse = new Uint8Array(pool.pages);
  inUse[pool.page(0).page] = 1;
  let free = 0;
  for (let block = 1; block < pool.numBlocks; block++) {
    const isUsed = (pool.refs[block] as number) > 0;
    const { page, mapped } = pool.page(block);
    assert(mapped || !isUsed, `law S3: block ${block} is in use and its page is not mapped`);
    assert(mapped || !pool.hasKey(block), `law S3: block ${block} is cached and its page is not mapped`);
    if (isUsed) inUse[page] = 1;
    if (mapped && !isUsed) free++;
  }
  const counted = pool.recount();
  const idle = counted.mapped - pool.parkedPages - inUse.reduce((sum, one) => sum + one, 0);
  assert(pool.used === counted.used, `law S4: ${pool.used} blocks in use are counted, ${counted.used} are`);
  assert(
    pool.cachedFree === counted.cached,
    `law S4: ${pool.cachedFree} cached blocks are counted, ${counted.cached} are`,
  );
  assert(
    pool.mappedPages === counted.mapped,
    `law S4: ${pool.mappedPages} mapped pages are counted, ${counted.mapped} are`,
  );
  assert(pool.emptyPages === counted.empty, `law S4: ${pool.emptyPages} empty pages are counted, ${counted.empty} are`);
  assert(pool.idlePages === idle, `law S4: ${pool.idlePages} pages without a block in use are counted, ${idle} are`);
  assert(pool.free === free, `law S4: ${pool.free} free blocks are counted, ${free} are`);
}
