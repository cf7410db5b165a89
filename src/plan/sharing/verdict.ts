// GPU by GPU: who takes what, what is left to share and what is nobody's; and from that whether all models run at once, or by turns.
import { gib } from '../../numbers.ts';
import { sum } from '../../units.ts';
import type { GpuNeeds } from './needs.ts';
import type { PoolGpuPlan, PoolInput, PoolModelPlan, SharedBudget } from './types.ts';

export interface GpuShare {
  /** By model, in their order; none where it is not on this GPU. */
  models: { id: string; needs: GpuNeeds; kvBytes: number }[];
  sharedBytes: number;
}

export function gpuPlans({ gpus, atOnce }: PoolInput, shares: readonly GpuShare[]): PoolGpuPlan[] {
  return gpus.map((gpu, index): PoolGpuPlan => {
    const { models, sharedBytes } = shares[index]!;
    const usedBytes = models.map(({ id, needs, kvBytes }) => {
      const { weightsBytes, contextBytes, activationBytes } = needs;
      return { id, weightsBytes, contextBytes, activationBytes, kvCacheBytes: kvBytes };
    });
    const kv = sum(models.map(({ kvBytes }) => kvBytes));
    const held = models.map(({ needs, kvBytes }) => needs.ownBytes + kvBytes);
    // Of those that take turns, the largest that are in memory at once.
    const used = sum(held.sort((a, b) => b - a).slice(0, atOnce ?? held.length));
    return {
      gpu: index,
      name: gpu.name,
      totalBytes: gpu.cudaTotalBytes,
      usedBytes,
      sharedBytes,
      freeBytes: gpu.cudaTotalBytes - used - sharedBytes,
      poolBytes: kv + sharedBytes,
    };
  });
}

type Verdict = Pick<SharedBudget, 'fits' | 'reason' | 'shortfallBytes' | 'takesTurns'>;

/** `lacking`: bytes that GPU `gpu` is short of, where the policy itself finds out. */
export function poolVerdict(
  { atOnce, members }: Pick<PoolInput, 'atOnce' | 'members'>,
  models: readonly PoolModelPlan[],
  gpus: readonly PoolGpuPlan[],
): Verdict {
  const refused = models.find(({ fits }) => !fits);
  if (refused) {
    const { shortfallBytes } = refused;
    const all = models.length === 1 ? '' : `${refused.id}: `;
    return {
      fits: false,
      reason: `${all}${refused.reason}`,
      ...(shortfallBytes === undefined ? {} : { shortfallBytes }),
      takesTurns: false,
    };
  }
  const turns = atOnce !== undefined && atOnce < members.length;
  for (const gpu of gpus) {
    const each = gpu.usedBytes.map(
      (one) => one.weightsBytes + one.contextBytes + one.activationBytes + one.kvCacheBytes,
    );
    const most = sum(each.sort((a, b) => b - a).slice(0, turns ? atOnce : each.length)) + gpu.sharedBytes;
    const short = most - gpu.totalBytes;
    if (short > 0) {
      const who =
        turns && atOnce < each.length ? `${atOnce} of them` : each.length === 1 ? 'the model' : `${each.length} models`;
      return {
        fits: false,
        reason: `${who} need ${gib(short)} more than GPU ${gpu.gpu} has`,
        shortfallBytes: short,
        takesTurns: false,
      };
    }
  }
  if (turns)
    return {
      fits: false,
      reason: `at most ${atOnce} of ${members.length} models are in memory at once`,
      takesTurns: true,
    };
  return { fits: true, reason: null, takesTurns: false };
}
