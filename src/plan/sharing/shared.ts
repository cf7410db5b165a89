// One pool of KV memory under several engines: each pays for itself (weights, its own context, activations, graphs), keeps its minimum, and
// takes more from what is left while somebody else does not. How large the pool is, and in which pieces it is handed out, is the policy's.
import { gib } from '../../numbers.ts';
import type { ExpandSharing, KvcachedSharing, SharingPolicy, StaticSharing } from '../../spec/sharing.ts';
import { divCeil, sum } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import { blocksFor, modelPlan } from './model.ts';
import { besideAsleep, type Needs, needsOn } from './needs.ts';
import { pageId, straddledBlocks } from './pages.ts';
import { releaseUtilization } from './split.ts';
import type { EngineStart, PageId, PoolInput, PoolModelPlan, SharedBudget } from './types.ts';
import { type GpuShare, gpuPlans, poolVerdict } from './verdict.ts';

type PooledPolicy = Exclude<SharingPolicy, StaticSharing>;

/** What a policy makes of one engine: pieces of so many blocks, of which it keeps some. */
interface Grain {
  needs: Needs;
  /** Bytes of a piece on one GPU, a page id or a single block, and the whole blocks in so many pieces. */
  bytes: number;
  blocksIn(pieces: number): number;
  page?: PageId;
  /** Pieces of its minMemory; those that it keeps, with what the policy reserves; and the most by its own wish and length. */
  least: number;
  kept: number;
  limit: number;
}

export function pooledBudget(
  input: PoolInput,
  needs: readonly Needs[],
  policy: PooledPolicy,
): { budget: SharedBudget; starts: EngineStart[] } {
  const grains = needs.map((one) => grainOf(one, policy));
  const rooms = input.gpus.map((_, gpu) => roomBytes(input, needs, policy, gpu));
  const pools = rooms.map((room, gpu) => room - sum(needsOn(needs, gpu).map(({ here }) => here.ownBytes)));
  const made = grains.map((grain) => engineIn(input, grain, { needs, rooms, pools, grains }));
  const models = made.map(({ model }) => model);
  const gpus = gpuPlans(input, shares(input, grains, models, pools));
  const { id, kind, name, summary, runs } = policy;
  const short = shortPool(pools, grains);
  const alone = models.every(({ fits }) => fits);
  const verdict =
    short === undefined
      ? poolVerdict(input, models, gpus)
      : // MuxServe has all its models in memory: their quotas are parts of one pool beside all weights.
        { ...short, takesTurns: input.atOnce !== undefined && alone && policy.kind !== 'muxserve' };
  const budget: SharedBudget = {
    policy: id,
    kind,
    name,
    summary,
    runs,
    gpuUtilization:
      policy.kind === 'kvcached' ? policy.gpuUtilization : (input.utilization ?? releaseUtilization(needs)),
    ...verdict,
    models,
    gpus,
    sharedBytes: sum(gpus.map(({ sharedBytes }) => sharedBytes)),
    kvBytes: sum(gpus.map(({ poolBytes }) => poolBytes)),
    figures: poolFigures(policy),
  };
  return { budget, starts: made.map(({ start }) => start) };
}

interface Pools {
  needs: readonly Needs[];
  /** Bytes of each GPU for processes and KV; for KV alone when every model is in memory (negative: too many). */
  rooms: readonly number[];
  pools: readonly number[];
  grains: readonly Grain[];
}

