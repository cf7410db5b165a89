// From a pool file to runs as plain data, one for each policy: every model's engine as that policy starts it, with its workload. An engine
// is set up as `vram simulate` sets up one by itself, so that a model alone under a static policy is that very run.
import { hostCopyShare, pcieBytesPerSecond } from '../accounting/link.ts';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { gib } from '../numbers.ts';
import { type PoolBudgets, planPool } from '../plan/sharing/budget.ts';
import { asleepBytes } from '../plan/sharing/needs.ts';
import type { EngineStart, PoolPlan } from '../plan/sharing/types.ts';
import { withPrefetchRoom } from '../sim/sharing/prefetch.ts';
import type { SharedModel, SharedRun } from '../sim/sharing/types.ts';
import type { PoolSpec } from '../spec/pool.ts';
import type { LoadingPolicy, SharingPolicy } from '../spec/sharing.ts';
import { type OpenMember, type OpenPool, openPool, poolInput, poolPolicies } from './pool-open.ts';
import { meanLoad, poolWorkloads, workloadOptions } from './pool-workloads.ts';
import { setupOf } from './simulate-setup.ts';
import type { RunWorkload } from './simulate-workload.ts';

/** The run of one policy with one loading behaviour (none: all stay in memory), or why its engines would not start. */
export type PoolRun = { policy: SharingPolicy; loading?: LoadingPolicy } & ({ run: SharedRun } | { refused: string });

export interface PoolSetup {
  pool: OpenPool;
  /** By model. */
  workloads: RunWorkload[];
  /** By policy, and of each by loading behaviour, the chosen ones first. */
  runs: PoolRun[];
}

/** What `simulate --pool` runs: the chosen policies, and those that the file compares them with. */
export async function poolSetup(spec: PoolSpec, io: Io): Promise<PoolSetup> {
  const pool = await openPool(spec, io);
  const policies = await poolPolicies(spec, spec.compare === 'all');
  const workloads = await poolWorkloads(spec, io);
  const { plan, runs } = poolRuns(pool, workloads, policies);
  checkHostMemory(spec, plan);
  return { pool, workloads, runs };
}

/** Weights that are said to be on the host have to have room there. */
function checkHostMemory({ file, hostMemoryBytes, models }: PoolSpec, plan: PoolPlan): void {
  if (hostMemoryBytes === undefined) return;
  const needed = plan.policies[0]!.models.reduce(
    (sum, { weightsBytes }, i) => sum + (models[i]!.weights === 'host' ? weightsBytes : 0),
    0,
  );
  if (needed <= hostMemoryBytes) return;
  throw inputError(
    'VRAM749',
    `the weights that are on the host take ${gib(needed)}, hostMemory is ${gib(hostMemoryBytes)}`,
    {
      hint: 'raise hostMemory, or put some models on disk (weights: disk)',
      path: `${file}: hostMemory`,
    },
  );
}

/** `plan` is as the first loading behaviour has it. */
export function poolRuns(
  pool: OpenPool,
  workloads: readonly RunWorkload[],
  policies: readonly SharingPolicy[],
): { plan: PoolPlan; runs: PoolRun[] } {
  const loads = workloads.map(meanLoad);
  const loadings = pool.loadings.length > 0 ? pool.loadings : [undefined];
  const budgets = loadings.map((loading) => planPool(poolInput(pool, loads, loading), policies));
  const runs = policies.flatMap((_, i) =>
    budgets.map((budget, at) => runOf(pool, workloads, { budget, at: i, loading: loadings[at] })),
  );
  return { plan: budgets[0]!.plan, runs };
}

/** Where nothing else is said, a request is served well within so many times of what it takes alone (Prism, benchmark.py, 595ec1f). */
const defaultScale = 5;

interface Variant {
  budget: PoolBudgets;
  /** Index of the policy. */
  at: number;
  loading: LoadingPolicy | undefined;
}

function runOf(pool: OpenPool, workloads: readonly RunWorkload[], { budget, at, loading }: Variant): PoolRun {
  const { policy, engines, deviceBytes } = budget.starts[at]!;
  const { fits, takesTurns, reason } = budget.plan.policies[at]!;
  const variant = { policy, ...(loading ? { loading } : {}) };
  if (!fits && !takesTurns) return { ...variant, refused: reason ?? 'it does not fit' };
  const models: SharedModel[] = [];
  for (const [index, engine] of engines.entries()) {
    const made = modelOf(pool, { index, engine, loading }, workloads[index]!);
    if ('refused' in made) return { ...variant, refused: `${engine.id}: ${made.refused}` };
    models.push(made);
  }
  return { ...variant, run: withPrefetchRoom({ ...variant, devices: deviceBytes, models }) };
}

function modelOf(
  { spec, members }: OpenPool,
  { index: at, engine, loading }: { index: number; engine: EngineStart; loading: LoadingPolicy | undefined },
  workload: RunWorkload,
): SharedModel | { refused: string } {
  const { model, member, simulation } = members[at]!;
  const { planned, request, numBlocks, minBytes, maxBytes, gpus, blockBytes, tensors } = engine;
  const options = { ...workloadOptions(spec, at), ...simulation };
  const policy = planned.resolved.engine === 'v0' ? 'v0' : 'paged';
  const made = setupOf(planned, request, options, { policy, eviction: simulation.eviction ?? 'lru' });
  if (!made.ok) return { refused: made.reason };
  const { workload: requests, description } = workload;
  const { fileOrder } = description;
  return {
    id: member.id,
    run: { setup: made.setup, workload: requests, ...(fileOrder ? { fileOrder } : {}) },
    devices: member.devices,
    weightsBytes: Math.max(...gpus.map(({ weightsBytes }) => weightsBytes)),
    otherBytes: Math.max(...gpus.map(({ contextBytes, activationBytes }) => contextBytes + activationBytes)),
    contextBytes: Math.max(...gpus.map(asleepBytes)),
    prefetchBytes: 0,
    sliceBytes: numBlocks * blockBytes,
    blockBytes,
    tensors,
    minBytes,
    maxBytes,
    priority: model.priority,
    weights: weightsOf(members[at]!, loading?.diskRate ?? spec.diskRate),
    objective: {
      ttftSeconds: model.objective.ttftSeconds ?? null,
      tpotSeconds: model.objective.tpotSeconds ?? null,
      scale: model.objective.scale ?? defaultScale,
    },
  };
}

/** Bytes a second of a disk where neither the file nor a loading behaviour says: an NVMe drive behind PCIe 4.0 x4. */
const usualDiskRate = 6e9;

function weightsOf({ model, member }: OpenMember, diskRate = usualDiskRate): SharedModel['weights'] {
  const { weights: place, preloadAt } = model;
  // Over the links of all its GPUs together.
  const hostRate = hostCopyShare * member.request.gpus.reduce((sum, gpu) => sum + pcieBytesPerSecond(gpu), 0);
  return { place, hostRate, diskRate, preloadAt };
}
