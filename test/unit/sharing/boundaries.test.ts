// The boundary cases of models that share pages, each worked out by hand: blocks of four tokens and, unless a case says otherwise, one
// byte in one tensor; pages of two bytes (kvcached, expand) or of one block (muxserve, oracle). The first page holds the null block.
import { describe, expect, it } from 'vitest';
import { checkSharedLaws } from '../../../src/sim/sharing/laws.ts';
import { SharedSimulation } from '../../../src/sim/sharing/run.ts';
import { summarizeShared } from '../../../src/sim/sharing/summary.ts';
import type { SharedRun } from '../../../src/sim/sharing/types.ts';
import { type ModelShape, policyOf, sharedRun } from '../../helpers/sharing.ts';

const dynamic = (['expand', 'kvcached', 'muxserve', 'oracle'] as const).map((kind) => [kind, policyOf(kind)] as const);

function simulated(run: SharedRun, look: (simulation: SharedSimulation, now: number) => void = () => {}) {
  const simulation = new SharedSimulation(run, {
    turned(now, time) {
      checkSharedLaws(now);
      look(now, time);
    },
  });
  simulation.run();
  const { models, pool } = summarizeShared(simulation).result;
  return { simulation, models, pool };
}

const mapped = ({ memory }: SharedSimulation, model: number): number => memory.tenants[model]!.pool.mappedPages;

/** One request that keeps so many blocks for so many steps: a prompt of whole blocks less the answer's tokens. */
const holds = (blocks: number, steps: number, arrival = 0) => ({
  arrival,
  prompt: blocks * 4 - steps,
  output: steps,
});

describe('a pool exhausted by another model', () => {
  // The first model takes six blocks at once, with the null block seven bytes: four pages of two. The second holds the page of its own
  // null block (two bytes, one block for requests; where blocks are handed out singly one byte and none), wants three blocks at 3 s, and
  // nothing is left of 4 x 2 + 2 or 7 + 1 bytes.
  it.each(dynamic)('%s: who finds nothing stays, is counted, and takes nothing from the other', (kind, policy) => {
    const big: ModelShape = { requests: [holds(6, 8)], max: 8, paged: { maxNumBatchedTokens: 64 } };
    const small: ModelShape = { requests: [holds(3, 1, 3)], max: 8 };
    const bytes = kind === 'kvcached' || kind === 'expand' ? 10 : 8;
    let held = 0;
    const { models, simulation } = simulated(sharedRun(policy, bytes, [big, small]), (now, time) => {
      if (time >= 3 && now.engines[0]!.usedBlocks > 0) {
        expect(now.engines[0]!.usedBlocks).toBe(6);
        expect(now.engines[1]!.usedBlocks).toBe(0);
        held++;
      }
    });
    expect(held).toBeGreaterThan(0);
    // Refused once, from 3 s until the first model's last token, and then served.
    expect(models[1]!.refusals.count).toBe(1);
    expect(models[1]!.refusals.seconds).toBeGreaterThan(0);
    expect(models[1]!.pages.denied).toBeGreaterThan(0);
    expect(models.map(({ requests }) => [requests.finished, requests.rejected])).toEqual([
      [1, 0],
      [1, 0],
    ]);
    expect(models[0]!.preemptions.recompute).toBe(kind === 'expand' ? models[0]!.preemptions.recompute : 0);
    expect(simulation.memory.tenants[0]!.pages.denied).toBe(0);
  });
});

describe('ratio 0 (expand)', () => {
  // One page of two blocks, one of them the null block. Ratio 0: one refused request is more than 0 x max(1, running), so that each pass
  // maps one page until the three blocks of the prompt (5 blocks with the null block and what whole pages round up) are there: pages 2
  // and 3 make 5 blocks. Ratio 1: one refused and nobody running is not more than 1 x 1, and the model never grows.
  const shapes: ModelShape[] = [{ requests: [holds(4, 1)], max: 10 }];
  it('a single refused request grows the model, one page a pass', () => {
    const seen: number[] = [];
    const { models } = simulated(sharedRun(policyOf('expand', { ratio: 0 }), 10, shapes), (now) =>
      seen.push(mapped(now, 0)),
    );
    // Refused with 1 page, then 2, then 3, which hold the four blocks.
    expect(seen.filter((pages, i) => pages !== seen[i - 1])).toEqual([1, 2, 3]);
    expect(models[0]!.requests.finished).toBe(1);
  });

  it('a ratio of 1 needs more refused requests than run', () => {
    const alone = simulated(sharedRun(policyOf('expand', { ratio: 1 }), 10, shapes));
    expect(alone.models[0]!.requests).toMatchObject({ finished: 0, rejected: 1 });
    const two = [{ ...shapes[0]!, requests: [holds(4, 1), holds(4, 1)] }];
    expect(simulated(sharedRun(policyOf('expand', { ratio: 1 }), 10, two)).models[0]!.pages.mapped).toBeGreaterThan(1);
  });
});