function engineIn(
  input: PoolInput,
  grain: Grain,
  { needs, rooms, pools, grains }: Pools,
): { model: PoolModelPlan; start: EngineStart } {
  const { member, gpus, shape } = grain.needs;
  const room = Math.min(
    ...member.devices.map((gpu, rank) => {
      // Who has left the GPU leaves all of it, or all but its process.
      if (input.atOnce !== undefined) {
        const asleep = input.gpus[gpu]!.cudaTotalBytes - besideAsleep(input, needs, gpu, grain.needs);
        return rooms[gpu]! - gpus[rank]!.ownBytes - asleep;
      }
      const others = onDevice(grains, gpu).filter((other) => other !== grain);
      return pools[gpu]! - sum(others.map(keptBytes));
    }),
  );
  const pieces = grain.bytes > 0 ? Math.max(0, Math.min(grain.limit, Math.floor(room / grain.bytes))) : 0;
  const most = grain.blocksIn(pieces);
  const request = requestWith(grain.needs, most);
  const planned = input.plan(request);
  const blocks = { kept: Math.min(grain.blocksIn(grain.kept), most), most };
  const model = refusedBy(grain, room, modelPlan(grain.needs, gpus, planned, blocks));
  const onAll = (count: number): number => (model.fits ? count * grain.bytes * member.devices.length : 0);
  return {
    model: {
      ...model,
      kvCacheBytes: onAll(grain.kept),
      mostKvBytes: onAll(pieces),
      ...(grain.page ? { page: grain.page } : {}),
    },
    start: {
      id: member.id,
      request,
      planned,
      gpus,
      numBlocks: model.numBlocks,
      minBytes: grain.least * grain.bytes,
      maxBytes: pieces * grain.bytes,
      ...shape,
    },
  };
}

function shares(
  { gpus }: PoolInput,
  grains: readonly Grain[],
  models: readonly PoolModelPlan[],
  pools: readonly number[],
): GpuShare[] {
  return gpus.map((_, gpu): GpuShare => {
    const here = onDevice(grains, gpu).map((grain) => ({
      id: grain.needs.member.id,
      needs: grain.needs.gpus.find((one) => one.gpu === gpu)!,
      kvBytes: models[grains.indexOf(grain)]!.fits ? keptBytes(grain) : 0,
    }));
    const left = Math.max(0, pools[gpu]! - sum(here.map(({ kvBytes }) => kvBytes)));
    // A GPU that no model is on is nobody's KV memory.
    return { models: here, sharedBytes: here.length > 0 ? left : 0 };
  });
}

/**
 * Bytes of a GPU for processes and KV. kvcached takes KV pages until its share of the GPU is in use by anybody. The others have no code of
 * their own for it: the pool is what engines with split utilization would have as slices together (total x GPU less what they charge to
 * it), so that policies differ by sharing alone.
 */
export function roomBytes(input: PoolInput, needs: readonly Needs[], policy: PooledPolicy, gpu: number): number {
  const total = input.gpus[gpu]!.cudaTotalBytes;
  if (policy.kind === 'kvcached') return Math.floor(total * policy.gpuUtilization);
  const here = needsOn(needs, gpu);
  if (here.length === 0) return Math.floor(total * (input.utilization ?? 1));
  const utilization = input.utilization ?? releaseUtilization(here.map((one) => one.needs));
  const outside = sum(here.map(({ here: own }) => Math.max(0, own.ownBytes - own.chargedBytes)));
  return Math.min(total, Math.floor(total * utilization) + outside);
}

function grainOf(needs: Needs, policy: PooledPolicy): Grain {
  const { member, alone, shape } = needs;
  // Nothing to cache: an encoder.
  if (shape.blockBytes === 0) return { needs, bytes: 0, blocksIn: () => 0, least: 0, kept: 0, limit: 0 };
  const { plan, resolved } = alone;
  const { blockSize, maxModelLen } = plan.kvCache;
  const page = hasPages(policy) ? pageId(shape, policy.pageBytes, blockSize) : undefined;
  const bytes = page ? (page.blocks > 0 ? page.bytes : 0) : shape.blockBytes;
  const perPiece = Math.max(1, page?.blocks ?? 1);
  const blocksIn = (pieces: number): number =>
    policy.kind === 'kvcached' ? straddledBlocks(pieces, policy.pageBytes, shape) : pieces * (page?.blocks ?? 1);
  // V1's null block is one of the pool.
  const wanted = alone.blocksAt(maxModelLen) * resolved.maxNumSeqs + (resolved.engine === 'v0' ? 0 : 1);
  const { maxBytes, minBytes } = member;
  const most = maxBytes === null ? Number.POSITIVE_INFINITY : maxBytes / member.devices.length / Math.max(1, bytes);
  const reserved = hasPages(policy) ? policy.minReservedPages : 0;
  const limit = Math.max(0, Math.min(divCeil(wanted, perPiece), Math.floor(most)));
  const least = Math.min(limit, divCeil(blocksFor(minBytes, needs), perPiece));
  return {
    needs,
    bytes,
    blocksIn,
    ...(page ? { page } : {}),
    least,
    kept: Math.max(least, Math.min(limit, reserved)),
    limit,
  };
}

