// The boundary cases of models that share pages, each worked out by hand: blocks of four tokens and, unless a case says otherwise, one
// byte in one tensor; pages of two bytes (kvcached, expand) or of one block (muxserve, oracle). The first page holds the null block.
import { describe, expect, it } from 'vitest';
import { checkSharedLaws } from '../../../src/sim/sharing/laws.ts';
import { SharedSimulation } from '../../../src/sim/sharing/run.ts';
import { summarizeShared } from '../../../src/sim/sharing/summary.ts';
import type { SharedRun } from '../../../src/sim/sharing/types.ts';
import type { SharingPolicy } from '../../../src/spec/sharing.ts';
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
const holds = (blocks: number, steps: number, arrival = 0) => ({ arrival, prompt: blocks * 4 - steps + 1, output: steps });

describe('a pool exhausted by another model', () => {
  // Eight bytes. The first model takes six blocks at once: with the null block 7 bytes, in pages of two 8. The second has its first
  // page (one block for requests under kvcached and expand, none under the others), wants three blocks, and nothing is left.
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
