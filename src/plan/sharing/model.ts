// One model of a pool as a plan shows it: what its process needs, what it keeps for its KV cache, and what that holds, as the engine prints it.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { divCeil, sum } from '../../units.ts';
import type { GpuNeeds, Needs } from './needs.ts';
import type { PoolModelPlan } from './types.ts';

interface Blocks {
  /** Kept whatever the others do, and the most that it may take; on each GPU. */
  kept: number;
  most: number;
}

/** `planned` has the most blocks as its pool. An engine that refuses to start holds no KV cache. */
export function modelPlan(
  { member, shape }: Needs,
  gpus: readonly GpuNeeds[],
  planned: VllmPlanned,
  blocks: Blocks,
): PoolModelPlan {
  const { verdict, kvCache } = planned.plan;
  const { fits, reason, shortfallBytes } = verdict;
  const { kept, most } = fits ? blocks : { kept: 0, most: 0 };
  const bytesOn = (count: number): number =>
    sum(gpus.map((_, rank) => count * blockBytesOn(planned, rank, shape.blockBytes)));
  const share = most > 0 ? kept / most : 0;
  return {
    id: member.id,
    devices: [...member.devices],
    weightsBytes: sum(gpus.map(({ weightsBytes }) => weightsBytes)),
    contextBytes: sum(gpus.map(({ contextBytes }) => contextBytes)),
    activationBytes: sum(gpus.map(({ activationBytes }) => activationBytes)),
    kvCacheBytes: bytesOn(kept),
    mostKvBytes: bytesOn(most),
    fits,
    reason,
    ...(fits || shortfallBytes === undefined ? {} : { shortfallBytes }),
    numBlocks: most,
    kvTokens: fits ? kvCache.tokens : 0,
    maxConcurrency: fits ? kvCache.maxConcurrency : 0,
    maxModelLen: kvCache.maxModelLen,
    guaranteedTokens: kept === most && fits ? kvCache.tokens : Math.floor(kvCache.tokens * share),
    items: gpus.flatMap(({ gpu, items }) =>
      items
        .filter(({ bytes }) => bytes !== 0)
        .map(({ id, bytes, confidence, formula, source }) => ({ gpu, id, bytes, confidence, formula, source })),
    ),
  };
}

/** A stage with fewer layers holds less of a block. */
export function blockBytesOn({ ranks, kv }: VllmPlanned, rank: number, otherwise: number): number {
  return kv.stageBytesPerBlock[ranks[rank]?.stage ?? 0] ?? otherwise;
}

/** Blocks that so many bytes over all its GPUs need on each of them. */
export function blocksFor(bytes: number, { member, shape }: Needs): number {
  return shape.blockBytes === 0 ? 0 : divCeil(Math.ceil(bytes / member.devices.length), shape.blockBytes);
}
