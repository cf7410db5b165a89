// Engines with split gpu_memory_utilization, started one after the other in the order of the file: each prints what `vram plan` says of it
// with its own utilization and the memory that those before leave free, or refuses to start.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import type { StaticSharing } from '../../spec/sharing.ts';
import { sum } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import { blockBytesOn, modelPlan } from './model.ts';
import { besideAsleep, gpuNeeds, type Needs } from './needs.ts';
import { releaseUtilization, utilizations } from './split.ts';
import type { EngineStart, PoolInput, PoolModelPlan, SharedBudget } from './types.ts';
import { type GpuShare, gpuPlans, poolVerdict } from './verdict.ts';

interface Split {
  budget: SharedBudget;
  starts: EngineStart[];
}

/** Where weights come and go: slices for as many models at once as start with them, at most as many as are loaded at once. */
export function staticBudget(input: PoolInput, needs: readonly Needs[], policy: StaticSharing): Split {
  const { atOnce } = input;
  if (atOnce === undefined) return splitFor(input, needs, policy);
  const most = Math.max(1, Math.min(atOnce, needs.length));
  let first: Split | undefined;
  for (let at = most; at >= 1; at--) {
    const split = splitFor({ ...input, atOnce: at }, needs, policy);
    if (split.budget.fits || split.budget.takesTurns) return split;
    first ??= split;
  }
  return first!;
}

function splitFor(input: PoolInput, needs: readonly Needs[], policy: StaticSharing): Split {
  const utilization = utilizations(input, needs, policy.split);
  const shares: GpuShare[] = input.gpus.map(() => ({ models: [], sharedBytes: 0 }));
  const held = input.gpus.map(() => 0);
  const byTurns = input.atOnce !== undefined && input.atOnce < needs.length;
  const starts: EngineStart[] = [];
  const models = needs.map((one): PoolModelPlan => {
    const { member } = one;
    const share = byTurns ? besideOthers(input, needs, one, utilization.get(member.id)!) : utilization.get(member.id)!;
    const free = byTurns ? undefined : freeBefore(input, one, held);
    const request = requestAt(one, share, free);
    const planned = input.plan(request);
    // Nothing is shared between processes: each loads all of its weights.
    const gpus = gpuNeeds(member, planned);
    const { numBlocks } = planned.plan.kvCache;
    const model = modelPlan(one, gpus, planned, { kept: numBlocks, most: numBlocks });
    gpus.forEach((own, rank) => {
      const kvBytes = model.numBlocks * blockBytesOn(planned, rank, one.shape.blockBytes);
      shares[own.gpu]!.models.push({ id: member.id, needs: own, kvBytes });
      if (model.fits) held[own.gpu]! += own.ownBytes + kvBytes;
    });
    const sliceBytes = model.numBlocks * one.shape.blockBytes;
    const start: EngineStart = {
      id: member.id,
      request,
      planned,
      gpus,
      numBlocks: model.numBlocks,
      minBytes: sliceBytes,
      maxBytes: sliceBytes,
      ...one.shape,
    };
    starts.push(start);
    return {
      ...withMinimum(withOthers(model, planned, request), member.minBytes),
      utilization: planned.resolved.gpuMemoryUtilization,
      freeMemoryBytes: free ?? null,
    };
  });
  const { id, kind, name, summary, runs } = policy;
  const gpus = gpuPlans(input, shares);
  const kvBytes = sum(models.map(({ kvCacheBytes }) => kvCacheBytes));
  const verdict = poolVerdict(input, models, gpus);
  const figures = splitFigures(policy, input);
  return {
    budget: {
      policy: id,
      kind,
      name,
      summary,
      runs,
      gpuUtilization: input.utilization ?? releaseUtilization(needs),
      ...verdict,
      models,
      gpus,
      sharedBytes: 0,
      kvBytes,
      figures,
    },
    starts,
  };
}

function requestAt({ member, alone }: Needs, utilization: number, freeMemoryBytes: number[] | undefined): PlanRequest {
  const { request } = member;
  // As the release has it and nobody said: the request stays the one of that engine alone.
  const isDefault = utilization === alone.resolved.gpuMemoryUtilization && member.utilization === undefined;
  return {
    ...request,
    options: isDefault ? request.options : { ...request.options, gpuMemoryUtilization: utilization },
    ...(freeMemoryBytes ? { freeMemoryBytes } : {}),
  };
}

/**
 * Free on each of its GPUs as it starts: all that CUDA reports less what the engines before hold (weights, KV cache, activations, graphs
 * and context, as under load) and its own context. Undefined where it is the first: then vLLM's own check has its benefit of the doubt.
 */
function freeBefore({ gpus }: PoolInput, { gpus: own, member }: Needs, held: readonly number[]): number[] | undefined {
  if (member.devices.every((gpu) => held[gpu] === 0)) return undefined;
  return own.map(({ gpu, items }) => {
    const outside = sum(items.filter(({ id }) => id === 'context' || id === 'communication').map(({ bytes }) => bytes));
    return Math.max(0, gpus[gpu]!.cudaTotalBytes - held[gpu]! - outside);
  });
}

/** A slice leaves room for what the processes of the others hold while they sleep, and for its own context, which it does not count. */
function besideOthers(input: PoolInput, needs: readonly Needs[], one: Needs, utilization: number): number {
  const most = one.gpus.map(({ gpu, ownBytes, chargedBytes }) => {
    const room = besideAsleep(input, needs, gpu, one) - Math.max(0, ownBytes - chargedBytes);
    return room / input.gpus[gpu]!.cudaTotalBytes;
  });
  const least = Math.min(utilization, ...most);
  return least === utilization ? utilization : Math.max(0, Math.floor(least * 1e4) / 1e4);
}

/** V1 up to 0.8 charges an engine with what other processes hold, as if it were its own: its flag would have to include them. */
function withOthers(
  model: PoolModelPlan,
  { resolved }: VllmPlanned,
  { profile, freeMemoryBytes }: PlanRequest,
): PoolModelPlan {
  const charges = resolved.engine === 'v1' && profile['memory.formula'] === 'peak-plus-outside';
  if (model.fits || !charges || !freeMemoryBytes) return model;
  return { ...model, reason: `${model.reason} (this release charges it with what the engines before hold)` };
}

function withMinimum(model: PoolModelPlan, minBytes: number): PoolModelPlan {
  const lacking = minBytes - model.kvCacheBytes;
  if (!model.fits || lacking <= 0) return model;
  return { ...model, fits: false, reason: 'its slice is smaller than its minMemory', shortfallBytes: lacking };
}

const splits: Readonly<Record<StaticSharing['split'], string>> = {
  equal: 'total / engines',
  weights: 'total x bytes of its weights / those of all',
  load: 'what it cannot do without (weights, activations, graphs, one sequence of full length), and of the rest its share of requests/s x seconds alone x bytes of prompt and half of the output',
};

function splitFigures({ split, sources }: StaticSharing, { utilization }: PoolInput): SharedBudget['figures'] {
  const total = utilization === undefined ? "the release's default" : String(utilization);
  return [
    {
      figure: 'utilization',
      formula: `${splits[split]}, rounded down to 4 decimals; total: ${total}`,
      source: sources[0] ?? 'gpuMemoryUtilization',
      confidence: split === 'load' ? 'estimated' : 'exact',
    },
    {
      figure: 'kvTokens',
      formula:
        'vram plan of the engine with its --gpu-memory-utilization, and --free-memory as the engines started before leave it',
      source: 'vllm/v1/worker/gpu_worker.py; vllm/v1/worker/utils.py request_memory',
      confidence: 'estimated',
    },
  ];
}
