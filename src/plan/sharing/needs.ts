// What one engine needs on each of its GPUs beside the KV cache, whatever the policy: its weights, its own CUDA context, activations and
// graphs, by the plan of that engine. Every model is a process of its own; what several have in common counts for one of them.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { sum } from '../../units.ts';
import type { BudgetItem, ItemId } from '../types.ts';
import { type BlockShape, blockShape } from './pages.ts';
import type { CommonWeights, PoolInput, PoolMember } from './types.ts';

export interface GpuNeeds {
  /** Index in the pool. */
  gpu: number;
  weightsBytes: number;
  contextBytes: number;
  activationBytes: number;
  /** The three together. */
  ownBytes: number;
  /** Of them, what the engine charges to its utilization; the CUDA context stays outside of it. */
  chargedBytes: number;
  items: readonly BudgetItem[];
}

export interface Needs {
  member: PoolMember;
  /** Alone on its GPUs, with the utilization of its release. */
  alone: VllmPlanned;
  gpus: readonly GpuNeeds[];
  shape: BlockShape;
}

/** Leaves of a plan by what they are for; what is in none of them is free or KV cache. */
const leaves: Readonly<Record<'weights' | 'context' | 'activation', readonly ItemId[]>> = {
  weights: ['weights', 'lora', 'draft', 'projector'],
  context: ['context', 'communication', 'non-torch'],
  activation: ['activations', 'graphs', 'buffers'],
};

export function needsOf({ members, plan }: PoolInput): { needs: Needs[]; common: CommonWeights[] } {
  const planned = new Map(members.map((member) => [member.id, plan(member.request)]));
  const common: CommonWeights[] = [];
  const needs = members.map((member): Needs => {
    const alone = planned.get(member.id)!;
    const saved = savedBytes(member, alone, common);
    return { member, alone, gpus: gpuNeeds(member, alone, saved), shape: blockShape(alone.kv) };
  });
  return { needs, common };
}

export function gpuNeeds(member: PoolMember, { plan, ranks }: VllmPlanned, saved: readonly number[] = []): GpuNeeds[] {
  return plan.devices.map(({ items, rank }): GpuNeeds => {
    const of = (ids: readonly ItemId[]): number =>
      sum(items.filter(({ id }) => ids.includes(id)).map(({ bytes }) => bytes));
    const { budget } = ranks[rank]!;
    const spared = saved[rank] ?? 0;
    const weightsBytes = of(leaves.weights) - spared;
    const contextBytes = of(leaves.context);
    const activationBytes = of(leaves.activation);
    return {
      gpu: member.devices[rank]!,
      weightsBytes,
      contextBytes,
      activationBytes,
      ownBytes: weightsBytes + contextBytes + activationBytes,
      chargedBytes: Math.ceil(budget.requestedBytes - budget.availableBytes) - spared,
      items: items.filter(({ id }) => id !== 'free' && id !== 'kv-cache'),
    };
  });
}

/** Bytes of each rank that another member counts. */
function savedBytes({ id, shared }: PoolMember, alone: VllmPlanned, common: CommonWeights[]): number[] {
  return alone.ranks.map(({ weights, budget }) => {
    let saved = 0;
    for (const { holder, part } of shared) {
      const bytes = part === undefined ? weights.loadedBytes : (weights.parts[part] ?? 0);
      saved = Math.min(budget.weights.loadedBytes, saved + bytes);
      const known = common.find((one) => one.holder === holder && one.part === (part ?? null));
      const entry = known ?? { holder, models: [holder], part: part ?? null, savedBytes: 0 };
      if (!known) common.push(entry);
      if (!entry.models.includes(id)) entry.models.push(id);
      entry.savedBytes += bytes;
    }
    return saved;
  });
}

/** Models that run on a GPU, and what each needs there. */
export function needsOn(needs: readonly Needs[], gpu: number): { needs: Needs; here: GpuNeeds }[] {
  return needs.flatMap((one) => {
    const here = one.gpus.find((needed) => needed.gpu === gpu);
    return here ? [{ needs: one, here }] : [];
  });
}

/** What the process of an engine holds while its weights are elsewhere: graphs stay (vllm-project/vllm issue 47654). */
export function asleepBytes({ contextBytes, items }: GpuNeeds): number {
  return contextBytes + sum(items.filter(({ id }) => id === 'graphs').map(({ bytes }) => bytes));
}

/** What the others of a GPU leave of it for one that takes its turn. */
export function besideAsleep(
  { gpus, keepsProcesses }: PoolInput,
  needs: readonly Needs[],
  gpu: number,
  but: Needs,
): number {
  const others = keepsProcesses ? needsOn(needs, gpu).filter((one) => one.needs !== but) : [];
  return gpus[gpu]!.cudaTotalBytes - sum(others.map(({ here }) => asleepBytes(here)));
}