describe('a capacity that pages and blocks do not divide', () => {
  // kvcached: blocks of 3 bytes in pages of 7 lie one after the other over the whole range: page 0 has blocks 0 and 1 (bytes 0-5), block
  // 2 reaches over its end; page 1 has 3 (bytes 9-11), block 4 (12-14) reaches over byte 14; page 2 (14-20) has 5 and 6. Of 23 bytes
  // three pages, five blocks, four without the null block: 16 tokens.
  it('kvcached: blocks that reach over a page, and the rest of the pool, are lost', () => {
    const shape: ModelShape = { blockBytes: 3, requests: [holds(4, 1), holds(5, 1, 10)], max: 23 };
    const { simulation, models } = simulated(sharedRun(policyOf('kvcached', { pageBytes: 7 }), 23, [shape]));
    expect(simulation.memory.tenants[0]!.pool.numBlocks).toBe(5);
    expect(models[0]!.requests).toMatchObject({ finished: 1, rejected: 1 });
    expect(models[0]!.pages.peakMapped).toBe(3);
  });

  // expand: each page holds floor(7 / 3) = 2 blocks: three pages, six blocks, five for requests.
  it('expand: each page holds whole blocks', () => {
    const shape: ModelShape = { blockBytes: 3, requests: [holds(5, 1), holds(6, 1, 10)], max: 23 };
    const { simulation, models } = simulated(sharedRun(policyOf('expand', { pageBytes: 7 }), 23, [shape]));
    expect(simulation.memory.tenants[0]!.pool.numBlocks).toBe(6);
    expect(models[0]!.requests).toMatchObject({ finished: 1, rejected: 1 });
  });

  // Single blocks: floor(23 / 3) = 7, six for requests.
  it.each([['muxserve', policyOf('muxserve')] as const, ['oracle', policyOf('oracle')] as const])(
    '%s: whole blocks',
    (_, policy) => {
      const shape: ModelShape = { blockBytes: 3, requests: [holds(6, 1), holds(7, 1, 10)], max: 23 };
      const { models } = simulated(sharedRun(policy, 23, [shape]));
      expect(models[0]!.requests).toMatchObject({ finished: 1, rejected: 1 });
    },
  );

  // Blocks of 6 bytes in pages of 7: page 0 (bytes 0-6) has block 0; block 1 ends in page 1, 2 in page 2, and so on up to block 5
  // (bytes 30-35), which ends in page 5; block 6 (36-41) lies in page 5 and block 7 (42-47) in page 6. Of 49 bytes 3 of 7 pages are of use.
  // The others are mapped on the way there and stay (kv_cache_manager.py _alloc parks them in full_pages); pages 5 and 6 go at the end.
  it('kvcached: pages without a whole block are mapped and hold nothing', () => {
    const shape: ModelShape = { blockBytes: 6, requests: [holds(2, 1), holds(3, 1, 10)], max: 49 };
    const { simulation, models } = simulated(sharedRun(policyOf('kvcached', { pageBytes: 7 }), 49, [shape]));
    const { pool } = simulation.memory.tenants[0]!;
    expect([pool.pages, pool.usable, pool.parkedPages, pool.mappedPages]).toEqual([7, 2, 4, 5]);
    expect(models[0]!.requests).toMatchObject({ finished: 1, rejected: 1 });
  });
});