function hasPages(policy: PooledPolicy): policy is ExpandSharing | KvcachedSharing {
  return policy.kind === 'expand' || policy.kind === 'kvcached';
}

function keptBytes({ kept, bytes }: Grain): number {
  return kept * bytes;
}

function onDevice(grains: readonly Grain[], gpu: number): Grain[] {
  return grains.filter(({ needs }) => needs.member.devices.includes(gpu));
}

function requestWith({ member, shape }: Needs, numBlocks: number): PlanRequest {
  const { request } = member;
  return { ...request, options: { ...request.options, kvCacheMemoryBytes: numBlocks * shape.blockBytes } };
}

function refusedBy({ page, limit, needs }: Grain, room: number, model: PoolModelPlan): PoolModelPlan {
  if (needs.shape.blockBytes === 0) return model;
  if (needs.alone.resolved.engine === 'v0')
    return { ...model, fits: false, reason: 'sharing is known of V1 engines, and this release of vLLM is V0' };
  if (page && page.blocks === 0) {
    const block = Math.ceil(needs.shape.blockBytes / needs.shape.tensors);
    return {
      ...model,
      fits: false,
      reason: `a page of ${page.pageBytes} bytes holds no block of ${block} bytes: a larger pageBytes does`,
    };
  }
  if (limit === 0 && needs.member.maxBytes !== null)
    return { ...model, fits: false, reason: 'its maxMemory is less than the least that the policy hands out' };
  if (model.fits || room > 0) return model;
  return { ...model, reason: 'nothing is left for its KV cache', shortfallBytes: -room };
}

/** Said first, because every model then says the same of itself. */
function shortPool(
  pools: readonly number[],
  grains: readonly Grain[],
): { fits: false; reason: string; shortfallBytes: number; takesTurns: false } | undefined {
  for (const [gpu, bytes] of pools.entries()) {
    const here = onDevice(grains, gpu);
    const short = sum(here.map(keptBytes)) - bytes;
    if (here.length === 0 || short <= 0) continue;
    const kept = bytes < 0 ? '' : ' and what each keeps';
    const reason = `weights, contexts, activations${kept} of ${here.length === 1 ? 'the model' : `${here.length} models`} need ${gib(short)} more than GPU ${gpu} has for them`;
    return { fits: false, reason, shortfallBytes: short, takesTurns: false };
  }
  return undefined;
}

function poolFigures(policy: PooledPolicy): SharedBudget['figures'] {
  const margin =
    policy.kind === 'kvcached'
      ? `${policy.gpuUtilization} of the GPU`
      : 'gpu_memory_utilization x GPU, and what the engines hold outside of it (contexts)';
  return [
    {
      figure: 'sharedBytes',
      formula: `${margin} less weights, contexts, activations and graphs of every engine, less what each keeps`,
      source: policy.sources[0] ?? policy.name,
      confidence: 'estimated',
    },
    {
      figure: 'mostKvBytes',
      formula:
        'the least of: maxMemory; the pool less what the others keep; max_num_seqs x max_model_len; in whole pieces',
      source: 'arithmetic',
      confidence: 'estimated',
    },
    ...(hasPages(policy)
      ? ([
          {
            figure: 'page',
            formula: `${policy.pageBytes} bytes x tensors (K and V of every layer); floor(page / bytes of a block in one tensor) blocks`,
            source: 'kvcached: a page id is mapped in every layer and in K and V',
            confidence: 'exact',
          },
        ] as const)
      : []),
  ];
}