describe('pages partly used', () => {
  // Pages of four blocks. The first request (3 blocks) fills page 0 beside the null block; the second (5 blocks) fills page 1 and one
  // block of page 2. When the first ends, page 0 stays for the null block; when the second ends, both its pages go, and not before.
  it.each([
    ['kvcached', policyOf('kvcached', { pageBytes: 4 })] as const,
    ['expand', policyOf('expand', { pageBytes: 4 })] as const,
  ])('%s: are not unmapped, and what they hold stays', (_, policy) => {
    const shape: ModelShape = { requests: [holds(3, 2), holds(5, 8)], max: 12 };
    const { models } = simulated(sharedRun(policy, 12, [shape]), (now) => {
      if (now.engines[0]!.usedBlocks >= 5) expect(mapped(now, 0)).toBeGreaterThanOrEqual(2);
    });
    expect(models[0]!.requests.finished).toBe(2);
    expect(models[0]!.preemptions.recomputedTokens).toBe(0);
  });
});

describe('two models in one step', () => {
  // Both ask at time 0 for the only free page. The order of turns: larger priority, then who had none yet (the first of the file).
  const shapes = (priority: number): ModelShape[] => [
    { requests: [holds(2, 3)], max: 6 },
    { requests: [holds(2, 3)], max: 6, priority },
  ];
  it.each([
    [0, 0],
    [1, 1],
  ])('at priority %i of the second, model %i gets the page', (priority, first) => {
    // 2 bytes for each null block's page, and 2 more: who comes first has 3 blocks for requests.
    const { simulation } = simulated(sharedRun(policyOf('kvcached'), 6, shapes(priority)));
    const [one, other] = [first, 1 - first].map((i) => simulation.engines[i]!.begun.clock.times.finish[0]!);
    // Three steps of half a second, alone on the GPU, one after the other.
    expect([one, other]).toEqual([1.5, 3]);
  });

  it('take turns: who had the last one goes last', () => {
    const turns: number[] = [];
    const requests = [holds(1, 3)];
    simulated(sharedRun(policyOf('oracle'), 12, [{ requests }, { requests }, { requests }]), (now) => {
      const last = now.engines.findIndex(
        ({ lastTurn }) => lastTurn === Math.max(...now.engines.map((one) => one.lastTurn)),
      );
      turns.push(last);
    });
    expect(turns.slice(0, 6)).toEqual([0, 1, 2, 0, 1, 2]);
  });
});

describe('a request larger than its model’s limit', () => {
  // Four pages (or eight blocks) at most: 7 blocks for requests, 28 tokens. 8 blocks never fit, 2 do.
  it.each(dynamic)('%s: is refused at once, and the others go on', (_, policy) => {
    const shape: ModelShape = { requests: [holds(8, 1), holds(2, 1)], max: 8 };
    const { models, simulation } = simulated(sharedRun(policy, 100, [shape, { requests: [holds(9, 1)] }]));
    expect(models[0]!.requests).toMatchObject({ finished: 1, rejected: 1, rejections: [{ count: 1, first: 'm0r0' }] });
    expect(simulation.engines[0]!.begun.clock.times.finish[1]).toBeLessThanOrEqual(5);
    expect(models[1]!.requests.finished).toBe(1);
    // Growth never above the maximum.
    expect(models[0]!.pages.peakMapped * simulation.memory.tenants[0]!.setup.pageBytes).toBeLessThanOrEqual(8);
  });
});

describe('minimum and maximum', () => {
  // Five bytes at least: three pages of two, or five blocks. Held from the first moment to the last, through idle times.
  it.each(dynamic)('%s: never shrinks below its minimum, nor below the blocks in use', (_, policy) => {
    const shape: ModelShape = { requests: [holds(6, 2), holds(1, 1, 20)], min: 5, max: 20 };
    const { simulation } = simulated(sharedRun(policy, 40, [shape, { requests: [holds(2, 40)] }]), (now) => {
      const { pool, setup } = now.memory.tenants[0]!;
      expect(pool.mappedPages * setup.pageBytes).toBeGreaterThanOrEqual(5);
      expect(pool.mappedPages * setup.pageBytes).toBeGreaterThanOrEqual(pool.used + 1);
    });
    const { pool, setup } = simulation.memory.tenants[0]!;
    expect(pool.mappedPages * setup.pageBytes).toBeLessThanOrEqual(8);
  });
});
